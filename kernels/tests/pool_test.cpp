// pool against plain loops in double.
#include <algorithm>
#include <limits>

#include "spatial.h"

namespace {

using floats::Expected;
using floats::Tensor;

struct Pool {
  const char* kind = "max";
  std::vector<int64_t> x = {}, kernel = {}, strides = {}, dilations = {}, pads = {};
  std::vector<int64_t> out = {};  // spatial dims of Y
  const char* auto_pad = "NOTSET";
  int64_t ceil_mode = 0, count_include_pad = 0, p = 2;
};

Expected oracle(const Pool& pool, const Tensor& x, const std::vector<int64_t>& begin, const std::vector<int64_t>& end) {
  const size_t spatial = pool.kernel.size();
  const auto in = spatial::three({pool.x.begin() + 1, pool.x.end() - 1}, spatial, 1), out = spatial::three(pool.out, spatial, 1);
  const auto kernel = spatial::three(pool.kernel, spatial, 1), stride = spatial::three(pool.strides, spatial, 1);
  const auto dilation = spatial::three(pool.dilations, spatial, 1);
  const auto pad = spatial::three(begin, spatial, 0), pad_end = spatial::three(end, spatial, 0);
  const int64_t channels = pool.x.back();
  std::vector<int64_t> shape = {pool.x[0]};
  shape.insert(shape.end(), pool.out.begin(), pool.out.end());
  shape.push_back(channels);
  Expected y = floats::zeros(shape);
  const std::string kind = pool.kind;
  size_t at = 0;
  for (int64_t n = 0; n < pool.x[0]; ++n) {
    for (int64_t o = 0; o < out[0] * out[1] * out[2]; ++o) {
      const int64_t position[3] = {o / out[2] / out[1], o / out[2] % out[1], o % out[2]};
      for (int64_t c = 0; c < channels; ++c, ++at) {
        double sum = 0.0, most = -INFINITY;
        int64_t inside = 0, padded = 0;
        for (int64_t k = 0; k < kernel[0] * kernel[1] * kernel[2]; ++k) {
          const int64_t tap[3] = {k / kernel[2] / kernel[1], k / kernel[2] % kernel[1], k % kernel[2]};
          int64_t index = n;
          bool is_inside = true, is_padded = true;
          for (size_t a = 0; a < 3; ++a) {
            const int64_t i = position[a] * stride[a] - pad[a] + tap[a] * dilation[a];
            is_inside = is_inside && i >= 0 && i < in[a];
            is_padded = is_padded && i < in[a] + pad_end[a];
            index = index * in[a] + i;
          }
          padded += is_padded;
          if (!is_inside) continue;
          ++inside;
          const double value = x.values[static_cast<size_t>(index * channels + c)];
          if (std::isnan(value)) most = value;
          if (!std::isnan(most)) most = std::max(most, value);
          sum += kind == "lp" ? std::pow(std::fabs(value), static_cast<double>(pool.p)) : value;
        }
        double value = most;
        if (kind == "average") value = sum / static_cast<double>(pool.count_include_pad != 0 ? padded : inside);
        if (kind == "lp") value = std::pow(sum, 1.0 / static_cast<double>(pool.p));
        y.values[at] = value;
        y.tolerance[at] = kind == "max" ? 0.0 : 4.0 * floats::kEpsilon * static_cast<double>(inside + 4) * (std::fabs(value) + 1.0);
      }
    }
  }
  return y;
}

void run(const Pool& pool, std::vector<int64_t> begin = {}, std::vector<int64_t> end = {}, bool special = false) {
  const size_t spatial = pool.kernel.size();
  if (begin.empty()) {
    begin.assign(spatial, 0);
    end = begin;
    if (!pool.pads.empty()) {
      begin.assign(pool.pads.begin(), pool.pads.begin() + static_cast<long>(spatial));
      end.assign(pool.pads.begin() + static_cast<long>(spatial), pool.pads.end());
    }
  }
  spatial::Attributes attributes;
  attributes.text("kind", pool.kind);
  attributes.text("auto_pad", pool.auto_pad);
  attributes.add("kernel_shape", pool.kernel);
  attributes.add("strides", pool.strides);
  attributes.add("dilations", pool.dilations);
  attributes.add("pads", pool.pads);
  attributes.add("ceil_mode", pool.ceil_mode);
  attributes.add("count_include_pad", pool.count_include_pad);
  attributes.add("p", pool.p);
  Tensor x = floats::random(pool.x, 7);
  if (special) {
    x.values[3] = NAN;
    x.values[x.values.size() / 2] = INFINITY;
    x.values[x.values.size() / 3] = -INFINITY;
  }
  const Expected expected = oracle(pool, x, begin, end);
  floats::Case test = {"pool", {x}, attributes.all, 0, std::string(pool.kind) + spatial::text_of(pool.x) + spatial::text_of(pool.kernel) + spatial::text_of(pool.pads)};
  floats::check_shapes(test, {expected});
  floats::check(test, {expected});
  test.inputs[0] = floats::in_rows(x, 5);
  test.name += " in rows";
  floats::check(test, {expected});
}

}  // namespace

void test_pool() {
  for (const char* kind : {"max", "average", "lp"}) {
    for (const int64_t channels : {1, 3, 16, 17, 40}) {
      run({.kind = kind, .x = {2, 5, 7, channels}, .kernel = {2, 2}, .strides = {2, 2}, .out = {2, 3}});
    }
    run({.kind = kind, .x = {1, 6, 5, 4}, .kernel = {3, 2}, .strides = {1, 2}, .pads = {1, 0, 2, 1}, .out = {7, 3}});
    run({.kind = kind, .x = {1, 9, 3}, .kernel = {3}, .strides = {2}, .dilations = {2}, .pads = {1, 2}, .out = {4}});
    run({.kind = kind, .x = {1, 3, 4, 5, 2}, .kernel = {2, 2, 3}, .strides = {}, .pads = {1, 0, 1, 0, 1, 1}, .out = {3, 4, 5}});
    // A window of more elements than one visit takes, over channels that are cut into segments.
    run({.kind = kind, .x = {1, 11, 13, 150}, .kernel = {11, 13}, .out = {1, 1}});
    run({.kind = kind, .x = {1, 4, 4, 3}, .kernel = {3, 3}, .strides = {2, 2}, .out = {2, 2}, .ceil_mode = 1});
    run({.kind = kind, .x = {0, 4, 4, 3}, .kernel = {3, 3}, .out = {2, 2}});
    run({.kind = kind, .x = {2, 4, 4, 0}, .kernel = {3, 3}, .out = {2, 2}});
  }
  run({.kind = "lp", .x = {1, 5, 4, 3}, .kernel = {2, 2}, .out = {4, 3}, .p = 1});
  run({.kind = "lp", .x = {1, 5, 4, 3}, .kernel = {2, 2}, .out = {4, 3}, .p = 3});
  for (const int64_t ceil : {0, 1}) {
    run({.kind = "average", .x = {1, 7, 6, 5}, .kernel = {3, 3}, .strides = {2, 3}, .pads = {1, 1, 1, 1},
         .out = {4, ceil == 0 ? 2 : 3}, .ceil_mode = ceil, .count_include_pad = 1});
  }
  // The last window would start in the padding: there is none.
  run({.kind = "average", .x = {1, 2, 2, 1}, .kernel = {1, 1}, .strides = {3, 3}, .pads = {0, 0, 1, 1}, .out = {1, 1}, .ceil_mode = 1});
  for (const char* kind : {"max", "average"}) {
    run({.kind = kind, .x = {1, 5, 6, 3}, .kernel = {2, 3}, .out = {5, 6}, .auto_pad = "SAME_UPPER"}, {0, 1}, {1, 1});
    run({.kind = kind, .x = {1, 5, 6, 3}, .kernel = {2, 3}, .out = {5, 6}, .auto_pad = "SAME_LOWER"}, {1, 1}, {0, 1});
    run({.kind = kind, .x = {1, 5, 6, 3}, .kernel = {2, 3}, .strides = {2, 2}, .out = {2, 2}, .auto_pad = "VALID"});
  }
  run({.kind = "max", .x = {1, 5, 7, 18}, .kernel = {2, 3}, .out = {4, 5}}, {}, {}, true);
  Tensor x = floats::random({1, 3, 3, 2}, 1);
  spatial::Attributes attributes;
  attributes.text("kind", "median");
  attributes.add("kernel_shape", {2, 2});
  floats::check_refused({"pool", {x}, attributes.all, 0, "median"}, {floats::zeros({1, 2, 2, 2})}, GK_INVALID_ARGUMENT);
  spatial::Attributes other;
  other.text("kind", "max");
  other.add("kernel_shape", {2});
  floats::check_refused({"pool", {x}, other.all, 0, "rank"}, {floats::zeros({1, 2, 2, 2})}, GK_INVALID_ARGUMENT);
}
