// slice: y[i] = x[start + i·step] along each of the axes, as numpy's x[start:end:step]. Inputs: data, starts, ends,
// axes? (default: the first ones), steps? (default 1; negative ones walk backwards).
#include <algorithm>

#include "executor/op.h"

namespace graphopt {
namespace {

// Where the result begins in each dim, how far it steps and how many elements it has.
struct Ranges {
  Dims start, step, count;
};

// Null, or why the inputs are no slice.
const char* ranges_of(const ShapeCall& call, Ranges* ranges) {
  const Dims& from = call.inputs[0].type.dims;
  std::vector<int64_t> starts, ends, axes, steps;
  if (!call.integers(1, &starts) || !call.integers(2, &ends)) return "starts or ends are not known";
  if (call.has(3) && !call.integers(3, &axes)) return "axes are not known";
  if (call.has(4) && !call.integers(4, &steps)) return "steps are not known";
  const size_t n = starts.size();
  if (ends.size() != n || n > static_cast<size_t>(kMaxRank)) return "starts and ends are not as many";
  if ((call.has(3) && axes.size() != n) || (call.has(4) && steps.size() != n)) return "axes or steps are not as many";
  ranges->count = from;
  ranges->start.rank = ranges->step.rank = from.rank;
  for (int i = 0; i < from.rank; ++i) ranges->step[i] = 1;
  uint32_t seen = 0;
  for (size_t i = 0; i < n; ++i) {
    const int axis = normalized_axis(call.has(3) ? axes[i] : static_cast<int64_t>(i), from.rank);
    if (axis < 0 || (seen >> axis & 1) != 0) return "an axis is out of range or there twice";
    seen |= 1u << axis;
    const int64_t dim = from[axis], step = call.has(4) ? steps[i] : 1;
    if (step == 0) return "a step is 0";
    // A negative position counts from the end; ends beyond the tensor are the tensor's.
    const int64_t first = starts[i] < 0 ? starts[i] + dim : starts[i], last = ends[i] < 0 ? ends[i] + dim : ends[i];
    const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? dim : dim - 1;
    const int64_t start = std::clamp(first, step > 0 ? 0 : std::min<int64_t>(0, high), high);
    const int64_t end = std::clamp(last, low, std::max(low, high));
    const int64_t distance = step > 0 ? end - start : start - end;
    // |step| as unsigned: it may be the smallest integer.
    const uint64_t stride = step > 0 ? static_cast<uint64_t>(step) : -static_cast<uint64_t>(step);
    ranges->count[axis] =
        distance <= 0 || dim == 0 ? 0 : static_cast<int64_t>((static_cast<uint64_t>(distance) - 1) / stride) + 1;
    ranges->start[axis] = ranges->count[axis] == 0 ? 0 : start;
    ranges->step[axis] = ranges->count[axis] <= 1 ? 1 : step;
  }
  return nullptr;
}

bool shapes(ShapeCall& call) {
  if (call.inputs.size() < 3 || call.inputs.size() > 5 || !call.has(0) || call.outputs.size() != 1) {
    return call.fail("takes an input, starts, ends, axes and steps");
  }
  Ranges ranges;
  if (const char* why = ranges_of(call, &ranges)) return call.fail(why);
  call.outputs[0] = {call.inputs[0].type.dtype, ranges.count};
  return true;
}

bool view(ViewCall& call) {
  Ranges ranges;
  if (ranges_of(ShapeCall{call.inputs, call.attributes, {}, {}}, &ranges) != nullptr) return false;
  call.views[0] = {};
  call.views[0].strides.rank = call.strides.rank;
  for (int i = 0; i < call.strides.rank; ++i) {
    call.views[0].strides[i] = call.strides[i] * ranges.step[i];
    call.views[0].offset += call.strides[i] * ranges.start[i];
  }
  return true;
}

}  // namespace

extern const OpDef op_slice;
const OpDef op_slice = {.name = "slice", .shapes = shapes, .view = view};

}  // namespace graphopt
