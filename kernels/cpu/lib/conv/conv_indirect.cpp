#include "cpu/lib/conv/conv_indirect.h"

#include <string.h>

#include "cpu/lib/gemm/gemm_f32.h"

namespace graphopt {
namespace GK_LEVEL {
namespace {

// Pointers of one task: more would push rows of X out of the first-level cache.
constexpr int64_t kTablePointers = 2048;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

int64_t table_taps(const ConvShape& shape, const IndirectPlan& plan) { return shape.taps() / plan.run; }

// Floats of the row that padding reads.
int64_t zero_floats(const ConvShape& shape, const IndirectPlan& plan) {
  return ceil_div(plan.run * shape.group_channels(), 16) * 16;
}

struct Run {
  const gk_call* call;
  const ConvShape* shape;
  const IndirectPlan* plan;
  const float *x, *packed, *zeros;
  float* y;
  GemmFinish finish;
  const float** tables;             // one of table_size pointers per worker
  int64_t table_size, rows;         // rows: pixels of one outer slice
  int64_t row_blocks, col_blocks;
};

// Pixels [ow, ow + count) of one line of Y, whose taps of one kernel position begin at x + w · x_step for pixel w of
// X's line: pointers from `to` on. `line` null: the whole line is padding.
void fill_line(const Run& run, const float* line, int64_t ow, int64_t count, int64_t kw, const float** to) {
  const ConvShape& s = *run.shape;
  const int64_t stride = s.stride[2], w0 = ow * stride - s.pad[2] + kw * s.dilation[2];
  // Pixels [low, high) lie inside the line.
  int64_t low = w0 >= 0 ? 0 : ceil_div(-w0, stride), high = w0 < s.in[2] ? (s.in[2] - 1 - w0) / stride + 1 : 0;
  if (line == nullptr) high = 0;
  if (high > count) high = count;
  if (low > high) low = high;
  for (int64_t i = 0; i < low; ++i) to[i] = run.zeros;
  const int64_t step = stride * s.x_step * static_cast<int64_t>(sizeof(float));
  const uintptr_t from = reinterpret_cast<uintptr_t>(line) + static_cast<uintptr_t>(w0 * s.x_step * 4);
  for (int64_t i = low; i < high; ++i) to[i] = reinterpret_cast<const float*>(from + static_cast<uintptr_t>(i * step));
  for (int64_t i = high; i < count; ++i) to[i] = run.zeros;
}

// table[tap][i] for pixels [first, first + count) of the whole output, one line of Y after the other.
void fill_table(const Run& run, int64_t group, int64_t first, int64_t count, const float** table) {
  const ConvShape& s = *run.shape;
  const int64_t width = s.kernel[2] / run.plan->run;
  for (int64_t i = 0; i < count;) {
    const int64_t pixel = first + i, ow = pixel % s.out[2], line_of_y = pixel / s.out[2];
    const int64_t oh = line_of_y % s.out[1], od = line_of_y / s.out[1] % s.out[0];
    const int64_t image = line_of_y / s.out[1] / s.out[0];
    const int64_t pixels = s.out[2] - ow < count - i ? s.out[2] - ow : count - i;
    const float* from = run.x + image * s.in[0] * s.in[1] * s.in[2] * s.x_step + group * s.group_channels();
    const float** to = table + i;
    for (int64_t kd = 0; kd < s.kernel[0]; ++kd) {
      const int64_t d = od * s.stride[0] - s.pad[0] + kd * s.dilation[0];
      for (int64_t kh = 0; kh < s.kernel[1]; ++kh) {
        const int64_t h = oh * s.stride[1] - s.pad[1] + kh * s.dilation[1];
        const bool inside = d >= 0 && d < s.in[0] && h >= 0 && h < s.in[1];
        const float* line = inside ? from + (d * s.in[1] + h) * s.in[2] * s.x_step : nullptr;
        for (int64_t kw = 0; kw < width; ++kw, to += count) fill_line(run, line, ow, pixels, kw, to);
      }
    }
    i += pixels;
  }
}

// Tasks in the order outer, group, columns, rows: neighbours share weights.
void run_tasks(void* context, int64_t begin, int64_t end, int32_t worker) {
  const Run& run = *static_cast<const Run*>(context);
  const ConvShape& s = *run.shape;
  const int64_t taps = table_taps(s, *run.plan), filters = s.group_filters();
  const float** table = run.tables + worker * run.table_size;
  GemmBlock block;
  block.rows = table;
  block.taps = taps;
  block.k = run.plan->run * s.group_channels();
  block.ldc = s.y_step;
  block.finish = run.finish;
  const int64_t packed_floats = gemm_packed_floats(s.taps() * s.group_channels(), filters);
  for (int64_t task = begin; task < end; ++task) {
    const int64_t row_block = task % run.row_blocks, others = task / run.row_blocks;
    const int64_t col_block = others % run.col_blocks, group = others / run.col_blocks % s.group;
    const int64_t outer = others / run.col_blocks / s.group;
    const int64_t row0 = run.rows * row_block / run.row_blocks;
    const int64_t col0 = col_block * run.plan->block_cols;
    block.m = run.rows * (row_block + 1) / run.row_blocks - row0;
    block.n = filters - col0 < run.plan->block_cols ? filters - col0 : run.plan->block_cols;
    block.tap_step = block.m;
    fill_table(run, group, outer * run.rows + row0, block.m, table);
    block.b = run.packed + group * packed_floats + gemm_panel_offset(taps * block.k, col0);
    block.row0 = row0;
    block.col0 = group * filters + col0;
    block.c = run.y + (outer * run.rows + row0) * s.y_step + block.col0;
    block.finish.outer = outer;
    gemm_block(block);
  }
}

}  // namespace

void prepare_indirect(const gk_call* call, const ConvShape& shape, IndirectPlan* plan) {
  // Reads of a whole kernel line must stay inside a line of X.
  const int64_t last = (shape.out[2] - 1) * shape.stride[2] + shape.kernel[2];
  const bool compact = shape.group == 1 && shape.x_step == shape.channels;
  const bool neighbours = compact && shape.dilation[2] == 1 && shape.pad[2] == 0 && last <= shape.in[2];
  plan->run = neighbours ? shape.kernel[2] : 1;
  const int64_t depth = shape.taps() * shape.group_channels(), filters = shape.group_filters();
  const int64_t rows = shape.batch * shape.pixels(), workers = worker_count(call);
  int64_t block = gemm_block_rows(call, depth, filters);
  const int64_t by_table = kTablePointers / table_taps(shape, *plan);
  if (block > by_table) block = by_table;
  // Enough tasks for the threads to end at about the same time, but not so few rows that weights are read for little.
  const int64_t share = ceil_div(ceil_div(rows, 4 * workers), kGemmRows) * kGemmRows;
  const int64_t least = 4 * kGemmRows;
  if (block > share) block = share > least ? share : least;
  plan->block_rows = block < kGemmRows ? kGemmRows : block;
  // Few pixels: the threads share the filters instead.
  plan->block_cols = ceil_div(filters, kGemmCols) * kGemmCols;
  const int64_t row_blocks = ceil_div(rows, plan->block_rows);
  if (row_blocks * shape.group < 2 * workers && workers > 1) {
    const int64_t panels = ceil_div(filters, kGemmCols), parts = panels < workers ? panels : workers;
    plan->block_cols = ceil_div(panels, parts) * kGemmCols;
  }
}

int64_t indirect_packed_bytes(const ConvShape& shape) {
  return 4 * shape.group * gemm_packed_floats(shape.taps() * shape.group_channels(), shape.group_filters());
}

void pack_indirect(const ConvShape& shape, const float* weights, float* packed) {
  const int64_t taps = shape.taps(), channels = shape.group_channels(), filters = shape.group_filters();
  const int64_t depth = taps * channels;
  for (int64_t group = 0; group < shape.group; ++group) {
    const float* from = weights + group * filters * depth;
    for (int64_t tap = 0; tap < taps; ++tap) {
      gemm_pack_b(from + tap, taps, depth, channels, filters, tap * channels, depth, packed);
    }
    packed += gemm_packed_floats(depth, filters);
  }
}

int64_t indirect_workspace_bytes(const gk_call* call, const ConvShape& shape, const IndirectPlan& plan) {
  const int64_t table = plan.block_rows * table_taps(shape, plan);
  return 4 * zero_floats(shape, plan) + static_cast<int64_t>(sizeof(float*)) * table * worker_count(call);
}

int run_indirect(const gk_call* call, const ConvShape& shape, const IndirectPlan& plan, const float* packed,
                 const float* bias, const Epilogue& epilogue, int64_t outer, void* workspace) {
  Run run = {};
  run.call = call;
  run.shape = &shape;
  run.plan = &plan;
  run.x = data_of<const float>(call->inputs[0]);
  run.y = data_of<float>(call->outputs[0]);
  run.packed = packed;
  const int64_t zeros = zero_floats(shape, plan);
  memset(workspace, 0, static_cast<size_t>(4 * zeros));
  run.zeros = static_cast<const float*>(workspace);
  run.tables = reinterpret_cast<const float**>(static_cast<float*>(workspace) + zeros);
  run.table_size = plan.block_rows * table_taps(shape, plan);
  run.finish.bias = bias;
  run.finish.epilogue = &epilogue;
  run.finish.call = call;
  run.rows = shape.batch * shape.pixels() / outer;
  run.row_blocks = ceil_div(run.rows, plan.block_rows);
  run.col_blocks = ceil_div(shape.group_filters(), plan.block_cols);
  const int64_t tasks = outer * shape.group * run.col_blocks * run.row_blocks;
  const double each = conv_flops(shape) / static_cast<double>(tasks);
  const int64_t grain = each >= kGrainFlops ? 1 : static_cast<int64_t>(kGrainFlops / (each + 1.0)) + 1;
  return parallel_for(call, tasks, grain, run_tasks, &run);
}

}  // namespace GK_LEVEL
}  // namespace graphopt
