// softmax(q Kᵀ · scale + mask) V for one query after another, all its scores at once:
//   s[key] = Σ_c K[key][c] · q[c]    lanes along the head, a vector of keys at a time, summed by a transpose
//   p = softmax(s);  y[c] = Σ_key p[key] · V[key][c]    lanes along the head
// K and V are streamed once per query. Scores are kept whole, so that they can be an output.
#include "cpu/lib/attention/attention.h"
#include "cpu/lib/math/softmax_exp.h"
#include "cpu/lib/math/vmath.h"

namespace graphopt {
namespace GK_LEVEL {
namespace {

constexpr int64_t kRound = kLanes;

int64_t round_up(int64_t count) { return (count + kRound - 1) / kRound * kRound; }

// The part of a row at column c, whatever its stride.
inline __attribute__((always_inline)) VecF32 load_columns(const float* row, int64_t stride, int64_t c, int64_t count) {
  if (stride == 1) return count - c >= kLanes ? load_lanes(row + c) : load_part(row + c, count - c);
  VecF32 v = {};
  for (int64_t i = 0; i < kLanes && c + i < count; ++i) v[i] = row[(c + i) * stride];
  return v;
}

// scores[begin … end) of the keys in a segment; `query` is scaled and filled with zeros to whole vectors.
void score_keys(const KeySegment& keys, int64_t begin, int64_t end, const float* query, int64_t head_size,
                float* scores) {
  for (int64_t key = begin; key < end; key += kLanes) {
    const int64_t count = end - key < kLanes ? end - key : kLanes;
    const float* row = keys.k + (key - keys.begin) * keys.k_row;
    VecF32 sums[kLanes] = {};
    for (int64_t i = 0; i < count; ++i) {
      VecF32 sum = {};
      for (int64_t c = 0; c < head_size; c += kLanes) {
        sum += load_columns(row + i * keys.k_row, keys.k_col, c, head_size) * load_lanes(query + c);
      }
      sums[i] = sum;
    }
    transpose_lanes(sums);
    VecF32 total = sums[0];
    for (int i = 1; i < kLanes; ++i) total += sums[i];
    count == kLanes ? store_lanes(scores + key, total) : store_part(scores + key, total, count);
  }
}

// y[c] += Σ p · V for four vectors of columns at a time.
void add_values(const KeySegment& keys, int64_t begin, int64_t end, const float* p, int64_t value_size, float* y) {
  constexpr int kVectors = 4;
  for (int64_t c = 0; c < value_size; c += kVectors * kLanes) {
    VecF32 acc[kVectors] = {};
    const int64_t left = value_size - c;
    const int vectors = static_cast<int>(left >= kVectors * kLanes ? kVectors : (left + kLanes - 1) / kLanes);
    if (vectors == kVectors && left >= kVectors * kLanes && keys.v_col == 1) {
      for (int64_t key = begin; key < end; ++key) {
        const float* row = keys.v + (key - keys.begin) * keys.v_row + c;
        for (int v = 0; v < kVectors; ++v) acc[v] += load_lanes(row + v * kLanes) * p[key];
      }
    } else {
      for (int64_t key = begin; key < end; ++key) {
        const float* row = keys.v + (key - keys.begin) * keys.v_row;
        for (int v = 0; v < vectors; ++v) {
          acc[v] += load_columns(row, keys.v_col, c + v * kLanes, value_size) * p[key];
        }
      }
    }
    for (int v = 0; v < vectors; ++v) {
      float* to = y + c + v * kLanes;
      store_lanes(to, load_lanes(to) + acc[v]);
    }
  }
}

// Scores become their exponentials, 0 outside the range; gives the sum.
float exponentials(float* scores, int64_t begin, int64_t end) {
  VecF32 greatest = splat(-__builtin_inff());
  for (int64_t i = begin; i < end; i += kLanes) {
    const int64_t left = end - i;
    const VecF32 v =
        left >= kLanes ? load_lanes(scores + i) : keep_lanes(load_part(scores + i, left), left, -__builtin_inff());
    greatest = max_lanes(v, greatest);
  }
  const float maximum = greatest_lane(greatest);
  const float shift = maximum == -__builtin_inff() ? 0.0f : maximum;
  const SoftmaxExp exponential;
  VecF32 sum = {};
  for (int64_t i = begin; i < end; i += kLanes) {
    const int64_t left = end - i < kLanes ? end - i : kLanes;
    const VecF32 p = keep_lanes(exponential(load_part(scores + i, left) - shift), left, 0.0f);
    store_part(scores + i, p, left);
    sum += p;
  }
  return sum_lanes(sum);
}

void add_mask(const AttentionRun& run, int64_t offset, int64_t begin, int64_t end, float* scores) {
  const AttentionState& s = *run.state;
  if (s.mask_kind == kNoMask) return;
  for (int64_t key = begin; key < end; ++key) {
    const int64_t at = offset + key * s.mask.col;
    if (s.mask_kind == kFloatMask) {
      scores[key] += static_cast<const float*>(run.mask)[at];
    } else if (!static_cast<const uint8_t*>(run.mask)[at]) {
      scores[key] += -__builtin_inff();
    }
  }
}

void one_query(const AttentionRun& run, const AttentionTask& task, int64_t r, float* workspace) {
  const AttentionState& s = *run.state;
  float *query = workspace, *y = query + round_up(s.head_size), *scores = y + round_up(s.value_size);
  const QueryPlace place = place_of(s, task, r);
  const float* from = run.q + offset_of(s.q, task.batch, place);
  for (int64_t c = 0; c < s.head_size; ++c) query[c] = from[c * s.q.col] * s.scale;
  for (int64_t c = s.head_size; c < round_up(s.head_size); ++c) query[c] = 0.0f;

  const KeyRange range = range_of(run, task.batch, place.position);
  const int64_t first = range.first < s.total ? range.first : s.total;
  const int64_t end = range.last + 1 > first ? range.last + 1 : first;
  const bool whole = run.scores != nullptr;
  const int64_t score_first = whole ? 0 : first, score_end = whole ? s.total : end;
  const int64_t score_row = (task.batch * s.q_heads + place.head) * s.q_length + place.position;
  float* wanted = whole ? run.scores + score_row * s.total : nullptr;
  const auto copy_scores = [&](int mode) {
    if (wanted != nullptr && s.scores_mode == mode) memcpy(wanted, scores, static_cast<size_t>(s.total) * 4);
  };
  const auto in_segments = [&](int64_t from_key, int64_t to_key, auto call) {
    for (int part = s.past_length > 0 ? 0 : 1; part < 2; ++part) {
      const KeySegment keys = segment_of(run, task, part == 0);
      const int64_t begin = from_key > keys.begin ? from_key : keys.begin;
      const int64_t stop = to_key < keys.end ? to_key : keys.end;
      if (begin < stop) call(keys, begin, stop);
    }
  };
  in_segments(score_first, score_end, [&](const KeySegment& keys, int64_t begin, int64_t stop) {
    score_keys(keys, begin, stop, query, s.head_size, scores);
  });
  copy_scores(0);
  if (s.softcap > 0) {
    for (int64_t i = score_first; i < score_end; i += kLanes) {
      const int64_t left = score_end - i < kLanes ? score_end - i : kLanes;
      store_part(scores + i, vmath::tanh(load_part(scores + i, left) / s.softcap) * s.softcap, left);
    }
  }
  copy_scores(1);
  for (int64_t i = score_first; i < score_end; ++i) {
    if (i < first || i >= end) scores[i] = -__builtin_inff();
  }
  add_mask(run, offset_of(s.mask, task.batch, place), first, end, scores);
  copy_scores(2);
  const float sum = exponentials(scores, first, end), factor = 1.0f / (sum == 0.0f ? 1.0f : sum);
  if (wanted != nullptr && s.scores_mode == 3) {
    for (int64_t i = 0; i < s.total; ++i) wanted[i] = i < first || i >= end ? 0.0f : scores[i] * factor;
  }
  for (int64_t c = 0; c < round_up(s.value_size); ++c) y[c] = 0.0f;
  in_segments(first, end, [&](const KeySegment& keys, int64_t begin, int64_t stop) {
    add_values(keys, begin, stop, scores, s.value_size, y);
  });
  float* to = run.y + offset_of(s.y, task.batch, place);
  for (int64_t c = 0; c < s.value_size; ++c) to[c] = y[c] * factor;
}

}  // namespace

int64_t attention_rows_floats(const AttentionState& state) {
  return round_up(state.head_size) + round_up(state.value_size) + round_up(state.total);
}

void attention_rows(const AttentionRun& run, const AttentionTask& task, float* workspace) {
  for (int64_t r = 0; r < task.count; ++r) one_query(run, task, r, workspace);
}

}  // namespace GK_LEVEL
}  // namespace graphopt
