#include "cpu/lib/conv/conv_lines.h"

#include <string.h>

#include "cpu/lib/conv/conv_dot.h"
#include "cpu/lib/conv/conv_lines_layout.h"
#include "cpu/lib/gemm/gemm_f32.h"

namespace graphopt {
namespace GK_LEVEL {

using namespace conv_lines;

namespace {

struct Run {
  const gk_call* call;
  const ConvShape* shape;
  const LinesPlan* plan;
  const Epilogue* epilogue;
  const float *x, *packed, *bias;
  float* y;
  GemmFinish finish;
  bool in_product;  // the product does the epilogue
  char* workers;
  int64_t worker_bytes, band_bytes;
  int64_t rows;  // pixels of one outer slice of the epilogue
  int64_t bands, parts;
};

// The lines of Y and the pixels of them that a task computes.
struct Task {
  int64_t image, depth, line, lines, pixel, pixels;
};

Task task_of(const Run& run, int64_t index) {
  const ConvShape& s = *run.shape;
  Task task;
  task.pixel = index % run.parts * run.plan->pixels;
  index /= run.parts;
  task.line = index % run.bands * run.plan->lines;
  index /= run.bands;
  task.depth = index % s.out[0];
  task.image = index / s.out[0];
  task.lines = s.out[1] - task.line < run.plan->lines ? s.out[1] - task.line : run.plan->lines;
  task.pixels = s.out[2] - task.pixel < run.plan->pixels ? s.out[2] - task.pixel : run.plan->pixels;
  return task;
}

// Copies `count` floats and says, if it should look, whether all of them are finite.
bool copy_finite(const float* from, int64_t count, bool look, float* to) {
  if (!look) {
    memcpy(to, from, static_cast<size_t>(4 * count));
    return true;
  }
  VecI32 infinite = {};
  int64_t i = 0;
  for (; i < count; i += kLanes) {
    const VecF32 v = count - i < kLanes ? load_part(from + i, count - i) : load_lanes(from + i);
    // x − x is 0 unless x is infinite or NaN.
    infinite |= (v - v) != VecF32{};
    if (count - i < kLanes) {
      store_part(to + i, v, count - i);
    } else {
      store_lanes(to + i, v);
    }
  }
  int32_t any = 0;
  for (int lane = 0; lane < kLanes; ++lane) any |= infinite[lane];
  return any == 0;
}

// band[depth][line][pixel][channel] of what the task reads, zeros where X ends; whether all of it is finite (where
// that matters).
bool fill_band(const Run& run, const Task& task, float* band) {
  const ConvShape& s = *run.shape;
  const int64_t lines = (task.lines - 1) * s.stride[1] + (s.kernel[1] - 1) * s.dilation[1] + 1;
  const int64_t w0 = task.pixel * s.stride[2] - s.pad[2];
  const int64_t width = run.plan->line_floats / s.channels;
  const int64_t left = w0 < 0 ? (-w0 < width ? -w0 : width) : 0;
  const int64_t end = s.in[2] - w0 < width ? s.in[2] - w0 : width;
  const int64_t inside = end > left ? end - left : 0;
  const bool look = run.plan->fold > 1;
  bool finite = true;
  for (int64_t kd = 0; kd < s.kernel[0]; ++kd) {
    const int64_t d = task.depth * s.stride[0] - s.pad[0] + kd * s.dilation[0];
    for (int64_t line = 0; line < lines; ++line) {
      float* to = band + (kd * run.plan->band_lines + line) * run.plan->line_floats;
      const int64_t h = task.line * s.stride[1] - s.pad[1] + line;
      if (d < 0 || d >= s.in[0] || h < 0 || h >= s.in[1] || inside == 0) {
        memset(to, 0, static_cast<size_t>(4 * run.plan->line_floats));
        continue;
      }
      const float* from = run.x + (((task.image * s.in[0] + d) * s.in[1] + h) * s.in[2] + w0 + left) * s.x_step;
      const int64_t first = left * s.channels, count = inside * s.channels;
      memset(to, 0, static_cast<size_t>(4 * first));
      if (s.x_step == s.channels) {
        finite &= copy_finite(from, count, look, to + first);
      } else {
        for (int64_t w = 0; w < inside; ++w) {
          finite &= copy_finite(from + w * s.x_step, s.channels, look, to + first + w * s.channels);
        }
      }
      memset(to + first + count, 0, static_cast<size_t>(4 * (run.plan->line_floats - first - count)));
    }
  }
  return finite;
}

int64_t tap_offset(const Run& run, int64_t tap) {
  const ConvShape& s = *run.shape;
  const int64_t kd = tap / s.kernel[1], kh = tap % s.kernel[1];
  return (kd * run.plan->band_lines + kh * s.dilation[1]) * run.plan->line_floats;
}

// Rows of the product that start every `fold` pixels, line by line, and for each line one that ends at its end.
struct Tables {
  const float **rows, **ends;
  int64_t groups;  // rows of a line
};

void fill_tables(const Run& run, const float* band, Tables tables) {
  const ConvShape& s = *run.shape;
  const LinesPlan& plan = *run.plan;
  const int64_t step = plan.fold * s.stride[2] * s.channels;
  for (int64_t tap = 0; tap < taps_of(s); ++tap) {
    const float* from = band + tap_offset(run, tap);
    for (int64_t line = 0; line < plan.lines; ++line) {
      const float** to = tables.rows + (tap * plan.lines + line) * tables.groups;
      for (int64_t i = 0; i < tables.groups; ++i) to[i] = from + line * s.stride[1] * plan.line_floats + i * step;
    }
  }
}

// Results of a block pass through memory once per panel of W: between panels they stay in the second cache.
int64_t rows_at_once(int64_t columns) {
  constexpr int64_t kResultFloats = 32 * 1024, kLeast = 4 * kGemmRows;
  if (columns <= kGemmCols) return int64_t{1} << 40;
  const int64_t rows = kResultFloats / columns / kGemmRows * kGemmRows;
  return rows > kLeast ? rows : kLeast;
}

void multiply(const Run& run, const Task& task, const float* band, const Tables& tables, int64_t pixel0) {
  const ConvShape& s = *run.shape;
  const LinesPlan& plan = *run.plan;
  const int64_t taps = taps_of(s), groups = task.pixels / plan.fold, columns = plan.fold * s.filters;
  GemmBlock block;
  block.taps = taps;
  block.k = span_of(s, plan.fold);
  block.b = run.packed;
  block.n = columns;
  block.finish = run.finish;
  block.finish.outer = pixel0 / run.rows;
  block.ldc = plan.fold * s.y_step;
  block.tap_step = plan.lines * tables.groups;
  // Whole lines lie behind each other, in Y as in the table.
  const bool joined = groups == tables.groups && task.pixels == s.out[2] && groups * plan.fold == task.pixels;
  const int64_t rows = joined ? task.lines * groups : groups, most = rows_at_once(columns);
  for (int64_t line = 0; line < (joined ? 1 : task.lines); ++line) {
    for (int64_t first = 0; first < rows; first += most) {
      block.rows = tables.rows + line * tables.groups + first;
      block.m = rows - first < most ? rows - first : most;
      const int64_t pixel = pixel0 + line * s.out[2] + first * plan.fold;
      block.row0 = pixel % run.rows;
      block.c = run.y + pixel * s.y_step;
      gemm_block(block);
    }
  }
  if (groups * plan.fold == task.pixels) return;
  // What is left of each line: its last `fold` pixels, some of them for the second time.
  const int64_t last = task.pixels - plan.fold;
  for (int64_t tap = 0; tap < taps; ++tap) {
    for (int64_t line = 0; line < task.lines; ++line) {
      tables.ends[tap * task.lines + line] =
          band + tap_offset(run, tap) + line * s.stride[1] * plan.line_floats + last * s.stride[2] * s.channels;
    }
  }
  block.rows = tables.ends;
  block.tap_step = block.m = task.lines;
  block.ldc = s.out[2] * s.y_step;
  block.c = run.y + (pixel0 + last) * s.y_step;
  gemm_block(block);
}

// Without the zeros of folded weights; slow.
void multiply_plainly(const Run& run, const Task& task, const float* band, int64_t pixel0) {
  const ConvShape& s = *run.shape;
  const LinesPlan& plan = *run.plan;
  const int64_t depth = taps_of(s) * span_of(s, plan.fold), run_floats = s.kernel[2] * s.channels;
  for (int64_t line = 0; line < task.lines; ++line) {
    for (int64_t pixel = 0; pixel < task.pixels; ++pixel) {
      for (int64_t m = 0; m < s.filters; ++m) {
        // The columns of the first of the folded pixels are W itself.
        const int64_t panel = m / kGemmCols * kGemmCols, left = plan.fold * s.filters - panel;
        const int64_t width = left <= kGemmLanes ? kGemmLanes : kGemmCols;
        const float* w = run.packed + gemm_panel_offset(depth, panel) + (m - panel);
        float sum = 0.0f;
        for (int64_t tap = 0; tap < taps_of(s); ++tap, w += span_of(s, plan.fold) * width) {
          const float* x = band + tap_offset(run, tap) + line * s.stride[1] * plan.line_floats +
                           pixel * s.stride[2] * s.channels;
          for (int64_t i = 0; i < run_floats; ++i) sum += x[i] * w[i * width];
        }
        if (run.bias != nullptr) sum += run.bias[m];
        if (run.in_product && run.epilogue->form == kEpilogueClamp) {
          sum = sum < run.epilogue->low ? run.epilogue->low : sum > run.epilogue->high ? run.epilogue->high : sum;
        }
        run.y[(pixel0 + line * s.out[2] + pixel) * s.y_step + m] = sum;
      }
    }
  }
}

void sum_dots(const Run& run, const Task& task, const float* band, int64_t* offsets, int64_t pixel0) {
  const ConvShape& s = *run.shape;
  DotLine dot;
  dot.taps = taps_of(s);
  dot.count = span_of(s, 1);
  dot.x_step = s.stride[2] * s.channels;
  dot.y_step = s.y_step;
  dot.pixels = task.pixels;
  dot.tap_offset = offsets;
  for (int64_t tap = 0; tap < dot.taps; ++tap) offsets[tap] = tap_offset(run, tap);
  for (int64_t line = 0; line < task.lines; ++line) {
    dot.x = band + line * s.stride[1] * run.plan->line_floats;
    for (int64_t m = 0; m < s.filters; ++m) {
      dot.w = run.packed + m * dot.taps * dot_padded(dot.count);
      dot.bias = run.bias == nullptr ? 0.0f : run.bias[m];
      dot.y = run.y + (pixel0 + line * s.out[2]) * s.y_step + m;
      dot_line(dot);
    }
  }
}

void run_tasks(void* context, int64_t begin, int64_t end, int32_t worker) {
  const Run& run = *static_cast<const Run*>(context);
  const ConvShape& s = *run.shape;
  const LinesPlan& plan = *run.plan;
  char* memory = run.workers + worker * run.worker_bytes;
  float* band = reinterpret_cast<float*>(memory);
  Tables tables;
  tables.groups = plan.pixels / plan.fold;
  tables.rows = reinterpret_cast<const float**>(memory + run.band_bytes);
  tables.ends = tables.rows + taps_of(s) * plan.lines * tables.groups;
  if (plan.dot == 0) fill_tables(run, band, tables);
  for (int64_t index = begin; index < end; ++index) {
    const Task task = task_of(run, index);
    const int64_t pixel0 =
        ((task.image * s.out[0] + task.depth) * s.out[1] + task.line) * s.out[2] + task.pixel;
    const bool finite = fill_band(run, task, band);
    if (plan.dot != 0) {
      sum_dots(run, task, band, reinterpret_cast<int64_t*>(memory + run.band_bytes), pixel0);
    } else if (plan.fold > 1 && (!finite || task.pixels < plan.fold)) {
      multiply_plainly(run, task, band, pixel0);
    } else {
      multiply(run, task, band, tables, pixel0);
    }
    if (run.in_product || !epilogue_is_tiled(*run.epilogue)) continue;
    for (int64_t line = 0; line < task.lines; ++line) {
      const int64_t pixel = pixel0 + line * s.out[2];
      apply_epilogue(*run.epilogue, run.call, run.y + pixel * s.y_step, s.y_step, pixel / run.rows, pixel % run.rows,
                     task.pixels, 0, s.filters);
    }
  }
}

}  // namespace

int run_lines(const gk_call* call, const ConvShape& s, const LinesPlan& plan, const float* packed, const float* bias,
              const Epilogue& epilogue, int64_t outer, void* workspace) {
  Run run = {};
  run.call = call;
  run.shape = &s;
  run.plan = &plan;
  run.epilogue = &epilogue;
  run.x = data_of<const float>(call->inputs[0]);
  run.y = data_of<float>(call->outputs[0]);
  run.packed = packed;
  run.bias = bias;
  run.band_bytes = band_bytes(s, plan);
  run.worker_bytes = run.band_bytes + table_bytes(s, plan);
  run.workers = static_cast<char*>(workspace) + bias_bytes(s, plan);
  run.rows = s.batch * s.pixels() / outer;
  run.bands = ceil_div(s.out[1], plan.lines);
  run.parts = ceil_div(s.out[2], plan.pixels);
  const EpilogueForm form = epilogue.form;
  run.in_product = epilogue_is_tiled(epilogue) &&
                   (form == kEpilogueNone || (plan.dot == 0 && (plan.fold == 1 || form == kEpilogueClamp)));
  run.finish.call = call;
  if (run.in_product) run.finish.epilogue = &epilogue;
  if (bias != nullptr) {
    float* folded = static_cast<float*>(workspace);
    for (int64_t i = 0; i < plan.fold * s.filters; ++i) folded[i] = bias[i % s.filters];
    run.finish.bias = folded;
  }
  const int64_t tasks = s.batch * s.out[0] * run.bands * run.parts;
  const double each = conv_flops(s) / static_cast<double>(tasks);
  const int64_t grain = each >= kGrainFlops ? 1 : static_cast<int64_t>(kGrainFlops / (each + 1.0)) + 1;
  return parallel_for(call, tasks, grain, run_tasks, &run);
}

}  // namespace GK_LEVEL
}  // namespace graphopt
