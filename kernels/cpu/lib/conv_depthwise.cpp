// See conv_depthwise.h. A task is one or two rows of output pixels, cut into register tiles of eight, four or two
// neighbours; a tile walks the channels a vector at a time, so that every input and weight it needs is loaded once:
// for a 3×3 kernel a tile of 2×8 pixels loads 40 inputs and 9 weights for 144 multiplications.
#include "cpu/lib/conv_depthwise.h"

#include "cpu/lib/lanes.h"
#include "cpu/lib/program.h"
#include "cpu/lib/vmath.h"

namespace graphopt {
namespace GK_LEVEL {
namespace {

constexpr int kMostFastRows = 8;  // input rows of a tile of the fast kernels: kernel height, one more for two rows
constexpr int kTile = 8;          // output pixels
constexpr int kGenericTile = 4;
constexpr int64_t kFinishFloats = 4096;  // results that wait for their epilogue
constexpr int kGenericTaps = 32;  // taps between two visits to Y
constexpr bool kHasMasks = kVectorBytes == 64;

#define GK_TILE inline __attribute__((always_inline))

// A vector of which the first `left` lanes count; more than all is all.
GK_TILE VecF32 load_some(const float* from, int64_t left) {
  return left >= kLanes ? load_lanes(from) : load_part(from, left);
}

GK_TILE void store_some(float* to, VecF32 v, int64_t left) {
  if (left >= kLanes) return store_lanes(to, v);
  store_part(to, v, left);
}

// What is done to results in registers: y = clamp(x), or that of mobile networks, y = x · clamp(x / 6 + 1/2, 0, 1) with
// perhaps a number to multiply by and one to add.
struct Activation {
  float low, high;
  bool swish, affine;
  float scale, shift;
};

template <int Count>
GK_TILE void activate(const Activation& activation, VecF32* v) {
  if (!activation.swish) {
    const VecF32 low = splat(activation.low), high = splat(activation.high);
#pragma GCC unroll 16
    for (int i = 0; i < Count; ++i) v[i] = vmath::clamp(v[i], low, high);
    return;
  }
#pragma GCC unroll 16
  for (int i = 0; i < Count; ++i) v[i] *= vmath::clamp(v[i] * (1.0f / 6) + 0.5f, VecF32{}, splat(1.0f));
  if (!activation.affine) return;
#pragma GCC unroll 16
  for (int i = 0; i < Count; ++i) v[i] = v[i] * activation.scale + activation.shift;
}

// Whether that is all there is to do.
bool read_activation(const Epilogue& epilogue, Activation* activation) {
  const float infinity = __builtin_inff();
  *activation = {-infinity, infinity, false, false, 1.0f, 0.0f};
  if (epilogue.form == kEpilogueNone) return true;
  activation->low = epilogue.low;
  activation->high = epilogue.high;
  if (epilogue.form == kEpilogueClamp) return true;
  activation->low = -infinity;
  activation->high = infinity;
  const EpilogueInstruction* steps = epilogue.instructions;
  const int count = epilogue.instruction_count, first = 1 + epilogue.operand_count;
  if (count < 1 || count > 3 || steps[0].opcode != program::kOp_hard_swish || steps[0].a != 0) return false;
  int value = steps[0].dst;
  for (int i = 1; i < count; ++i) {
    const EpilogueInstruction& step = steps[i];
    const int constant = (step.a == value ? step.b : step.a) - first;
    const bool fits = (step.a == value || step.b == value) && constant >= 0 && constant < epilogue.constant_count;
    if (!fits || (step.opcode != program::kOp_add && (step.opcode != program::kOp_mul || i != 1))) return false;
    (step.opcode == program::kOp_mul ? activation->scale : activation->shift) = epilogue.constants[constant];
    if (step.opcode == program::kOp_add && i + 1 != count) return false;
    activation->affine = true;
    value = step.dst;
  }
  activation->swish = true;
  return value == epilogue.result;
}

int64_t blocks_of(int64_t channels) { return (channels + kLanes - 1) / kLanes; }

// What a register tile reads and writes. Input row i of the tile meets kernel row i - r of output row r.
struct Tile {
  const float* const* table;  // [input row][column] pointers to pixels, or null: column j of row i is at
  const float* x;             // x + i * row_step + j * pixel_step
  int64_t row_step, pixel_step;
  int row_begin, row_end;     // input rows that are not padding
  int kernel_rows;
  const float* weights;       // of channel block 0
  int64_t block_step;         // between two blocks of weights
  const float* bias;
  float* y;
  int64_t y_row_step, y_step, channels;
  int count;                  // output pixels to write
  Activation activation;
};

// One input row into the accumulators of the output rows it belongs to (First, Second).
template <int KW, int SW, int P, bool First, bool Second, bool Table, bool Tail>
GK_TILE void add_row(const Tile& tile, int i, int64_t c, int64_t left, const float* weights, VecF32 (*acc)[P]) {
  constexpr int columns = (P - 1) * SW + KW;
  VecF32 w[2][KW];
#pragma GCC unroll 16
  for (int t = 0; t < KW; ++t) {
    if constexpr (First) w[0][t] = load_lanes(weights + (i * KW + t) * kLanes);
    if constexpr (Second) w[1][t] = load_lanes(weights + ((i - 1) * KW + t) * kLanes);
  }
  const float* row = Table ? nullptr : tile.x + i * tile.row_step + c;
#pragma GCC unroll 32
  for (int j = 0; j < columns; ++j) {
    const float* at = Table ? tile.table[i * columns + j] + c : row + j * tile.pixel_step;
    const VecF32 x = Tail ? load_some(at, left) : load_lanes(at);
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) {
      const int t = j - p * SW;
      if (t < 0 || t >= KW) continue;
      if constexpr (First) acc[0][p] += x * w[0][t];
      if constexpr (Second) acc[1][p] += x * w[1][t];
    }
  }
}

// One vector of channels.
template <int KW, int SW, int R, int P, bool Table, bool Tail>
GK_TILE void tile_block(const Tile& tile, int64_t c, const float* weights) {
  const int64_t left = tile.channels - c;
  VecF32 start = {};
  if (tile.bias != nullptr) start = Tail ? load_some(tile.bias + c, left) : load_lanes(tile.bias + c);
  VecF32 acc[R][P];
#pragma GCC unroll 32
  for (int i = 0; i < R * P; ++i) acc[i / P][i % P] = start;
  if constexpr (R == 1) {
    for (int i = tile.row_begin; i < tile.row_end; ++i) {
      add_row<KW, SW, P, true, false, Table, Tail>(tile, i, c, left, weights, acc);
    }
  } else {
    int i = tile.row_begin;
    const int both = tile.row_end < tile.kernel_rows ? tile.row_end : tile.kernel_rows;
    if (i == 0 && i < both) add_row<KW, SW, P, true, false, Table, Tail>(tile, i++, c, left, weights, acc);
    for (; i < both; ++i) add_row<KW, SW, P, true, true, Table, Tail>(tile, i, c, left, weights, acc);
    if (i < tile.row_end) add_row<KW, SW, P, false, true, Table, Tail>(tile, i, c, left, weights, acc);
  }
#pragma GCC unroll 2
  for (int r = 0; r < R; ++r) {
    float* y = tile.y + r * tile.y_row_step + c;
    activate<P>(tile.activation, acc[r]);
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) {
      if (Table && p >= tile.count) break;
      if constexpr (Tail) {
        store_some(y + p * tile.y_step, acc[r][p], left);
      } else {
        store_lanes(y + p * tile.y_step, acc[r][p]);
      }
    }
  }
}

template <int KW, int SW, int R, int P, bool Table>
void fast_tile(const Tile& tile) {
  const float* weights = tile.weights;
  int64_t c = 0;
  for (; c + kLanes <= tile.channels; c += kLanes, weights += tile.block_step) {
    tile_block<KW, SW, R, P, Table, false>(tile, c, weights);
  }
  if constexpr (kHasMasks) {
    if (c < tile.channels) tile_block<KW, SW, R, P, Table, true>(tile, c, weights);
  }
}

// Any kernel, stride and dilation, from pointers per tap and pixel. Channels from `first` on.
struct Taps {
  const float* x[kGenericTaps][kGenericTile];
  int count;
  bool begin, end;  // of the kernel: start with the bias, not Y; end with the clamp
};

template <bool Multiplied>
void generic_tile(const Tile& tile, const Taps& taps, int64_t first, int64_t multiplier, const float* weights) {
  for (int64_t c = first; c < tile.channels; c += kLanes, weights += tile.block_step) {
    const int64_t left = tile.channels - c;
    const int64_t from = Multiplied ? c / multiplier : c;
    VecI32 lane = {};
    int64_t reads = left;
    if constexpr (Multiplied) {
      for (int i = 0; i < kLanes; ++i) lane[i] = static_cast<int32_t>((c + i) / multiplier - from);
      reads = (tile.channels - 1) / multiplier - from + 1;
    }
    VecF32 acc[kGenericTile];
#pragma GCC unroll 4
    for (int p = 0; p < kGenericTile; ++p) {
      acc[p] = VecF32{};
      if (!taps.begin) {
        if (p < tile.count) acc[p] = load_some(tile.y + p * tile.y_step + c, left);
      } else if (tile.bias != nullptr) {
        acc[p] = load_some(tile.bias + c, left);
      }
    }
    for (int t = 0; t < taps.count; ++t) {
      const VecF32 w = load_lanes(weights + t * kLanes);
#pragma GCC unroll 4
      for (int p = 0; p < kGenericTile; ++p) {
        VecF32 x = load_some(taps.x[t][p] + from, reads);
        if constexpr (Multiplied) x = __builtin_shuffle(x, lane);
        acc[p] += x * w;
      }
    }
    if (taps.end) activate<kGenericTile>(tile.activation, acc);
#pragma GCC unroll 4
    for (int p = 0; p < kGenericTile; ++p) {
      if (p < tile.count) store_some(tile.y + p * tile.y_step + c, acc[p], left);
    }
  }
}

using FastTile = void (*)(const Tile&);

// The kernels of one kernel width and stride, for one or two rows.
struct FastTiles {
  FastTile inner;     // eight pixels, no padding at the sides
  FastTile table[3];  // eight, four, two pixels
};

template <int KW, int SW, int R>
constexpr FastTiles kFast = {fast_tile<KW, SW, R, kTile, false>,
                             {fast_tile<KW, SW, R, 8, true>, fast_tile<KW, SW, R, 4, true>, fast_tile<KW, SW, R, 2, true>}};

const FastTiles* fast_tiles(int64_t width, int64_t stride, int64_t rows) {
  if constexpr (kVectorRegisters >= 32) {
    if (rows == 2 && stride == 1 && width == 3) return &kFast<3, 1, 2>;
    if (rows == 2 && stride == 1 && width == 5) return &kFast<5, 1, 2>;
  }
  if (rows == 1 && stride == 1 && width == 3) return &kFast<3, 1, 1>;
  if (rows == 1 && stride == 1 && width == 5) return &kFast<5, 1, 1>;
  if (rows == 1 && stride == 1 && width == 7) return &kFast<7, 1, 1>;
  if (rows == 1 && stride == 2 && width == 3) return &kFast<3, 2, 1>;
  if (rows == 1 && stride == 2 && width == 5) return &kFast<5, 2, 1>;
  return nullptr;
}

bool is_fast(const DepthwiseShape& s) {
  return s.multiplier == 1 && s.kernel[0] == 1 && s.kernel[1] < kMostFastRows && s.dilation[2] == 1 &&
         fast_tiles(s.kernel[2], s.stride[2], 1) != nullptr;
}

struct Run {
  const gk_call* call;
  const DepthwisePlan* plan;
  const float *x, *weights, *zeros, *bias;
  const Epilogue* epilogue;
  float* y;
  bool fast, program;  // program: an epilogue is left to do on finished pixels
  Activation activation;
};

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// `tile` has Y, bias and bounds; the output pixels start at (od, oh, ow); channels from `first` on.
void run_generic(const Run& run, const float* image, Tile tile, int64_t od, int64_t oh, int64_t ow, int64_t first) {
  const DepthwiseShape& s = run.plan->shape;
  const int64_t pixels = tile.count;
  float* y = tile.y;
  for (int64_t p0 = 0; p0 < pixels; p0 += kGenericTile) {
    tile.y = y + p0 * tile.y_step;
    tile.count = static_cast<int>(pixels - p0 < kGenericTile ? pixels - p0 : kGenericTile);
    Taps taps;
    taps.count = 0;
    taps.begin = true;
    int64_t done = 0;
    for (int64_t tap = 0; tap < run.plan->taps; ++tap) {
      const int64_t kw = tap % s.kernel[2], kh = tap / s.kernel[2] % s.kernel[1], kd = tap / s.kernel[2] / s.kernel[1];
      const int64_t id = od * s.stride[0] + kd * s.dilation[0] - s.pad[0];
      const int64_t ih = oh * s.stride[1] + kh * s.dilation[1] - s.pad[1];
      const bool inside = id >= 0 && id < s.in[0] && ih >= 0 && ih < s.in[1];
      for (int p = 0; p < kGenericTile; ++p) {
        const int64_t iw = (ow + p0 + p) * s.stride[2] + kw * s.dilation[2] - s.pad[2];
        taps.x[taps.count][p] = inside && iw >= 0 && iw < s.in[2]
                                    ? image + ((id * s.in[1] + ih) * s.in[2] + iw) * s.x_step
                                    : run.zeros;
      }
      if (++taps.count < kGenericTaps && tap + 1 < run.plan->taps) continue;
      taps.end = tap + 1 == run.plan->taps;
      const float* weights = run.weights + first / kLanes * tile.block_step + done * kLanes;
      if (s.multiplier == 1) {
        generic_tile<false>(tile, taps, first, 1, weights);
      } else {
        generic_tile<true>(tile, taps, first, s.multiplier, weights);
      }
      done = tap + 1;
      taps.count = 0;
      taps.begin = false;
    }
  }
}

// The epilogue of output pixels [begin, end) of `rows` rows.
void finish(const Run& run, int64_t n, int64_t od, int64_t oh, int64_t rows, int64_t begin, int64_t end) {
  const DepthwiseShape& s = run.plan->shape;
  const int64_t channels = s.channels * s.multiplier;
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t row = (od * s.out[1] + oh + r) * s.out[2] + begin, count = end - begin;
    float* y = run.y + (n * s.out[0] * s.out[1] * s.out[2] + row) * s.y_step;
    if (run.epilogue->operand_count == 0 && s.y_step == channels) {  // every element alike: one long row
      apply_epilogue(*run.epilogue, run.call, y, count * channels, 0, 0, 1, 0, count * channels);
    } else {
      apply_epilogue(*run.epilogue, run.call, y, s.y_step, n, row, count, 0, channels);
    }
  }
}

// Output pixels [begin, end) of `rows` rows from oh on, without what finish() does.
void run_rows(const Run& run, int64_t n, int64_t od, int64_t oh, int64_t rows, int64_t begin, int64_t end) {
  const DepthwiseShape& s = run.plan->shape;
  const int64_t channels = s.channels * s.multiplier;
  const float* image = run.x + n * s.in[0] * s.in[1] * s.in[2] * s.x_step;
  Tile tile = {};
  tile.row_step = s.dilation[1] * s.in[2] * s.x_step;
  tile.pixel_step = s.x_step;
  tile.kernel_rows = static_cast<int>(s.kernel[1]);
  tile.weights = run.weights;
  tile.block_step = run.plan->taps * kLanes;
  tile.bias = run.bias;
  tile.y_row_step = s.out[2] * s.y_step;
  tile.y_step = s.y_step;
  tile.channels = channels;
  tile.activation = run.activation;
  float* row_y = run.y + ((n * s.out[0] + od) * s.out[1] + oh) * tile.y_row_step;
  const FastTiles* fast = run.fast ? fast_tiles(s.kernel[2], s.stride[2], rows) : nullptr;
  const int64_t id = od * s.stride[0] - s.pad[0];
  if (fast == nullptr || id < 0 || id >= s.in[0]) {
    for (int64_t r = 0; r < rows; ++r) {
      tile.y = row_y + r * tile.y_row_step + begin * s.y_step;
      tile.count = static_cast<int>(end - begin);
      run_generic(run, image, tile, od, oh + r, begin, 0);
    }
    return;
  }
  // Input rows of the tile inside X: i with 0 <= ih0 + i * dilation < height.
  const int64_t ih0 = oh * s.stride[1] - s.pad[1], dilation = s.dilation[1];
  int64_t row_begin = ih0 < 0 ? divide_up(-ih0, dilation) : 0;
  int64_t row_end = ih0 < s.in[1] ? divide_up(s.in[1] - ih0, dilation) : 0;
  const int64_t last = s.kernel[1] + rows - 1;
  row_end = row_end < last ? row_end : last;
  row_begin = row_begin < row_end ? row_begin : row_end;
  tile.row_begin = static_cast<int>(row_begin);
  tile.row_end = static_cast<int>(row_end);
  const float* origin = image + (id * s.in[1] + ih0) * s.in[2] * s.x_step;
  const float* table[kMostFastRows * ((kTile - 1) * 2 + 7)];
  for (int64_t ow = begin; ow < end;) {
    const int64_t left = end - ow, iw0 = ow * s.stride[2] - s.pad[2];
    const int size = left >= 7 ? 0 : left >= 3 ? 1 : 2;
    const int64_t columns = ((kTile >> size) - 1) * s.stride[2] + s.kernel[2];
    tile.count = static_cast<int>(left < kTile >> size ? left : kTile >> size);
    tile.y = row_y + ow * s.y_step;
    if (tile.count == kTile && iw0 >= 0 && iw0 + columns <= s.in[2]) {
      tile.x = origin + iw0 * s.x_step;
      fast->inner(tile);
    } else {
      for (int64_t i = row_begin; i < row_end; ++i) {
        for (int64_t j = 0; j < columns; ++j) {
          const int64_t iw = iw0 + j;
          table[i * columns + j] =
              iw >= 0 && iw < s.in[2] ? origin + i * tile.row_step + iw * s.x_step : run.zeros;
        }
      }
      tile.table = table;
      fast->table[size](tile);
    }
    const int64_t full = channels / kLanes * kLanes;
    if (!kHasMasks && full < channels) {
      for (int64_t r = 0; r < rows; ++r) {
        Tile rest = tile;
        rest.y = tile.y + r * tile.y_row_step;
        run_generic(run, image, rest, od, oh + r, ow, full);
      }
    }
    ow += tile.count;
  }
}

void run_tasks(void* context, int64_t first, int64_t last, int32_t) {
  const Run& run = *static_cast<const Run*>(context);
  const DepthwisePlan& plan = *run.plan;
  const DepthwiseShape& s = plan.shape;
  const int64_t segments = divide_up(s.out[2], plan.segment), row_tiles = divide_up(s.out[1], plan.row_tile);
  for (int64_t task = first; task < last; ++task) {
    const int64_t begin = task % segments * plan.segment, row_tile = task / segments % row_tiles;
    const int64_t image = task / segments / row_tiles, n = image / s.out[0], od = image % s.out[0];
    const int64_t end = begin + plan.segment < s.out[2] ? begin + plan.segment : s.out[2];
    const int64_t oh = row_tile * plan.row_tile;
    const int64_t rows = s.out[1] - oh < plan.row_tile ? s.out[1] - oh : plan.row_tile;
    if (!run.program) {
      run_rows(run, n, od, oh, rows, begin, end);
      continue;
    }
    // In pieces that are still in the first cache.
    const int64_t piece = divide_up(kFinishFloats, s.channels * s.multiplier * rows * kTile) * kTile;
    for (int64_t ow = begin; ow < end; ow += piece) {
      const int64_t until = ow + piece < end ? ow + piece : end;
      run_rows(run, n, od, oh, rows, ow, until);
      finish(run, n, od, oh, rows, ow, until);
    }
  }
}

}  // namespace

void prepare_depthwise(const DepthwiseShape& shape, DepthwisePlan* plan) {
  *plan = {};
  plan->shape = shape;
  if (shape.x_step == 0) plan->shape.x_step = shape.channels;
  if (shape.y_step == 0) plan->shape.y_step = shape.channels * shape.multiplier;
  plan->taps = shape.kernel[0] * shape.kernel[1] * shape.kernel[2];
  plan->row_tile = is_fast(shape) && shape.stride[1] == 1 && shape.dilation[1] == 1 && shape.out[1] > 1 &&
                           fast_tiles(shape.kernel[2], shape.stride[2], 2) != nullptr
                       ? 2
                       : 1;
  // Few rows are cut, so that threads have something to share.
  plan->segment = shape.out[1] * shape.out[0] >= 16 || shape.out[2] <= 64 ? shape.out[2] : 64;
}

int64_t depthwise_packed_bytes(const DepthwisePlan& plan) {
  const int64_t blocks = blocks_of(plan.shape.channels * plan.shape.multiplier);
  return (blocks * plan.taps + blocks) * kVectorBytes;
}

void pack_depthwise(const DepthwisePlan& plan, const float* weights, float* packed) {
  const int64_t channels = plan.shape.channels * plan.shape.multiplier, blocks = blocks_of(channels);
  for (int64_t block = 0; block < blocks; ++block) {
    for (int64_t tap = 0; tap < plan.taps; ++tap) {
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        const int64_t m = block * kLanes + lane;
        *packed++ = m < channels ? weights[m * plan.taps + tap] : 0.0f;
      }
    }
  }
  for (int64_t i = 0; i < blocks * kLanes; ++i) *packed++ = 0.0f;
}

int run_depthwise(const gk_call* call, const DepthwisePlan& plan, const float* x, const float* packed,
                  const float* bias, const Epilogue& epilogue, float* y) {
  const DepthwiseShape& s = plan.shape;
  const int64_t channels = s.channels * s.multiplier, segments = divide_up(s.out[2], plan.segment);
  if (s.batch == 0 || s.out[0] == 0 || s.out[1] == 0 || s.out[2] == 0 || channels == 0) return GK_OK;
  Run run = {call, &plan, x, packed, packed + blocks_of(channels) * plan.taps * kLanes, bias, &epilogue, y,
             is_fast(s), false, {}};
  run.program = !read_activation(epilogue, &run.activation) && epilogue_is_tiled(epilogue);
  const int64_t tasks = s.batch * s.out[0] * divide_up(s.out[1], plan.row_tile) * segments;
  const int64_t flops = 4 * plan.row_tile * plan.segment * channels * plan.taps;  // they run at half the peak
  return parallel_for(call, tasks, divide_up(kGrainFlops, flops), run_tasks, &run);
}

}  // namespace GK_LEVEL
}  // namespace graphopt
