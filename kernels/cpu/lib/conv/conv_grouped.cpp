#include "cpu/lib/conv/conv_grouped.h"

#include <string.h>

#include "cpu/lib/conv/conv_grouped_layout.h"

namespace graphopt {
namespace GK_LEVEL {

using namespace grouped;

namespace {

struct Run {
  const gk_call* call;
  const ConvShape* shape;
  const GroupedPlan* plan;
  const Epilogue* epilogue;
  const float *x, *packed, *bias;
  float* y;
  const TileFunction* tiles;
  Activation activation;
  bool program;      // an epilogue is left to do on finished pixels
  char* workers;
  int64_t rows;      // pixels of one outer slice of the epilogue
  int64_t bands, parts;
};

// What a task computes: lines and pixels of Y, one vector of filters. `source` is the first channel that it reads.
struct Task {
  int64_t image, depth, line, lines, pixel, pixels, block, filter, filters, source, channels;
};

// Tasks that read the same lines of X follow each other.
Task task_of(const Run& run, int64_t index) {
  const ConvShape& s = *run.shape;
  const GroupedPlan& plan = *run.plan;
  Task task;
  task.block = index % plan.blocks;
  index /= plan.blocks;
  task.pixel = index % run.parts * plan.pixels;
  index /= run.parts;
  task.line = index % run.bands * plan.lines;
  index /= run.bands;
  task.depth = index % s.out[0];
  task.image = index / s.out[0];
  task.lines = s.out[1] - task.line < plan.lines ? s.out[1] - task.line : plan.lines;
  task.pixels = s.out[2] - task.pixel < plan.pixels ? s.out[2] - task.pixel : plan.pixels;
  const BlockFilters filters = filters_of(s, plan, task.block);
  task.filter = filters.first;
  task.filters = filters.count;
  const int64_t first = task.filter / s.group_filters(), last = (task.filter + task.filters - 1) / s.group_filters();
  task.source = first * s.group_channels();
  task.channels = (last - first + 1) * s.group_channels();
  return task;
}

// Pixels of X, from their channel task.source on, to the band as they are.
void copy_pixels(const Run& run, const Task& task, const float* from, int64_t count, float* to) {
  const int64_t step = run.shape->x_step, to_step = run.plan->pixel_floats;
  if (step == to_step && step == task.channels) {
    memcpy(to, from, static_cast<size_t>(4 * count * step));
    return;
  }
  const int64_t whole = task.channels / kLanes * kLanes, rest = task.channels - whole;
  for (int64_t p = 0; p < count; ++p, from += step, to += to_step) {
    for (int64_t c = 0; c < whole; c += kLanes) store_lanes(to + c, load_lanes(from + c));
    if (rest == 0) continue;
    const VecF32 v = load_part(from + whole, rest);
    if (whole + kLanes <= to_step) {
      store_lanes(to + whole, v);
    } else {
      store_part(to + whole, v, rest);
    }
  }
}

// The same with a vector for each channel of a group. At most two vectors hold what the filters read.
void expand_pixels(const Run& run, const Task& task, const float* from, int64_t count, float* to) {
  const ConvShape& s = *run.shape;
  const int64_t depth = s.group_channels(), first = task.filter / s.group_filters(), step = s.x_step;
  VecI32 lane;
  for (int i = 0; i < kLanes; ++i) {
    const int64_t filter = i < task.filters ? task.filter + i : task.filter;
    lane[i] = static_cast<int32_t>((filter / s.group_filters() - first) * depth);
  }
  if (task.channels <= kLanes) {
    for (int64_t p = 0; p < count; ++p, from += step) {
      const VecF32 v = load_part(from, task.channels);
      for (int64_t c = 0; c < depth; ++c, to += kLanes) {
        store_lanes(to, __builtin_shuffle(v, lane + static_cast<int32_t>(c)));
      }
    }
    return;
  }
  for (int64_t p = 0; p < count; ++p, from += step) {
    const VecF32 a = load_lanes(from), b = load_part(from + kLanes, task.channels - kLanes);
    for (int64_t c = 0; c < depth; ++c, to += kLanes) {
      store_lanes(to, __builtin_shuffle(a, b, lane + static_cast<int32_t>(c)));
    }
  }
}

// band[depth][line][pixel] of what the task reads, zeros where X ends.
void fill_band(const Run& run, const Task& task, float* band) {
  const ConvShape& s = *run.shape;
  const GroupedPlan& plan = *run.plan;
  const int64_t lines = (task.lines - 1) * s.stride[1] + (s.kernel[1] - 1) * s.dilation[1] + 1;
  const int64_t w0 = task.pixel * s.stride[2] - s.pad[2], width = plan.line_floats / plan.pixel_floats;
  const int64_t left = w0 < 0 ? (-w0 < width ? -w0 : width) : 0;
  const int64_t end = s.in[2] - w0 < width ? s.in[2] - w0 : width, inside = end > left ? end - left : 0;
  for (int64_t kd = 0; kd < s.kernel[0]; ++kd) {
    const int64_t d = task.depth * s.stride[0] - s.pad[0] + kd * s.dilation[0];
    for (int64_t line = 0; line < lines; ++line) {
      float* to = band + (kd * plan.band_lines + line) * plan.line_floats;
      const int64_t h = task.line * s.stride[1] - s.pad[1] + line;
      if (d < 0 || d >= s.in[0] || h < 0 || h >= s.in[1] || inside == 0) {
        memset(to, 0, static_cast<size_t>(4 * plan.line_floats));
        continue;
      }
      const float* from =
          run.x + (((task.image * s.in[0] + d) * s.in[1] + h) * s.in[2] + w0 + left) * s.x_step + task.source;
      const int64_t before = left * plan.pixel_floats, filled = before + inside * plan.pixel_floats;
      memset(to, 0, static_cast<size_t>(4 * before));
      if (plan.form == kGroupedExpanded) {
        expand_pixels(run, task, from, inside, to + before);
      } else {
        copy_pixels(run, task, from, inside, to + before);
      }
      memset(to + filled, 0, static_cast<size_t>(4 * (plan.line_floats - filled)));
    }
  }
}

void run_task(const Run& run, const Task& task, const float* band, Tile tile) {
  const ConvShape& s = *run.shape;
  const GroupedPlan& plan = *run.plan;
  tile.lanes = task.filters;
  tile.weights = run.packed + task.block * s.taps() * s.group_channels() * kLanes;
  tile.bias = run.bias == nullptr ? VecF32{}
              : task.filters >= kLanes ? load_lanes(run.bias + task.filter)
                                       : load_part(run.bias + task.filter, task.filters);
  const int64_t pixel0 =
      ((task.image * s.out[0] + task.depth) * s.out[1] + task.line) * s.out[2] + task.pixel;
  for (int64_t line = 0; line < task.lines; ++line) {
    const int64_t pixel = pixel0 + line * s.out[2];
    float* y = run.y + pixel * s.y_step + task.filter;
    const float* x = band + line * s.stride[1] * plan.line_floats;
    for (int64_t p = 0; p < task.pixels;) {
      const int64_t left = task.pixels - p;
      const int size = tile_index(left);
      tile.x = x + p * tile.pixel_step;
      tile.y = y + p * s.y_step;
      tile.count = left < kTilePixels[size] ? left : kTilePixels[size];
      run.tiles[size](tile);
      p += tile.count;
    }
    if (run.program) {
      apply_epilogue(*run.epilogue, run.call, y, s.y_step, pixel / run.rows, pixel % run.rows, task.pixels, task.filter,
                     task.filters);
    }
  }
}

void run_tasks(void* context, int64_t begin, int64_t end, int32_t worker) {
  const Run& run = *static_cast<const Run*>(context);
  const ConvShape& s = *run.shape;
  const GroupedPlan& plan = *run.plan;
  char* memory = run.workers + worker * worker_bytes(s, plan);
  float* band = reinterpret_cast<float*>(memory);
  int64_t* lines = reinterpret_cast<int64_t*>(memory + band_bytes(s, plan));
  for (int64_t i = 0; i < s.kernel[0] * s.kernel[1]; ++i) {
    lines[i] = (i / s.kernel[1] * plan.band_lines + i % s.kernel[1] * s.dilation[1]) * plan.line_floats;
  }
  Tile tile = {};
  tile.lines = lines;
  tile.line_count = s.kernel[0] * s.kernel[1];
  tile.pixel_floats = plan.pixel_floats;
  tile.pixel_step = s.stride[2] * plan.pixel_floats;
  tile.tap_step = s.dilation[2] * plan.pixel_floats;
  tile.triples = plan.by_three != 0 ? s.kernel[2] / 3 : 0;
  tile.singles = s.kernel[2] - 3 * tile.triples;
  tile.depth = s.group_channels();
  tile.y_step = s.y_step;
  tile.activation = run.activation;
  int64_t filled = -1;  // what the band holds: tasks with the same number differ in the filters of one group alone
  for (int64_t index = begin; index < end; ++index) {
    const Task task = task_of(run, index);
    const int64_t shared = plan.form == kGroupedBroadcast ? index / ceil_div(s.group_filters(), kLanes) : index;
    if (shared != filled) fill_band(run, task, band);
    filled = shared;
    run_task(run, task, band, tile);
  }
}

}  // namespace

int run_grouped(const gk_call* call, const ConvShape& s, const GroupedPlan& plan, const float* packed,
                const float* bias, const Epilogue& epilogue, int64_t outer, void* workspace) {
  Run run = {};
  run.call = call;
  run.shape = &s;
  run.plan = &plan;
  run.epilogue = &epilogue;
  run.x = data_of<const float>(call->inputs[0]);
  run.y = data_of<float>(call->outputs[0]);
  run.packed = packed;
  run.bias = bias;
  const int64_t width = plan.form == kGroupedSpread ? s.group_filters() : plan.form == kGroupedBroadcast ? 0 : 1;
  run.tiles = tiles_of(width, plan.by_three != 0 || s.stride[2] == 1 ? s.stride[2] : 0);
  run.program = !read_activation(epilogue, &run.activation) && epilogue_is_tiled(epilogue);
  run.workers = static_cast<char*>(workspace);
  run.rows = s.batch * s.pixels() / outer;
  run.bands = ceil_div(s.out[1], plan.lines);
  run.parts = ceil_div(s.out[2], plan.pixels);
  const int64_t tasks = s.batch * s.out[0] * run.bands * run.parts * plan.blocks;
  const double each = 2.0 * conv_flops(s) / static_cast<double>(tasks);  // they run at half the peak
  const int64_t grain = each >= kGrainFlops ? 1 : static_cast<int64_t>(kGrainFlops / (each + 1.0)) + 1;
  return parallel_for(call, tasks, grain, run_tasks, &run);
}

}  // namespace GK_LEVEL
}  // namespace graphopt
