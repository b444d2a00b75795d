#include "cpu/lib/conv/conv_winograd.h"

#include <string.h>

#include "cpu/lib/conv/conv_winograd_tile.h"
#include "cpu/lib/gemm/gemm_f32.h"

namespace graphopt {
namespace GK_LEVEL {
namespace {

// Transformed inputs of a task: a part of the second-level cache, which weights and products share.
constexpr int64_t kInputFloats = 96 * 1024;
// With fewer channels the transforms outweigh the products.
constexpr int64_t kLeastChannels = 16, kMostChannels = 1024;
// What a machine multiplies and adds in the time that it reads a byte of memory.
constexpr double kFlopsPerByte = 15.0;
// Transformed weights that threads should rather share than each read all of.
constexpr int64_t kSharedWeightBytes = 256 * 1024;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t lanes_up(int64_t count) { return ceil_div(count, kLanes) * kLanes; }
// Floats that stand for padding: four pixels.
int64_t zero_floats(const ConvShape& s) { return ceil_div(3 * s.x_step + s.channels, 16) * 16; }
// Lines of tiles that differ by a power of two would all fall into a few sets of the cache.
int64_t position_step(int64_t tiles, int64_t row) { return tiles * row + 16; }

// The parts of a worker's memory, in floats.
struct Layout {
  int64_t input_step, product_step;  // between positions
  int64_t inputs, products, rows, total;
};

Layout layout_of(const ConvShape& shape, const WinogradPlan& plan) {
  Layout layout;
  layout.input_step = position_step(plan.block_tiles, lanes_up(shape.channels));
  layout.product_step = position_step(plan.block_tiles, plan.filters_step);
  layout.inputs = 0;
  layout.products = kWinogradPositions * layout.input_step;
  layout.rows = layout.products + kWinogradPositions * layout.product_step;
  const int64_t pointers = kWinogradPositions * plan.block_tiles * static_cast<int64_t>(sizeof(float*)) / 4;
  layout.total = ceil_div(layout.rows + pointers, 16) * 16;
  return layout;
}

struct Run {
  const gk_call* call;
  const ConvShape* shape;
  const WinogradPlan* plan;
  Layout layout;
  const float *x, *packed, *bias, *zeros;
  float *y, *workers;
  const Epilogue* epilogue;
  bool in_registers;           // the epilogue is done while results are in registers
  int64_t tiles, image_tiles;  // of all images, of one
  int64_t tile_blocks, col_blocks;
  int64_t rows;                // pixels of one outer slice of the epilogue
};

struct TilePlace {
  int64_t image, row, col;  // row and col of the tile's first output pixel
};

TilePlace place_of(const Run& run, int64_t tile) {
  const int64_t in_image = tile % run.image_tiles, cols = run.plan->tile_cols;
  return {tile / run.image_tiles, in_image / cols * 2, in_image % cols * 2};
}

void advance(const Run& run, TilePlace* place) {
  place->col += 2;
  if (place->col < 2 * run.plan->tile_cols) return;
  place->col = 0;
  place->row += 2;
  if (place->row < 2 * run.plan->tile_rows) return;
  place->row = 0;
  ++place->image;
}

void transform_inputs(const Run& run, int64_t first, int64_t count, float* inputs) {
  const ConvShape& s = *run.shape;
  const int64_t row_floats = lanes_up(s.channels), line = s.in[2] * s.x_step;
  TilePlace place = place_of(run, first);
  for (int64_t i = 0; i < count; ++i, advance(run, &place)) {
    const int64_t h0 = place.row - s.pad[1], w0 = place.col - s.pad[2];
    const float* image = run.x + place.image * s.in[1] * line;
    float* to = inputs + i * row_floats;
    const bool within = w0 >= 0 && w0 + 4 <= s.in[2];
    const float *lines[4], *d[16];
    for (int64_t row = 0; row < 4; ++row) {
      const bool inside = h0 + row >= 0 && h0 + row < s.in[1];
      lines[row] = inside ? image + (h0 + row) * line + (within ? w0 * s.x_step : 0) : run.zeros;
      for (int64_t col = 0; !within && col < 4; ++col) {
        const bool in_line = inside && w0 + col >= 0 && w0 + col < s.in[2];
        d[4 * row + col] = in_line ? lines[row] + (w0 + col) * s.x_step : run.zeros;
      }
    }
    if (within) {
      winograd_input_lines(lines, s.x_step, s.channels, to, run.layout.input_step);
    } else {
      winograd_input(d, s.channels, to, run.layout.input_step);
    }
  }
}

// Fetches a part of what the next block reads and this one writes into the second-level cache while products keep the
// arithmetic busy: the two lines of X that the tiles before did not touch, and the lines of Y. Part `part` of `parts`.
void fetch_ahead(const Run& run, int64_t next, int64_t next_count, int64_t first, int64_t count, int64_t part,
                 int64_t parts) {
  const ConvShape& s = *run.shape;
  for (int64_t i = next + part; i < next + next_count; i += parts) {
    const TilePlace place = place_of(run, i);
    for (int64_t row = place.row - s.pad[1] + 2; row < place.row - s.pad[1] + 4; ++row) {
      const int64_t col = place.col - s.pad[2] + 2;
      if (row < 0 || row >= s.in[1] || col < 0 || col + 2 > s.in[2]) continue;
      const float* pixel = run.x + ((place.image * s.in[1] + row) * s.in[2] + col) * s.x_step;
      for (int64_t c = 0; c < s.x_step + s.channels; c += 16) __builtin_prefetch(pixel + c, 0, 2);
    }
  }
  for (int64_t i = first + part; i < first + count; i += parts) {
    const TilePlace place = place_of(run, i);
    for (int64_t row = place.row; row < place.row + 2 && row < s.out[1]; ++row) {
      const float* pixel = run.y + ((place.image * s.out[1] + row) * s.out[2] + place.col) * s.y_step;
      const int64_t pixels = s.out[2] - place.col < 2 ? 1 : 2;
      for (int64_t f = 0; f < (pixels - 1) * s.y_step + s.filters; f += 16) __builtin_prefetch(pixel + f, 1, 2);
    }
  }
}

// Filters [col0, col0 + cols) of the block's tiles.
void transform_outputs(const Run& run, int64_t first, int64_t count, int64_t col0, int64_t cols,
                       const float* products) {
  const ConvShape& s = *run.shape;
  TilePlace place = place_of(run, first);
  WinogradOutput to = {};
  to.col_step = s.y_step;
  to.row_step = s.out[2] * s.y_step;
  to.bias = run.bias == nullptr ? nullptr : run.bias + col0;
  const bool adds = run.in_registers && run.epilogue->form == kEpilogueAddClamp;
  if (run.in_registers) {
    to.low = run.epilogue->low;
    to.high = run.epilogue->high;
    to.clamp = run.epilogue->form != kEpilogueNone;
  }
  if (adds) {
    to.addend_col_step = run.epilogue->operands[0].row_stride;
    to.addend_row_step = s.out[2] * to.addend_col_step;
  }
  for (int64_t i = 0; i < count; ++i, advance(run, &place)) {
    const int64_t pixel = (place.image * s.out[1] + place.row) * s.out[2] + place.col;
    to.y = run.y + pixel * s.y_step + col0;
    to.rows = s.out[1] - place.row < 2 ? 1 : 2;
    to.cols = s.out[2] - place.col < 2 ? 1 : 2;
    if (adds) to.addend = add_operand(*run.epilogue, run.call, pixel / run.rows, pixel % run.rows, col0);
    winograd_output(products + i * run.plan->filters_step, run.layout.product_step, cols, to);
  }
}

// The epilogue on what a block of tiles wrote, one range of a line at a time.
void apply_to_lines(const Run& run, int64_t first, int64_t count, int64_t col0, int64_t cols) {
  const ConvShape& s = *run.shape;
  TilePlace place = place_of(run, first);
  for (int64_t done = 0; done < count;) {
    const int64_t in_line = run.plan->tile_cols - place.col / 2;
    const int64_t tiles = in_line < count - done ? in_line : count - done;
    const int64_t pixels = 2 * tiles < s.out[2] - place.col ? 2 * tiles : s.out[2] - place.col;
    for (int64_t row = place.row; row < place.row + 2 && row < s.out[1]; ++row) {
      const int64_t pixel = (place.image * s.out[1] + row) * s.out[2] + place.col;
      apply_epilogue(*run.epilogue, run.call, run.y + pixel * s.y_step + col0, s.y_step, pixel / run.rows,
                     pixel % run.rows, pixels, col0, cols);
    }
    done += tiles;
    place = place_of(run, first + done);
  }
}

void run_tasks(void* context, int64_t begin, int64_t end, int32_t worker) {
  const Run& run = *static_cast<const Run*>(context);
  const ConvShape& s = *run.shape;
  const Layout& layout = run.layout;
  float* memory = run.workers + worker * layout.total;
  float *inputs = memory + layout.inputs, *products = memory + layout.products;
  const float** rows = reinterpret_cast<const float**>(memory + layout.rows);
  for (int64_t position = 0; position < kWinogradPositions; ++position) {
    for (int64_t i = 0; i < run.plan->block_tiles; ++i) {
      rows[position * run.plan->block_tiles + i] = inputs + position * layout.input_step + i * lanes_up(s.channels);
    }
  }
  GemmBlock block;
  block.tap_step = run.plan->block_tiles;
  block.k = s.channels;
  block.ldc = run.plan->filters_step;
  block.finish.call = run.call;
  const int64_t position_floats = gemm_packed_floats(s.channels, s.filters);
  int64_t transformed = -1;
  for (int64_t task = begin; task < end; ++task) {
    const int64_t tile_block = task / run.col_blocks, col_block = task % run.col_blocks;
    const int64_t first = run.tiles * tile_block / run.tile_blocks;
    block.m = run.tiles * (tile_block + 1) / run.tile_blocks - first;
    const bool goes_on = (task + 1) / run.col_blocks > tile_block && task + 1 < end;
    const int64_t next = first + block.m;
    const int64_t next_end = goes_on ? run.tiles * (tile_block + 2) / run.tile_blocks : next;
    if (tile_block != transformed) transform_inputs(run, first, block.m, inputs);
    transformed = tile_block;
    const int64_t col0 = col_block * run.plan->block_cols;
    const int64_t col_end = col0 + run.plan->block_cols < s.filters ? col0 + run.plan->block_cols : s.filters;
    for (int64_t col = col0; col < col_end; col += run.plan->filters_step) {
      block.n = col_end - col < run.plan->filters_step ? col_end - col : run.plan->filters_step;
      for (int64_t position = 0; position < kWinogradPositions; ++position) {
        block.rows = rows + position * run.plan->block_tiles;
        block.b = run.packed + position * position_floats + gemm_panel_offset(s.channels, col);
        block.next = position + 1 < kWinogradPositions ? block.b + position_floats : nullptr;
        if (block.next == nullptr && col + block.n < col_end) {
          block.next = run.packed + gemm_panel_offset(s.channels, col + block.n);
        }
        block.c = products + position * layout.product_step;
        gemm_block(block);
        if (col == col0) fetch_ahead(run, next, next_end - next, first, block.m, position, kWinogradPositions);
      }
      transform_outputs(run, first, block.m, col, block.n, products);
      if (!run.in_registers && epilogue_is_tiled(*run.epilogue)) apply_to_lines(run, first, block.m, col, block.n);
    }
  }
}

}  // namespace

bool winograd_pays(const gk_call*, const ConvShape& s) {
  for (int axis = 1; axis < 3; ++axis) {
    if (s.kernel[axis] != 3 || s.stride[axis] != 1 || s.dilation[axis] != 1) return false;
  }
  if (s.kernel[0] != 1 || s.in[0] != 1 || s.out[0] != 1 || s.group != 1) return false;
  if (s.channels < kLeastChannels || s.channels > kMostChannels || s.filters < kLeastChannels) return false;
  // Per channel and filter: multiplications and additions saved, against the 28 more bytes of transformed weights,
  // which come from memory where pixels are few.
  const double tiles = static_cast<double>(s.batch * ceil_div(s.out[1], 2) * ceil_div(s.out[2], 2));
  const double direct = 1.1 * 18.0 * static_cast<double>(s.batch * s.pixels()), here = 1.2 * 32.0 * tiles;
  return direct - here > 28.0 * kFlopsPerByte;
}

void prepare_winograd(const gk_call* call, const ConvShape& s, WinogradPlan* plan) {
  plan->tile_rows = ceil_div(s.out[1], 2);
  plan->tile_cols = ceil_div(s.out[2], 2);
  const int64_t tiles = s.batch * plan->tile_rows * plan->tile_cols, workers = worker_count(call);
  // Tiles of a task: multiples of the rows of a register tile, as many as fit.
  int64_t most = kInputFloats / (kWinogradPositions * lanes_up(s.channels)) / kGemmRows;
  most = kGemmRows * (most < 1 ? 1 : most > 8 ? 8 : most);
  plan->filters_step = kGemmCols * (s.filters <= kGemmCols ? 1 : 2);
  plan->block_cols = ceil_div(s.filters, kGemmCols) * kGemmCols;
  int64_t blocks = ceil_div(tiles, most);
  const int64_t panels = plan->block_cols / kGemmCols;
  if (tiles < 2 * kGemmRows * workers && panels % workers == 0 && winograd_packed_bytes(s) >= kSharedWeightBytes) {
    plan->block_cols /= workers;
    if (plan->filters_step > plan->block_cols) plan->filters_step = plan->block_cols;
  } else {
    blocks = ceil_div(blocks, workers) * workers;
  }
  plan->block_tiles = ceil_div(tiles, blocks < tiles ? blocks : tiles);
}

int64_t winograd_packed_bytes(const ConvShape& s) {
  return 4 * kWinogradPositions * gemm_packed_floats(s.channels, s.filters);
}

void pack_winograd(const ConvShape& s, const float* weights, float* packed) {
  const int64_t step = gemm_packed_floats(s.channels, s.filters);
  for (int64_t m = 0; m < s.filters; m += kLanes) {
    // Where the vector of filters lies among the panels.
    const int64_t panel = m / kGemmCols * kGemmCols, left = s.filters - panel;
    const int64_t width = left <= kGemmLanes ? kGemmLanes : kGemmCols;
    float* to = packed + gemm_panel_offset(s.channels, panel) + (m - panel);
    const int64_t count = s.filters - m < kLanes ? s.filters - m : kLanes;
    float g[9][kLanes] = {};
    for (int64_t c = 0; c < s.channels; ++c, to += width) {
      for (int64_t i = 0; i < count; ++i) {
        const float* from = weights + ((m + i) * s.channels + c) * 9;
        for (int tap = 0; tap < 9; ++tap) g[tap][i] = from[tap];
      }
      winograd_weights(g, to, step);
    }
  }
}

int64_t winograd_workspace_bytes(const gk_call* call, const ConvShape& s, const WinogradPlan& plan) {
  return 4 * (zero_floats(s) + layout_of(s, plan).total * worker_count(call));
}

int run_winograd(const gk_call* call, const ConvShape& s, const WinogradPlan& plan, const float* packed,
                 const float* bias, const Epilogue& epilogue, int64_t outer, void* workspace) {
  Run run = {};
  run.call = call;
  run.shape = &s;
  run.plan = &plan;
  run.layout = layout_of(s, plan);
  run.x = data_of<const float>(call->inputs[0]);
  run.y = data_of<float>(call->outputs[0]);
  run.packed = packed;
  run.bias = bias;
  run.epilogue = &epilogue;
  const int64_t zeros = zero_floats(s);
  memset(workspace, 0, static_cast<size_t>(4 * zeros));
  run.zeros = static_cast<const float*>(workspace);
  run.workers = static_cast<float*>(workspace) + zeros;
  const EpilogueForm form = epilogue.form;
  run.in_registers = epilogue_is_tiled(epilogue) &&
                     (form == kEpilogueNone || form == kEpilogueClamp ||
                      (form == kEpilogueAddClamp && epilogue.operands[0].col_stride == 1));
  run.image_tiles = plan.tile_rows * plan.tile_cols;
  run.tiles = s.batch * run.image_tiles;
  run.tile_blocks = ceil_div(run.tiles, plan.block_tiles);
  run.col_blocks = ceil_div(s.filters, plan.block_cols);
  run.rows = s.batch * s.pixels() / outer;
  const int64_t tasks = run.tile_blocks * run.col_blocks;
  const double each = conv_flops(s) / 2.0 / static_cast<double>(tasks);
  const int64_t grain = each >= kGrainFlops ? 1 : static_cast<int64_t>(kGrainFlops / (each + 1.0)) + 1;
  return parallel_for(call, tasks, grain, run_tasks, &run);
}

}  // namespace GK_LEVEL
}  // namespace graphopt
