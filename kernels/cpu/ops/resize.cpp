// Resize along any axes of a compact tensor, whatever its layout.
//
//   nearest: y[o] = x[index(o)]            any element of 1, 2, 4 or 8 bytes, all axes in one pass
//   linear, cubic: y[o] = Σ_t w(o, t) · x[first(o) + t]      float32, one axis after the other
//
// lib/resize_table.h says which indices and weights. Bytes moved: nearest reads and writes once; each weighted axis is
// a pass over [outer, in, inner] whose vectors run along inner, over outputs where inner is one.
#include <string.h>

#include "cpu/lib/bytes.h"
#include "cpu/lib/resize_pass.h"
#include "cpu/lib/tensor_check.h"

namespace graphopt {
namespace GK_LEVEL {
namespace {

constexpr int kMostAxes = 8;

struct Axis {
  int64_t in, out;
  int64_t taps;
  int64_t scale_index;  // which scale, size and region of interest are this axis's; -1: none is
};

struct State {
  ResizeRules rules;
  int32_t rank, element, scale_count, scale_input, policy;  // policy: 0 stretch, 1 not larger, 2 not smaller
  Axis axes[kMostAxes];
  int64_t table_bytes[kMostAxes];  // where an axis's table ends in the workspace
  int64_t buffer_bytes;            // of one intermediate result
};

struct Name {
  const char* name;
  int32_t value;
};

bool read_name(const gk_call* call, const char* attribute, const char* otherwise, const Name* names, int count,
               int32_t* value) {
  const char* given = string_attribute(call, attribute, otherwise);
  for (int i = 0; i < count; ++i) {
    if (!same_text(given, names[i].name)) continue;
    *value = names[i].value;
    return true;
  }
  return false;
}

bool read_rules(const gk_call* call, State* s) {
  constexpr Name modes[] = {{"nearest", kNearest}, {"linear", kLinear}, {"cubic", kCubic}};
  constexpr Name coordinates[] = {{"half_pixel", kHalfPixel}, {"half_pixel_symmetric", kHalfPixelSymmetric},
                                  {"pytorch_half_pixel", kPytorchHalfPixel}, {"align_corners", kAlignCorners},
                                  {"asymmetric", kAsymmetric}, {"tf_crop_and_resize", kCropAndResize}};
  constexpr Name roundings[] = {{"round_prefer_floor", kPreferFloor}, {"round_prefer_ceil", kPreferCeil},
                                {"floor", kFloor}, {"ceil", kCeil}};
  constexpr Name policies[] = {{"stretch", 0}, {"not_larger", 1}, {"not_smaller", 2}};
  int32_t mode, coordinate, rounding;
  if (!read_name(call, "mode", "nearest", modes, 3, &mode) ||
      !read_name(call, "coordinate_transformation_mode", "half_pixel", coordinates, 6, &coordinate) ||
      !read_name(call, "nearest_mode", "round_prefer_floor", roundings, 4, &rounding) ||
      !read_name(call, "keep_aspect_ratio_policy", "stretch", policies, 3, &s->policy)) {
    return false;
  }
  s->rules.mode = static_cast<ResizeMode>(mode);
  s->rules.coordinates = static_cast<ResizeCoordinates>(coordinate);
  s->rules.rounding = static_cast<ResizeRounding>(rounding);
  s->rules.antialias = int_attribute(call, "antialias", 0) != 0 && mode != kNearest;
  s->rules.exclude_outside = int_attribute(call, "exclude_outside", 0) != 0 && mode == kCubic;
  s->rules.cubic_a = static_cast<float>(float_attribute(call, "cubic_coeff_a", -0.75));
  s->rules.extrapolation = static_cast<float>(float_attribute(call, "extrapolation_value", 0.0));
  return true;
}

int64_t table_bytes(int64_t out, int64_t taps) { return (out * (8 + 4 * taps) + 63) / 64 * 64; }

int prepare(const gk_call* call, State* s, gk_prepared* prepared) {
  if (call->input_count < 1 || call->input_count > 4 || !has_arity(call, call->input_count, 1) || !has_input(call, 0)) {
    return GK_INVALID_ARGUMENT;
  }
  const gk_tensor &x = call->inputs[0], &y = call->outputs[0];
  if (x.ndim > kMostAxes || y.ndim != x.ndim || !is_sound(x) || !is_sound(y)) return GK_INVALID_ARGUMENT;
  if (x.dtype.code != y.dtype.code || x.dtype.bits != y.dtype.bits) return GK_INVALID_ARGUMENT;
  if (!read_rules(call, s)) return GK_INVALID_ARGUMENT;
  s->rank = x.ndim;
  s->element = x.dtype.bits / 8;
  const bool whole_bytes = x.dtype.bits == 8 || x.dtype.bits == 16 || x.dtype.bits == 32 || x.dtype.bits == 64;
  if (x.dtype.lanes != 1 || (s->rules.mode == kNearest ? !whole_bytes : !is_f32(x))) return GK_UNSUPPORTED;
  if (s->rules.mode == kNearest && s->rules.coordinates == kCropAndResize && !is_f32(x)) return GK_UNSUPPORTED;
  const Ints axes = ints_attribute(call, "axes");
  const bool all = find_attribute(call, "axes", GK_ATTRIBUTE_INTS) == nullptr;
  if (axes.length > kMostAxes) return GK_INVALID_ARGUMENT;
  s->scale_count = all ? s->rank : axes.length;
  for (int i = 0; i < s->rank; ++i) s->axes[i] = {x.shape[i], y.shape[i], 0, all ? i : -1};
  for (int i = 0; i < axes.length && !all; ++i) {
    const int64_t axis = axes.data[i] < 0 ? axes.data[i] + s->rank : axes.data[i];
    if (axis < 0 || axis >= s->rank || s->axes[axis].scale_index >= 0) return GK_INVALID_ARGUMENT;
    s->axes[axis].scale_index = i;
  }
  // The scales, or else the sizes; the region of interest where the mode asks for it.
  s->scale_input = has_input(call, 2) && element_count(call->inputs[2]) != 0 ? 2 : 3;
  if (!has_input(call, s->scale_input)) return GK_INVALID_ARGUMENT;
  const gk_tensor& scales = call->inputs[s->scale_input];
  if (scales.ndim != 1 || scales.shape[0] != s->scale_count || !is_sound(scales) ||
      !(s->scale_input == 2 ? is_f32(scales) : is_dtype(scales, GK_INT, 64))) {
    return GK_INVALID_ARGUMENT;
  }
  if (s->rules.coordinates == kCropAndResize) {
    if (!has_input(call, 1)) return GK_INVALID_ARGUMENT;
    const gk_tensor& roi = call->inputs[1];
    if (!is_sound_f32(roi) || roi.ndim != 1 || roi.shape[0] != 2 * s->scale_count) return GK_INVALID_ARGUMENT;
  }
  int64_t end = 0, elements = 1, largest = 0;
  for (int i = 0; i < s->rank; ++i) {
    Axis& axis = s->axes[i];
    if (axis.scale_index < 0 && axis.in != axis.out) return GK_INVALID_ARGUMENT;
    if (axis.in == 0 && axis.out != 0) return GK_INVALID_ARGUMENT;
    axis.taps = axis.in == 0 || axis.out == 0 ? 0 : resize_taps(s->rules, axis.in, axis.out);
    int64_t bytes;
    if (__builtin_mul_overflow(axis.out, 8 + 4 * axis.taps, &bytes) || bytes > (int64_t{1} << 56)) return GK_INVALID_ARGUMENT;
    s->table_bytes[i] = end += table_bytes(axis.out, axis.taps);
  }
  // Axes are resized from the first to the last: [out…, in…] in between.
  if (s->rules.mode != kNearest && element_count(y) != 0) {
    for (int i = 0; i < s->rank; ++i) {
      elements = 4;
      for (int j = 0; j < s->rank; ++j) {
        if (__builtin_mul_overflow(elements, j <= i ? s->axes[j].out : s->axes[j].in, &elements)) return GK_INVALID_ARGUMENT;
      }
      if (elements > largest) largest = elements;
    }
    if (largest > (int64_t{1} << 56)) return GK_INVALID_ARGUMENT;
    s->buffer_bytes = (largest + 63) / 64 * 64;
  }
  if (element_count(y) != 0) prepared->workspace_bytes = static_cast<uint64_t>(end + 2 * s->buffer_bytes);
  return GK_OK;
}

ResizeTable table_of(const State& s, int axis, char* workspace) {
  const Axis& a = s.axes[axis];
  char* at = workspace + s.table_bytes[axis] - table_bytes(a.out, a.taps);
  int32_t* first = reinterpret_cast<int32_t*>(at);
  return {first, first + a.out, reinterpret_cast<float*>(first + 2 * a.out), a.taps};
}

// Fills the tables; `same[i]` says that axis i stays as it is.
int fill_tables(const gk_call* call, const State& s, char* workspace, bool* same) {
  const gk_tensor& given = call->inputs[s.scale_input];
  double common = s.policy == 1 ? __builtin_inf() : 0.0;
  for (int i = 0; s.scale_input == 3 && s.policy != 0 && i < s.rank; ++i) {
    if (s.axes[i].scale_index < 0) continue;
    const double ratio = static_cast<double>(data_of<const int64_t>(given)[s.axes[i].scale_index]) / static_cast<double>(s.axes[i].in);
    common = s.policy == 1 ? (ratio < common ? ratio : common) : (ratio > common ? ratio : common);
  }
  for (int i = 0; i < s.rank; ++i) {
    const Axis& axis = s.axes[i];
    float scale = 1.0f, start = 0.0f, end = 1.0f;
    if (axis.scale_index >= 0) {
      const float size = static_cast<float>(axis.in);
      if (s.scale_input == 2) {
        scale = data_of<const float>(given)[axis.scale_index];
        if (!(scale > 0.0f) || !(size * scale < static_cast<float>(kDimLimit)) ||
            static_cast<int64_t>(size * scale) != axis.out) {
          return GK_INVALID_ARGUMENT;
        }
      } else if (s.policy == 0) {
        scale = static_cast<float>(axis.out) / size;
      } else {
        scale = static_cast<float>(common);
        if (!(common > 0.0) || static_cast<int64_t>(common * static_cast<double>(axis.in) + 0.5) != axis.out) return GK_INVALID_ARGUMENT;
      }
      if (s.rules.coordinates == kCropAndResize) {
        start = data_of<const float>(call->inputs[1])[axis.scale_index];
        end = data_of<const float>(call->inputs[1])[s.scale_count + axis.scale_index];
      }
    }
    same[i] = axis.in == axis.out && scale == 1.0f && start == 0.0f && end == 1.0f;
    if (axis.out > 0) fill_resize_table(s.rules, axis.in, axis.out, scale, start, end, table_of(s, i, workspace));
  }
  return GK_OK;
}

// ---- nearest ----

struct Nearest {
  const State* state;
  const char* x;
  char* y;
  ResizeTable tables[kMostAxes];
  int last;       // the last axis that changes
  int64_t block;  // bytes behind it
};

template <class T>
void gather_row(const char* x, const int32_t* index, int64_t count, char* y) {
  for (int64_t i = 0; i < count; ++i) memcpy(y + i * sizeof(T), x + index[i] * sizeof(T), sizeof(T));
}

void nearest_rows(void* context, int64_t begin, int64_t end, int32_t) {
  const Nearest& run = *static_cast<const Nearest*>(context);
  const State& s = *run.state;
  const Axis& last = s.axes[run.last];
  const ResizeTable& table = run.tables[run.last];
  const bool crops = s.rules.coordinates == kCropAndResize;
  int64_t before = -1;  // where the row before came from
  int64_t at[kMostAxes] = {}, rest = begin;
  for (int i = run.last - 1; i >= 0; --i) {
    at[i] = rest % s.axes[i].out;
    rest /= s.axes[i].out;
  }
  for (int64_t row = begin; row < end; ++row) {
    int64_t from = 0, stride = last.in;
    bool outside = false;
    for (int i = run.last - 1; i >= 0; --i) {
      outside = outside || run.tables[i].count[at[i]] < 0;
      from += run.tables[i].first[at[i]] * stride;
      stride *= s.axes[i].in;
    }
    for (int i = run.last - 1; i >= 0 && ++at[i] == s.axes[i].out; --i) at[i] = 0;
    const char* x = run.x + from * run.block;
    char* y = run.y + row * last.out * run.block;
    if (from == before && !crops) {
      copy_bytes(y, y - last.out * run.block, last.out * run.block);
      continue;
    }
    before = from;
    if (crops) {
      for (int64_t o = 0; o < last.out; ++o) {
        if (!outside && table.count[o] >= 0) {
          memcpy(y + o * run.block, x + table.first[o] * run.block, static_cast<size_t>(run.block));
        } else {
          for (int64_t b = 0; b < run.block; b += 4) memcpy(y + o * run.block + b, &s.rules.extrapolation, 4);
        }
      }
    } else if (run.block == 1) {
      gather_row<uint8_t>(x, table.first, last.out, y);
    } else if (run.block == 2) {
      gather_row<uint16_t>(x, table.first, last.out, y);
    } else if (run.block == 4) {
      gather_words(reinterpret_cast<const float*>(x), last.in, table.first, last.out, reinterpret_cast<float*>(y));
    } else if (run.block == 8) {
      gather_row<uint64_t>(x, table.first, last.out, y);
    } else {
      for (int64_t o = 0; o < last.out; ++o) copy_bytes(y + o * run.block, x + table.first[o] * run.block, run.block);
    }
  }
}

int run_nearest(const gk_call* call, const State& s, char* workspace, const bool* same) {
  Nearest run = {};
  run.state = &s;
  run.x = data_of<const char>(call->inputs[0]);
  run.y = data_of<char>(call->outputs[0]);
  run.block = s.element;
  run.last = s.rank - 1;
  for (; run.last > 0 && same[run.last]; --run.last) run.block *= s.axes[run.last].out;
  if (run.last < 0) {
    memcpy(run.y, run.x, static_cast<size_t>(s.element));
    return GK_OK;
  }
  int64_t rows = 1;
  for (int i = 0; i <= run.last; ++i) {
    run.tables[i] = table_of(s, i, workspace);
    if (i < run.last) rows *= s.axes[i].out;
  }
  const int64_t bytes = 2 * s.axes[run.last].out * run.block;
  return parallel_for(call, rows, (kGrainBytes + bytes - 1) / bytes, nearest_rows, &run);
}

// ---- linear and cubic ----

int run_weighted(const gk_call* call, const State& s, char* workspace, const bool* same) {
  int passes = 0;
  for (int i = 0; i < s.rank; ++i) passes += !same[i];
  const float* x = data_of<const float>(call->inputs[0]);
  float* y = data_of<float>(call->outputs[0]);
  if (passes == 0) {
    memcpy(y, x, static_cast<size_t>(element_count(call->outputs[0])) * 4);
    return GK_OK;
  }
  char* buffers = workspace + (s.rank > 0 ? s.table_bytes[s.rank - 1] : 0);
  for (int i = 0, done = 0; i < s.rank; ++i) {
    if (same[i]) continue;
    ++done;
    ResizePass pass = {x, y, table_of(s, i, workspace), s.axes[i].in, s.axes[i].out, 1, s.rules.extrapolation};
    if (done < passes) pass.y = reinterpret_cast<float*>(buffers + (done & 1) * s.buffer_bytes);
    int64_t outer = 1;
    for (int j = 0; j < i; ++j) outer *= s.axes[j].out;
    for (int j = i + 1; j < s.rank; ++j) pass.inner *= s.axes[j].in;
    const int64_t row = 4 * (pass.table.taps + 1) * (pass.inner == 1 ? 4 * pass.out : pass.inner);
    const int status = pass.inner == 1
                           ? parallel_for(call, outer, (kGrainBytes + row - 1) / row, weigh_elements, &pass)
                           : parallel_for(call, outer * pass.out, (kGrainBytes + row - 1) / row, weigh_rows, &pass);
    if (status != GK_OK) return status;
    x = pass.y;
  }
  return GK_OK;
}

int run(const gk_call* call, const State* state) {
  const State& s = *state;
  if (element_count(call->outputs[0]) == 0) return GK_OK;
  char* workspace = static_cast<char*>(call->workspace.data);
  const int64_t tables = s.rank > 0 ? s.table_bytes[s.rank - 1] : 0;
  if (call->workspace.size < static_cast<size_t>(tables + 2 * s.buffer_bytes)) return GK_WORKSPACE_TOO_SMALL;
  bool same[kMostAxes];
  const int status = fill_tables(call, s, workspace, same);
  if (status != GK_OK) return status;
  return s.rules.mode == kNearest ? run_nearest(call, s, workspace, same) : run_weighted(call, s, workspace, same);
}

}  // namespace

int resize(const gk_call* call) { return run_phase<State, prepare, run>(call); }

}  // namespace GK_LEVEL
}  // namespace graphopt
