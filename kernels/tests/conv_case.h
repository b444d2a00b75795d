// One convolution in every way it can be called, and plain loops in double to compare it with.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "check.h"

namespace conv_case {

enum Opcode {
#define GK_OPCODE(number, name, arity) k_##name = number,
#include "cpu/lib/elementwise/opcodes.def"
#undef GK_OPCODE
};

struct Conv {
  std::vector<int64_t> x = {}, w = {}, y = {};  // [N, spatial…, C], [M, C/group, kernel…]; y is computed
  std::vector<int64_t> strides = {}, dilations = {}, pads = {};
  int64_t group = 1;
  std::string auto_pad = "NOTSET";
  bool bias = true;
};

inline int64_t product(const std::vector<int64_t>& dims) {
  int64_t count = 1;
  for (const int64_t dim : dims) count *= dim;
  return count;
}

inline void append(std::string* text, const char* name, const std::vector<int64_t>& numbers) {
  text->append(name);
  for (const int64_t number : numbers) text->append(" ").append(std::to_string(number));
}

inline std::string text(const Conv& conv) {
  std::string text;
  append(&text, "x", conv.x);
  append(&text, ", w", conv.w);
  append(&text, ", strides", conv.strides);
  append(&text, ", dilations", conv.dilations);
  append(&text, ", pads", conv.pads);
  append(&text, ", group", {conv.group});
  return text;
}

// Small numbers without a pattern.
inline std::vector<float> noise(int64_t count, uint32_t seed) {
  std::vector<float> values(static_cast<size_t>(count));
  uint32_t state = seed * 2654435761u + 1;
  for (float& value : values) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(static_cast<int32_t>(state >> 8) - (1 << 23)) / static_cast<float>(1 << 23);
  }
  return values;
}

// The attributes for three spatial axes, and y's dims.
struct Axes {
  int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad[3];
};

inline Axes resolve(Conv* conv) {
  Axes axes = {};
  const size_t spatial = conv->x.size() - 2;
  conv->y = {conv->x[0]};
  for (size_t i = 0; i < 3; ++i) {
    axes.in[i] = axes.out[i] = axes.kernel[i] = axes.stride[i] = axes.dilation[i] = 1;
  }
  for (size_t i = 0; i < spatial; ++i) {
    const size_t at = 3 - spatial + i;
    axes.in[at] = conv->x[i + 1];
    axes.kernel[at] = conv->w[i + 2];
    if (!conv->strides.empty()) axes.stride[at] = conv->strides[i];
    if (!conv->dilations.empty()) axes.dilation[at] = conv->dilations[i];
    const int64_t span = (axes.kernel[at] - 1) * axes.dilation[at] + 1;
    int64_t begin = conv->pads.empty() ? 0 : conv->pads[i], end = conv->pads.empty() ? 0 : conv->pads[i + spatial];
    if (conv->auto_pad == "VALID") begin = end = 0;
    if (conv->auto_pad == "SAME_UPPER" || conv->auto_pad == "SAME_LOWER") {
      const int64_t out = (axes.in[at] + axes.stride[at] - 1) / axes.stride[at];
      const int64_t total = std::max<int64_t>(0, (out - 1) * axes.stride[at] + span - axes.in[at]);
      begin = conv->auto_pad == "SAME_UPPER" ? total / 2 : total - total / 2;
      end = total - begin;
    }
    axes.pad[at] = begin;
    axes.out[at] = (axes.in[at] + begin + end - span) / axes.stride[at] + 1;
    conv->y.push_back(axes.out[at]);
  }
  conv->y.push_back(conv->w[0]);
  return axes;
}

// The sums in double, and what rounding may make of each: sums of magnitudes times their number of terms.
inline void oracle(const Conv& conv, const Axes& a, const std::vector<float>& x, const std::vector<float>& w,
            const std::vector<float>& bias, std::vector<double>* sums, std::vector<double>* slack) {
  const int64_t channels = conv.x.back(), filters = conv.w[0], per_group = conv.w[1];
  for (int64_t n = 0; n < conv.x[0]; ++n) {
    for (int64_t o = 0; o < a.out[0] * a.out[1] * a.out[2]; ++o) {
      const int64_t at[3] = {o / a.out[2] / a.out[1], o / a.out[2] % a.out[1], o % a.out[2]};
      for (int64_t m = 0; m < filters; ++m) {
        const int64_t group = m / (filters / conv.group);
        double sum = bias.empty() ? 0.0 : static_cast<double>(bias[static_cast<size_t>(m)]), size = std::fabs(sum);
        for (int64_t k = 0; k < a.kernel[0] * a.kernel[1] * a.kernel[2]; ++k) {
          const int64_t tap[3] = {k / a.kernel[2] / a.kernel[1], k / a.kernel[2] % a.kernel[1], k % a.kernel[2]};
          int64_t from = n;
          bool inside = true;
          for (int i = 0; i < 3; ++i) {
            const int64_t position = at[i] * a.stride[i] + tap[i] * a.dilation[i] - a.pad[i];
            inside = inside && position >= 0 && position < a.in[i];
            from = from * a.in[i] + position;
          }
          for (int64_t c = 0; inside && c < per_group; ++c) {
            const int64_t weight = (m * per_group + c) * a.kernel[0] * a.kernel[1] * a.kernel[2] + k;
            const double term = static_cast<double>(x[static_cast<size_t>(from * channels + group * per_group + c)]) *
                                static_cast<double>(w[static_cast<size_t>(weight)]);
            sum += term;
            size += std::fabs(term);
          }
        }
        const int64_t terms = per_group * a.kernel[0] * a.kernel[1] * a.kernel[2] + 2;
        sums->push_back(sum);
        slack->push_back(2.0 * static_cast<double>(terms) * size * std::numeric_limits<float>::epsilon() / 2);
      }
    }
  }
}

inline gk_tensor tensor(std::vector<float>* data, std::vector<int64_t>* dims) {
  return {data->data(), {GK_CPU, 0}, static_cast<int32_t>(dims->size()), kF32, dims->data(), nullptr, 0};
}

inline void set_ints(Call* call, const char* name, const std::vector<int64_t>& values) {
  if (values.empty()) return;
  gk_attribute attribute = {name, GK_ATTRIBUTE_INTS, static_cast<int32_t>(values.size()), {0}};
  attribute.value.ints = values.data();
  call->attributes.push_back(attribute);
}

// An epilogue: its program and the extra operands it reads.
struct Tail {
  std::vector<int64_t> program = {};
  std::vector<double> constants = {};
  int64_t result = 0;
  std::vector<std::vector<int64_t>> dims = {};
};

// What a person does with the result to know what the epilogue should give; operand index → value there.
typedef double (*TailOracle)(double x, const std::vector<double>& operands);

class Case {
 public:
  explicit Case(Conv conv, Tail tail = {}, TailOracle tail_oracle = nullptr)
      : conv_(std::move(conv)), tail_(std::move(tail)), tail_oracle_(tail_oracle) {
    axes_ = resolve(&conv_);
    x_ = noise(product(conv_.x), 1);
    w_ = noise(product(conv_.w), 2);
    if (conv_.bias) bias_ = noise(conv_.w[0], 3);
    for (const auto& dims : tail_.dims) {
      operands_.push_back(noise(product(dims), 4 + static_cast<uint32_t>(operands_.size())));
    }
  }

  // X and Y as the first channels of wider tensors: so many floats further apart. A gap of X holds NaN.
  void widen(int64_t x_gap, int64_t y_gap) {
    x_gap_ = x_gap;
    y_gap_ = y_gap;
  }

  std::vector<float>& x() { return x_; }
  std::vector<float>& w() { return w_; }

  void check() {
    std::vector<double> want, slack;
    oracle(conv_, axes_, x_, w_, bias_, &want, &slack);
    for (const int32_t isa : supported_levels()) {
      const std::string context = std::string(gk_isa_name(isa)) + " " + text(conv_);
      const std::vector<float> serial = run(isa, true, nullptr);
      for (size_t i = 0; i < serial.size(); ++i) {
        const double expected = tail_oracle_ == nullptr ? want[i] : tail_oracle_(want[i], operands_at(i));
        const double got = static_cast<double>(serial[i]);
        // Tiles of the Winograd form subtract inputs from each other: an infinity may come out as NaN.
        const bool fits = std::isfinite(expected) ? std::fabs(got - expected) <= slack[i] * (tail_oracle_ ? 3 : 1)
                                                  : std::isnan(got) || got == expected;
        if (fits) continue;
        CHECK_WITH(fits, context + ": element " + std::to_string(i) + " is " + std::to_string(got) + ", not " +
                             std::to_string(expected));
        break;
      }
      ReversedPool pool;
      CHECK_WITH(same(serial, run(isa, true, &pool.raw)), context + ": threads change the bits");
      CHECK_WITH(same(serial, run(isa, false, nullptr)), context + ": packing in the run changes the bits");
    }
  }

  // Prepared, packed if W is constant, run; guards around Y.
  std::vector<float> run(int32_t isa, bool constant, const gk_parallel* parallel) {
    const int64_t filters = conv_.y.back(), pixels = filters == 0 ? 0 : product(conv_.y) / filters;
    std::vector<float> y(static_cast<size_t>(pixels * (filters + y_gap_)) + 2, kGuard);
    Call call = this->call(&y);
    std::vector<float> wide_x;
    std::vector<int64_t> x_strides, y_strides;
    if (x_gap_ + y_gap_ > 0) {
      wide_x = widened(x_, conv_.x.back(), x_gap_, std::numeric_limits<float>::quiet_NaN());
      x_strides = strides_of(conv_.x, x_gap_);
      y_strides = strides_of(conv_.y, y_gap_);
      call.inputs[0].data = wide_x.data();
      call.inputs[0].strides = x_strides.data();
      call.outputs[0].strides = y_strides.data();
    }
    call.raw.isa = isa;
    call.raw.parallel = parallel;
    call.raw.constant_inputs = constant ? 0x6u : 0u;
    gk_prepared prepared = {};
    call.raw.prepared = &prepared;
    call.raw.phase = GK_PREPARE;
    const std::string context = std::string(gk_isa_name(isa)) + " " + text(conv_);
    CHECK_WITH(gk_run_kernel("conv", call.get()) == GK_OK, context);
    std::vector<char> packed(prepared.packed_bytes + 64), workspace(prepared.workspace_bytes + 1, '\x5a');
    if (prepared.packed_bytes != 0) {
      call.raw.packed = reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(packed.data()) + 63) / 64 * 64);
      call.raw.phase = GK_PACK;
      CHECK_WITH(gk_run_kernel("conv", call.get()) == GK_OK, context);
    }
    call.raw.phase = GK_RUN;
    if (prepared.workspace_bytes != 0) {
      CHECK_WITH(gk_run_kernel("conv", call.get()) == GK_WORKSPACE_TOO_SMALL, context);
    }
    call.raw.workspace = {workspace.data(), prepared.workspace_bytes};
    CHECK_WITH(gk_run_kernel("conv", call.get()) == GK_OK, context);
    CHECK_WITH(workspace.back() == '\x5a', context);
    CHECK_WITH(y.front() == kGuard && y.back() == kGuard, context);
    std::vector<float> result;
    for (int64_t i = 0; i < pixels * (filters + y_gap_); ++i) {
      const float value = y[static_cast<size_t>(i) + 1];
      const bool in_gap = i % (filters + y_gap_) >= filters;
      CHECK_WITH(!in_gap || value == kGuard, context);
      if (!in_gap) result.push_back(value);
    }
    return result;
  }

  Call call(std::vector<float>* y) {
    Call call;
    call.inputs = {tensor(&x_, &conv_.x), tensor(&w_, &conv_.w), scalar(nullptr, kF32)};
    call.inputs[2].ndim = -1;
    if (conv_.bias) call.inputs[2] = vector_of(bias_.data(), kF32, &conv_.w[0]);
    call.outputs = {tensor(y, &conv_.y)};
    call.outputs[0].byte_offset = 4;
    set_ints(&call, "strides", conv_.strides);
    set_ints(&call, "dilations", conv_.dilations);
    set_ints(&call, "pads", conv_.pads);
    call.set("group", conv_.group);
    gk_attribute pad = {"auto_pad", GK_ATTRIBUTE_STRING, static_cast<int32_t>(conv_.auto_pad.size()), {0}};
    pad.value.s = conv_.auto_pad.c_str();
    call.attributes.push_back(pad);
    if (!tail_.program.empty()) {
      set_ints(&call, "epilogue", tail_.program);
      const int32_t count = static_cast<int32_t>(tail_.constants.size());
      gk_attribute constants = {"epilogue_constants", GK_ATTRIBUTE_FLOATS, count, {0}};
      constants.value.floats = tail_.constants.data();
      call.attributes.push_back(constants);
      call.set("epilogue_result", tail_.result);
      call.set("epilogue_first", 3);
      for (size_t i = 0; i < operands_.size(); ++i) call.inputs.push_back(tensor(&operands_[i], &tail_.dims[i]));
    }
    return call;
  }

 private:
  static constexpr float kGuard = -77.0f;

  static bool same(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
  }

  static std::vector<float> widened(const std::vector<float>& data, int64_t channels, int64_t gap, float fill) {
    std::vector<float> wide;
    for (size_t i = 0; i < data.size(); ++i) {
      wide.push_back(data[i]);
      if ((i + 1) % static_cast<size_t>(channels) == 0) wide.insert(wide.end(), static_cast<size_t>(gap), fill);
    }
    return wide;
  }

  static std::vector<int64_t> strides_of(const std::vector<int64_t>& dims, int64_t gap) {
    std::vector<int64_t> strides(dims.size(), 1);
    int64_t stride = dims.back() + gap;
    for (size_t i = dims.size() - 1; i-- > 0;) {
      strides[i] = stride;
      stride *= dims[i];
    }
    return strides;
  }

  // The extra operands at a (flat) element of Y, broadcast from the back.
  std::vector<double> operands_at(size_t element) const {
    std::vector<double> values;
    for (size_t i = 0; i < operands_.size(); ++i) {
      const auto& dims = tail_.dims[i];
      size_t rest = element, from = 0, stride = 1;
      for (size_t back = 1; back <= conv_.y.size(); ++back) {
        const size_t dim = static_cast<size_t>(conv_.y[conv_.y.size() - back]), at = rest % dim;
        rest /= dim;
        if (back > dims.size()) continue;
        const size_t own = static_cast<size_t>(dims[dims.size() - back]);
        if (own > 1) from += at * stride;
        stride *= own;
      }
      values.push_back(static_cast<double>(operands_[i][from]));
    }
    return values;
  }

  Conv conv_;
  Tail tail_;
  TailOracle tail_oracle_;
  Axes axes_ = {};
  int64_t x_gap_ = 0, y_gap_ = 0;
  std::vector<float> x_, w_, bias_;
  std::vector<std::vector<float>> operands_;
};

}  // namespace conv_case
