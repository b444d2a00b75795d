// resize(X, roi?, scales?, sizes?): ONNX Resize along any axes of any layout. Output sizes come from `scales` or `sizes`,
// whose contents must be known.
#include <algorithm>
#include <cmath>

#include "ops/windows.h"

namespace graphopt {
namespace {

bool shapes(ShapeCall& call) {
  if (!call.has(0) || call.inputs.size() > 4 || call.outputs.size() != 1) return call.fail("resize takes X, roi, scales and sizes");
  const TensorType& x = call.inputs[0].type;
  std::vector<int64_t> axes;
  for (const int64_t axis : call.attributes.integers("axes")) {
    axes.push_back(normalized_axis(axis, x.dims.rank));
    if (axes.back() < 0 || std::count(axes.begin(), axes.end(), axes.back()) > 1) return call.fail("resize: axes do not fit");
  }
  if (!call.attributes.has("axes")) {
    for (int i = 0; i < x.dims.rank; ++i) axes.push_back(i);
  }
  call.outputs[0] = x;
  Dims& y = call.outputs[0].dims;
  std::vector<double> scales;
  std::vector<int64_t> sizes;
  if (call.has(2) && element_count(call.inputs[2].type.dims) != 0) {
    if (!call.numbers(2, &scales)) return call.fail("resize: scales are not known");
    if (scales.size() != axes.size()) return call.fail("resize: one scale per axis");
    for (size_t i = 0; i < axes.size(); ++i) {
      int64_t& dim = y[static_cast<int>(axes[i])];
      const float size = static_cast<float>(dim) * static_cast<float>(scales[i]);
      if (!(scales[i] > 0.0) || !(size < static_cast<float>(kMostOfAWindow))) return call.fail("resize: a scale is out of range");
      dim = static_cast<int64_t>(size);
    }
    return true;
  }
  if (!call.integers(3, &sizes)) return call.fail("resize: neither scales nor sizes are known");
  if (sizes.size() != axes.size()) return call.fail("resize: one size per axis");
  for (const int64_t size : sizes) {
    if (size < 0 || size >= kMostOfAWindow) return call.fail("resize: a size is out of range");
  }
  const std::string_view policy = call.attributes.text("keep_aspect_ratio_policy", "stretch");
  if (policy != "stretch" && policy != "not_larger" && policy != "not_smaller") return call.fail("resize: unknown policy");
  double scale = policy == "not_larger" ? INFINITY : 0.0;
  for (size_t i = 0; i < axes.size(); ++i) {
    int64_t& dim = y[static_cast<int>(axes[i])];
    if (policy == "stretch") {
      if (dim == 0 && sizes[i] != 0) return call.fail("resize: nothing to enlarge");
      dim = sizes[i];
      continue;
    }
    if (dim <= 0) return call.fail("resize: the aspect ratio of nothing");
    const double ratio = static_cast<double>(sizes[i]) / static_cast<double>(dim);
    scale = policy == "not_larger" ? std::min(scale, ratio) : std::max(scale, ratio);
  }
  if (policy == "stretch" || axes.empty()) return true;
  for (const int64_t axis : axes) {
    int64_t& dim = y[static_cast<int>(axis)];
    const double size = scale * static_cast<double>(dim) + 0.5;
    if (!(size < static_cast<double>(kMostOfAWindow))) return call.fail("resize: a size is out of range");
    dim = static_cast<int64_t>(size);
  }
  return true;
}

}  // namespace

extern const OpDef op_resize;
const OpDef op_resize = {.name = "resize", .shapes = shapes};

}  // namespace graphopt
