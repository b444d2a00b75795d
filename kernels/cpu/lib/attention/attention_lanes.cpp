// softmax(Q Kᵀ · scale + mask) V for up to 4 vectors of queries, one query in each lane, over blocks of keys with
// an online softmax:
//   S[key][query] = Σ_c K[key][c] · Qᵀ[c][query]     broadcast tile, Qᵀ scaled and transposed once
//   m' = max(m, S);  P = exp(S − m');  l = l · exp(m − m') + Σ P
//   O[c][query] = O · exp(m − m') + Σ_key V[key][c] · P[key][query]     broadcast tile
// A block of S and P (key_block · queries floats) stays in L1; K and V are read once, as they lie. Everything per
// query is a vector, so the softmax has no sums across lanes.
#include "cpu/lib/attention/attention.h"
#include "cpu/lib/gemm/broadcast_tile.h"
#include "cpu/lib/math/softmax_exp.h"
#include "cpu/lib/math/vmath.h"

namespace graphopt {
namespace GK_LEVEL {
namespace {

constexpr int kMaxLanes = kTileVectors * kLanes;

struct Block {
  float* scores;       // [keys][VECTORS · kLanes]
  const float* query;  // [head_size][VECTORS · kLanes]
  float* output;       // [value_size][VECTORS · kLanes]
  const float* bias;   // [keys], the same for all queries, or null
  const float* values; // the first key's
  int64_t v_row, v_col;
};

// Rows of scores [begin, begin + ROWS), and the greatest of them.
template <int ROWS, int VECTORS>
void score_rows(const KeySegment& keys, int64_t first, int64_t head_size, const Block& block, int64_t row,
                VecF32* greatest) {
  VecF32 acc[ROWS][VECTORS] = {};
  broadcast_tile<ROWS, VECTORS>(keys.k + (first + row - keys.begin) * keys.k_row, keys.k_row, keys.k_col, block.query,
                                VECTORS * kLanes, head_size, acc);
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; ++i) {
    const VecF32 bias = splat(block.bias == nullptr ? 0.0f : block.bias[row + i]);
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; ++v) {
      const VecF32 score = acc[i][v] + bias;
      greatest[v] = max_lanes(score, greatest[v]);
      store_lanes(block.scores + ((row + i) * VECTORS + v) * kLanes, score);
    }
  }
}

// Columns [column, column + ROWS) of the values, all keys of the block. `correction` null: the first block.
template <int ROWS, int VECTORS>
void value_rows(int64_t count, const Block& block, int64_t column, const VecF32* correction) {
  VecF32 acc[ROWS][VECTORS] = {};
  float* output = block.output + column * VECTORS * kLanes;
  if (correction != nullptr) {
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; ++i) {
#pragma GCC unroll 8
      for (int v = 0; v < VECTORS; ++v) acc[i][v] = load_lanes(output + (i * VECTORS + v) * kLanes) * correction[v];
    }
  }
  broadcast_tile<ROWS, VECTORS>(block.values + column * block.v_col, block.v_col, block.v_row, block.scores,
                                VECTORS * kLanes, count, acc);
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; ++i) {
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; ++v) store_lanes(output + (i * VECTORS + v) * kLanes, acc[i][v]);
  }
}

// `total` rows in tiles of nearly the same height: call(rows, begin) with rows a compile-time number.
template <class Call>
inline __attribute__((always_inline)) void in_tiles(int64_t total, Call call) {
  const int64_t tiles = (total + kTileRows - 1) / kTileRows;
  int64_t row = 0;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const int64_t rows = (total - row + tiles - tile - 1) / (tiles - tile);
    call(rows, row);
    row += rows;
  }
}

template <int VECTORS>
void score_block(const KeySegment& keys, int64_t first, int64_t count, int64_t head_size, const Block& block,
                 VecF32* greatest) {
  in_tiles(count, [&](int64_t rows, int64_t row) {
    switch (rows) {
      case 1: return score_rows<1, VECTORS>(keys, first, head_size, block, row, greatest);
      case 2: return score_rows<2, VECTORS>(keys, first, head_size, block, row, greatest);
      case 3: return score_rows<3, VECTORS>(keys, first, head_size, block, row, greatest);
      case 4: return score_rows<4, VECTORS>(keys, first, head_size, block, row, greatest);
      case 5: return score_rows<5, VECTORS>(keys, first, head_size, block, row, greatest);
      default: return score_rows<6, VECTORS>(keys, first, head_size, block, row, greatest);
    }
  });
}

template <int VECTORS>
void value_block(int64_t count, int64_t value_size, const Block& block, const VecF32* correction) {
  in_tiles(value_size, [&](int64_t rows, int64_t row) {
    switch (rows) {
      case 1: return value_rows<1, VECTORS>(count, block, row, correction);
      case 2: return value_rows<2, VECTORS>(count, block, row, correction);
      case 3: return value_rows<3, VECTORS>(count, block, row, correction);
      case 4: return value_rows<4, VECTORS>(count, block, row, correction);
      case 5: return value_rows<5, VECTORS>(count, block, row, correction);
      default: return value_rows<6, VECTORS>(count, block, row, correction);
    }
  });
}

// Qᵀ · scale; lanes without a query are 0.
template <int VECTORS>
void pack_queries(const AttentionRun& run, const AttentionTask& task, const QueryPlace* places, float* packed) {
  const AttentionState& s = *run.state;
  for (int v = 0; v < VECTORS; ++v) {
    const float* queries[kLanes];
    for (int i = 0; i < kLanes; ++i) queries[i] = run.q + offset_of(s.q, task.batch, places[v * kLanes + i]);
    for (int64_t c = 0; c < s.head_size; c += kLanes) {
      const int64_t columns = s.head_size - c < kLanes ? s.head_size - c : kLanes;
      VecF32 rows[kLanes];
      if (columns == kLanes && s.q.col == 1 && (v + 1) * kLanes <= task.count) {
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) rows[i] = load_lanes(queries[i] + c) * s.scale;
        transpose_lanes(rows);
#pragma GCC unroll 16
        for (int j = 0; j < kLanes; ++j) store_lanes(packed + ((c + j) * VECTORS + v) * kLanes, rows[j]);
        continue;
      }
      for (int i = 0; i < kLanes; ++i) {
        rows[i] = VecF32{};
        if (v * kLanes + i >= task.count) continue;
        const float* query = queries[i] + c * s.q.col;
        if (s.q.col == 1) {
          rows[i] = (columns == kLanes ? load_lanes(query) : load_part(query, columns)) * s.scale;
        } else {
          for (int64_t j = 0; j < columns; ++j) rows[i][j] = query[j * s.q.col] * s.scale;
        }
      }
      transpose_lanes(rows);
      for (int64_t j = 0; j < columns; ++j) store_lanes(packed + ((c + j) * VECTORS + v) * kLanes, rows[j]);
    }
  }
}

// Y = Oᵀ / l; 0 for a query that saw no key.
template <int VECTORS>
void write_results(const AttentionRun& run, const AttentionTask& task, const QueryPlace* places, const float* output,
                   const VecF32* sums) {
  const AttentionState& s = *run.state;
  for (int v = 0; v < VECTORS; ++v) {
    float* results[kLanes];
    for (int i = 0; i < kLanes; ++i) results[i] = run.y + offset_of(s.y, task.batch, places[v * kLanes + i]);
    const VecF32 factor = 1.0f / (sums[v] == 0.0f ? splat(1.0f) : sums[v]);
    for (int64_t c = 0; c < s.value_size; c += kLanes) {
      const int64_t columns = s.value_size - c < kLanes ? s.value_size - c : kLanes;
      VecF32 rows[kLanes];
      if (columns == kLanes && (v + 1) * kLanes <= task.count) {
#pragma GCC unroll 16
        for (int j = 0; j < kLanes; ++j) rows[j] = load_lanes(output + ((c + j) * VECTORS + v) * kLanes) * factor;
        transpose_lanes(rows);
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) store_lanes(results[i] + c, rows[i]);
        continue;
      }
      for (int j = 0; j < kLanes; ++j) {
        rows[j] = j < columns ? load_lanes(output + ((c + j) * VECTORS + v) * kLanes) * factor : VecF32{};
      }
      transpose_lanes(rows);
      for (int i = 0; i < kLanes; ++i) {
        if (v * kLanes + i >= task.count) break;
        columns == kLanes ? store_lanes(results[i] + c, rows[i]) : store_part(results[i] + c, rows[i], columns);
      }
    }
  }
}

// The mask's addends for keys [first, first + count) of one query.
void read_mask(const AttentionRun& run, int64_t offset, int64_t first, int64_t count, float* bias) {
  const AttentionState& s = *run.state;
  const int64_t stride = s.mask.col, start = offset + first * stride;
  if (s.mask_kind == kBoolMask) {
    const uint8_t* mask = static_cast<const uint8_t*>(run.mask) + start;
    for (int64_t i = 0; i < count; ++i) bias[i] = mask[i * stride] ? 0.0f : -__builtin_inff();
  } else {
    const float* mask = static_cast<const float*>(run.mask) + start;
    for (int64_t i = 0; i < count; ++i) bias[i] = mask[i * stride];
  }
}

// scores += mask, each query its own row of it: squares of kLanes queries and keys, transposed in registers.
template <int VECTORS>
void add_mask(const AttentionRun& run, const AttentionTask& task, const QueryPlace* places, int64_t first,
              int64_t count, float* scores) {
  const AttentionState& s = *run.state;
  for (int v = 0; v < VECTORS; ++v) {
    for (int64_t key = 0; key < count; key += kLanes) {
      const int64_t keys = count - key < kLanes ? count - key : kLanes;
      VecF32 rows[kLanes];
      for (int i = 0; i < kLanes; ++i) {
        const int64_t r = v * kLanes + i;
        rows[i] = VecF32{};
        if (r >= task.count) continue;
        const int64_t offset = offset_of(s.mask, task.batch, places[r]);
        if (s.mask_kind == kFloatMask && s.mask.col == 1) {
          const float* mask = static_cast<const float*>(run.mask) + offset + first + key;
          rows[i] = keys == kLanes ? load_lanes(mask) : load_part(mask, keys);
        } else {
          float bias[kLanes] = {};
          read_mask(run, offset, first + key, keys, bias);
          rows[i] = load_lanes(bias);
        }
      }
      transpose_lanes(rows);
      for (int64_t j = 0; j < keys; ++j) {
        float* score = scores + ((key + j) * VECTORS + v) * kLanes;
        store_lanes(score, load_lanes(score) + rows[j]);
      }
    }
  }
}

// Rows that far apart share so few sets of the L1 cache that a block of them does not fit.
bool collides(int64_t row) { return row % 256 == 0; }

// Floats between rows of packed values: an odd number of cache lines.
int64_t packed_row(int64_t value_size) { return ((value_size + 15) / 16 | 1) * 16; }

// The block's values as rows that lie well in the cache.
void pack_values(const AttentionState& s, int64_t count, Block* block, float* packed) {
  const int64_t row = packed_row(s.value_size);
  for (int64_t key = 0; key < count; ++key) {
    const float* from = block->values + key * block->v_row;
    if (block->v_col == 1) {
      memcpy(packed + key * row, from, static_cast<size_t>(s.value_size) * 4);
    } else {
      for (int64_t c = 0; c < s.value_size; ++c) packed[key * row + c] = from[c * block->v_col];
    }
  }
  block->values = packed;
  block->v_row = row;
  block->v_col = 1;
}

void cap_scores(float* scores, int64_t count, float cap) {
  for (int64_t i = 0; i < count; i += kLanes) {
    store_lanes(scores + i, vmath::tanh(load_lanes(scores + i) / cap) * cap);
  }
}

template <int VECTORS>
void run_lanes(const AttentionRun& run, const AttentionTask& task, float* workspace) {
  const AttentionState& s = *run.state;
  constexpr int64_t lanes = VECTORS * kLanes;
  float *query = workspace, *output = query + s.head_size * lanes, *scores = output + s.value_size * lanes;
  float *bias = scores + s.key_block * lanes, *values = bias + s.key_block;
  Block block = {scores, query, output, nullptr, nullptr, 0, 0};
  QueryPlace places[lanes];  // lanes without a query see what the last one sees
  places[0] = place_of(s, task, 0);
  for (int64_t r = 1; r < lanes; ++r) places[r] = r < task.count ? next_place(s, places[r - 1]) : places[r - 1];
  pack_queries<VECTORS>(run, task, places, query);

  // Which keys all lanes see, and which any does.
  VecI32 low[VECTORS] = {}, high[VECTORS] = {};
  KeyRange any = range_of(run, task.batch, places[0].position), all = any;
  const bool by_position = s.causal || s.left_window >= 0 || s.right_window >= 0;
  for (int64_t r = 0; by_position && r < lanes; ++r) {
    const KeyRange range = range_of(run, task.batch, places[r].position);
    low[r / kLanes][r % kLanes] = static_cast<int32_t>(range.first);
    high[r / kLanes][r % kLanes] = static_cast<int32_t>(range.last);
    if (range.first < any.first) any.first = range.first;
    if (range.last > any.last) any.last = range.last;
    if (range.first > all.first) all.first = range.first;
    if (range.last < all.last) all.last = range.last;
  }
  const bool same_mask =
      s.mask.row == 0 && (s.mask.head == 0 || places[0].head == places[task.count - 1].head);

  VecF32 maximum[VECTORS], sums[VECTORS] = {};
  for (int v = 0; v < VECTORS; ++v) maximum[v] = splat(-__builtin_inff());
  bool started = false;
  for (int part = s.past_length > 0 ? 0 : 1; part < 2; ++part) {
    const KeySegment keys = segment_of(run, task, part == 0);
    const int64_t begin = keys.begin > any.first ? keys.begin : any.first;
    const int64_t end = keys.end < any.last + 1 ? keys.end : any.last + 1;
    const int64_t blocks = end > begin ? (end - begin + s.key_block - 1) / s.key_block : 0;
    int64_t first = begin;
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t count = (end - first + blocks - b - 1) / (blocks - b);
      VecF32 greatest[VECTORS];
      for (int v = 0; v < VECTORS; ++v) greatest[v] = splat(-__builtin_inff());
      const bool bounded = first < all.first || first + count - 1 > all.last;
      const bool later = bounded || s.softcap > 0 || (s.mask_kind != kNoMask && !same_mask);
      block.bias = nullptr;
      if (s.mask_kind != kNoMask && same_mask && s.softcap == 0) {
        read_mask(run, offset_of(s.mask, task.batch, places[0]), first, count, bias);
        block.bias = bias;
      }
      score_block<VECTORS>(keys, first, count, s.head_size, block, greatest);
      if (later) {
        if (s.softcap > 0) cap_scores(scores, count * lanes, s.softcap);
        if (s.mask_kind != kNoMask && block.bias == nullptr) add_mask<VECTORS>(run, task, places, first, count, scores);
        for (int v = 0; v < VECTORS; ++v) greatest[v] = splat(-__builtin_inff());
        for (int64_t key = 0; key < count; ++key) {
          const int32_t at = static_cast<int32_t>(first + key);
          for (int v = 0; v < VECTORS; ++v) {
            float* score = scores + key * lanes + v * kLanes;
            VecF32 seen = load_lanes(score);
            if (bounded) {
              seen = (low[v] <= at) & (high[v] >= at) ? seen : splat(-__builtin_inff());
              store_lanes(score, seen);
            }
            greatest[v] = max_lanes(seen, greatest[v]);
          }
        }
      }
      const SoftmaxExp exponential;
      VecF32 correction[VECTORS], shift[VECTORS];
      for (int v = 0; v < VECTORS; ++v) {
        const VecF32 next = max_lanes(greatest[v], maximum[v]);
        // Nothing but −∞ so far: any finite number in place of the maximum gives zeros.
        shift[v] = next == -__builtin_inff() ? VecF32{} : next;
        correction[v] = exponential(maximum[v] - shift[v]);
        maximum[v] = next;
        sums[v] *= correction[v];
      }
      for (int64_t key = 0; key < count; ++key) {
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; ++v) {
          float* score = scores + key * lanes + v * kLanes;
          const VecF32 p = exponential(load_lanes(score) - shift[v]);
          store_lanes(score, p);
          sums[v] += p;
        }
      }
      block.values = keys.v + (first - keys.begin) * keys.v_row;
      block.v_row = keys.v_row;
      block.v_col = keys.v_col;
      if (collides(keys.v_row) || keys.v_col != 1) pack_values(s, count, &block, values);
      value_block<VECTORS>(count, s.value_size, block, started ? correction : nullptr);
      started = true;
      first += count;
    }
  }
  if (!started) {
    for (int64_t i = 0; i < s.value_size * lanes; ++i) output[i] = 0.0f;
  }
  write_results<VECTORS>(run, task, places, output, sums);
}

}  // namespace

int64_t attention_lanes_floats(const AttentionState& state) {
  return (state.head_size + state.value_size + state.key_block) * kMaxLanes +
         state.key_block * (1 + packed_row(state.value_size));
}

void attention_lanes(const AttentionRun& run, const AttentionTask& task, int vectors, float* workspace) {
  if constexpr (kTileVectors == 4) {
    if (vectors == 4) return run_lanes<4>(run, task, workspace);
    if (vectors == 3) return run_lanes<3>(run, task, workspace);
  }
  return vectors == 2 ? run_lanes<2>(run, task, workspace) : run_lanes<1>(run, task, workspace);
}

}  // namespace GK_LEVEL
}  // namespace graphopt
