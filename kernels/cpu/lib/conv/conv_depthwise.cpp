// See conv_depthwise.h. A task is one or two rows of output pixels, cut into register tiles of eight or fourteen
// neighbours or fewer; a tile walks the channels a vector at a time, so that every input and weight it needs is loaded
// once: for a 3×3 kernel a tile of 2×8 pixels loads 40 inputs and 9 weights for 144 multiplications. Kernels of other widths
// than 3, 5 and 7 take some taps of a line at a time.
#include "cpu/lib/conv/conv_depthwise.h"

#include "cpu/lib/conv/conv_depthwise_tile.h"

namespace graphopt {
namespace GK_LEVEL {

using namespace depthwise;

namespace {

constexpr int64_t kFinishFloats = 4096;  // results that wait for their epilogue

constexpr int64_t kMostPointers = 2048;  // of a tile: more would push X out of the first cache

// Neighbours of a dilated line do not share inputs, but every dilation-th output does: those are neighbours for tiles.
bool is_fast(const DepthwiseShape& s) {
  return s.multiplier == 1 && s.kernel[0] == 1 && (s.dilation[2] == 1 || s.stride[2] == 1) &&
         (s.kernel[1] + 1) * ((kTile - 1) * s.stride[2] + s.kernel[2]) <= kMostPointers &&
         fast_tiles(s.kernel[2], s.stride[2], 1, s.dilation[2]) != nullptr;
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

// `tile` has Y, bias and bounds; the output pixels start at (od, oh, ow).
void run_generic(const Run& run, const float* image, Tile tile, int64_t od, int64_t oh, int64_t ow) {
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
      const float* weights = run.weights + done * kLanes;
      if (s.multiplier == 1) {
        generic_tile<false>(tile, taps, 1, weights);
      } else {
        generic_tile<true>(tile, taps, s.multiplier, weights);
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

// The tile of output pixel ow and those `dilation` further, one row or two; how many pixels it took.
int64_t run_tile(const Run& run, const FastTiles& fast, const float* origin, Tile* tile, int64_t ow, int64_t end,
                 const float** table) {
  const DepthwiseShape& s = run.plan->shape;
  const int64_t dilation = s.dilation[2], left = divide_up(end - ow, dilation), iw0 = ow * s.stride[2] - s.pad[2];
  // Small tiles have too few sums in flight to be faster than a larger one that is not full.
  const int size = left <= fast.most_left[0] ? 2 : left <= fast.most_left[1] ? 1 : 0;
  const int64_t columns = (fast.pixels[size] - 1) * s.stride[2] + s.kernel[2];
  tile->count = static_cast<int>(left < fast.pixels[size] ? left : fast.pixels[size]);
  if (tile->count == fast.pixels[0] && iw0 >= 0 && iw0 + (columns - 1) * dilation < s.in[2]) {
    tile->x = origin + iw0 * s.x_step;
    fast.inner(*tile);
    return tile->count;
  }
  // Columns [low, high) lie inside X.
  int64_t low = iw0 < 0 ? divide_up(-iw0, dilation) : 0, high = iw0 < s.in[2] ? divide_up(s.in[2] - iw0, dilation) : 0;
  high = high < columns ? high : columns;
  low = low < high ? low : high;
  for (int64_t i = tile->row_begin; i < tile->row_end; ++i) {
    const float** row = table + i * columns;
    const float* first = origin + i * tile->row_step + (iw0 + low * dilation) * s.x_step;
    for (int64_t j = 0; j < low; ++j) row[j] = run.zeros;
    for (int64_t j = low; j < high; ++j) row[j] = first + (j - low) * tile->pixel_step;
    for (int64_t j = high; j < columns; ++j) row[j] = run.zeros;
  }
  tile->table = table;
  fast.table[size](*tile);
  return tile->count;
}

// Output pixels [begin, end) of `rows` rows from oh on, without what finish() does.
void run_rows(const Run& run, int64_t n, int64_t od, int64_t oh, int64_t rows, int64_t begin, int64_t end) {
  const DepthwiseShape& s = run.plan->shape;
  const float* image = run.x + n * s.in[0] * s.in[1] * s.in[2] * s.x_step;
  Tile tile = {};
  tile.row_step = s.dilation[1] * s.in[2] * s.x_step;
  tile.pixel_step = s.dilation[2] * s.x_step;
  tile.kernel_rows = static_cast<int>(s.kernel[1]);
  tile.kernel_width = static_cast<int>(s.kernel[2]);
  tile.weights = run.weights;
  tile.block_step = run.plan->taps * kLanes;
  tile.bias = run.bias;
  tile.y_row_step = s.out[2] * s.y_step;
  tile.y_step = s.y_step;
  tile.channels = s.channels * s.multiplier;
  tile.activation = run.activation;
  float* row_y = run.y + ((n * s.out[0] + od) * s.out[1] + oh) * tile.y_row_step;
  const FastTiles* fast = run.fast ? fast_tiles(s.kernel[2], s.stride[2], rows, s.dilation[2]) : nullptr;
  const int64_t id = od * s.stride[0] - s.pad[0];
  if (fast == nullptr || id < 0 || id >= s.in[0]) {
    for (int64_t r = 0; r < rows; ++r) {
      tile.y = row_y + r * tile.y_row_step + begin * s.y_step;
      tile.count = static_cast<int>(end - begin);
      run_generic(run, image, tile, od, oh + r, begin);
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
  tile.y_step = s.dilation[2] * s.y_step;
  const float* origin = image + (id * s.in[1] + ih0) * s.in[2] * s.x_step;
  const float* table[kMostPointers];
  for (int64_t phase = 0; phase < s.dilation[2]; ++phase) {
    for (int64_t ow = begin + phase; ow < end;) {
      tile.y = row_y + ow * s.y_step;
      ow += s.dilation[2] * run_tile(run, *fast, origin, &tile, ow, end, table);
    }
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
    const int64_t tile = kTile * (run.fast ? s.dilation[2] : 1);
    const int64_t piece = divide_up(kFinishFloats, s.channels * s.multiplier * rows * tile) * tile;
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
  if (shape.kernel[2] == 1) plan->shape.dilation[2] = 1;
  if (shape.x_step == 0) plan->shape.x_step = shape.channels;
  if (shape.y_step == 0) plan->shape.y_step = shape.channels * shape.multiplier;
  plan->taps = shape.kernel[0] * shape.kernel[1] * shape.kernel[2];
  plan->row_tile = is_fast(plan->shape) && shape.stride[1] == 1 && shape.dilation[1] == 1 && shape.out[1] > 1 &&
                           fast_tiles(shape.kernel[2], shape.stride[2], 2, shape.dilation[2]) != nullptr
                       ? 2
                       : 1;
  // Few rows are cut, so that threads have something to share.
  const int64_t segment = is_fast(plan->shape) && shape.dilation[2] > 4 ? 2 * kTile * shape.dilation[2] : 64;
  plan->segment = shape.out[1] * shape.out[0] >= 16 || shape.out[2] <= segment ? shape.out[2] : segment;
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
