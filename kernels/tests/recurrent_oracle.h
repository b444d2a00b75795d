// LSTM, GRU and RNN as ONNX writes them, in plain loops in double, with a bound of the error that float32 may make:
// each product errs by its terms' half ulps, each activation passes errors on by its steepest slope.
#pragma once

#include "float_call.h"

namespace floats {

struct Recurrent {
  std::string op = "lstm";
  int64_t steps = 3, batch = 1, inputs = 4, hidden = 5;
  std::string direction = "forward", activations = {};
  std::vector<double> alpha = {}, beta = {};
  double clip = 0;
  bool bias = true, initial = true, peepholes = false, input_forget = false, linear = false, batch_first = false;
  std::vector<int32_t> lengths = {};
  bool wants_y = true, wants_states = true;
  float scale = 0.5f;

  int64_t directions() const { return direction == "bidirectional" ? 2 : 1; }
  int64_t gates() const { return op == "lstm" ? 4 : op == "gru" ? 3 : 1; }
};

struct Bounded {
  double value = 0, error = 0;
};

struct Function {
  std::string name;
  double alpha = 0, beta = 0;

  Bounded operator()(Bounded x) const {
    const double v = x.value;
    double y = 0, slope = 1;
    if (name == "Relu") y = std::fmax(v, 0);
    if (name == "Tanh") y = std::tanh(v);
    if (name == "Sigmoid") y = 1 / (1 + std::exp(-v)), slope = 0.25;
    if (name == "Affine") y = alpha * v + beta, slope = std::fabs(alpha);
    if (name == "LeakyRelu") y = v >= 0 ? v : alpha * v;
    if (name == "ThresholdedRelu") y = v >= alpha ? v : 0;
    if (name == "ScaledTanh") y = alpha * std::tanh(beta * v), slope = std::fabs(alpha * beta);
    if (name == "HardSigmoid") y = std::fmin(std::fmax(alpha * v + beta, 0), 1), slope = std::fabs(alpha);
    if (name == "Elu") y = v >= 0 ? v : alpha * (std::exp(v) - 1), slope = std::fmax(1, std::fabs(alpha));
    if (name == "Softsign") y = v / (1 + std::fabs(v));
    if (name == "Softplus") y = std::log1p(std::exp(v));
    return {y, x.error * slope + 6 * kEpsilon * (std::fabs(y) + std::fabs(slope * v) + std::fabs(beta))};
  }
};

inline std::vector<Function> functions_of(const Recurrent& r) {
  const size_t count = r.op == "lstm" ? 3 : r.op == "gru" ? 2 : 1;
  std::vector<std::string> names;
  std::string rest = r.activations;
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    names.push_back(rest.substr(0, comma));
    rest = comma == std::string::npos ? "" : rest.substr(comma + 1);
  }
  std::vector<Function> functions;
  size_t alpha = 0, beta = 0;
  for (size_t i = 0; i < count * static_cast<size_t>(r.directions()); ++i) {
    Function f = {names.empty() ? (r.op != "rnn" && i % count == 0 ? "Sigmoid" : "Tanh") : names[i], 0, 0};
    const std::string& n = f.name;
    f.alpha = n == "LeakyRelu" ? 0.01 : n == "HardSigmoid" ? 0.2 : 1;
    f.beta = n == "HardSigmoid" ? 0.5 : n == "ScaledTanh" ? 1 : 0;
    const bool two = n == "Affine" || n == "ScaledTanh" || n == "HardSigmoid";
    if ((two || n == "LeakyRelu" || n == "ThresholdedRelu" || n == "Elu") && alpha < r.alpha.size()) {
      f.alpha = static_cast<float>(r.alpha[alpha++]);
    }
    if (two && beta < r.beta.size()) f.beta = static_cast<float>(r.beta[beta++]);
    functions.push_back(f);
  }
  return functions;
}

// inputs: X, W, R, B, lengths, initial h, initial c, P.
inline std::vector<Tensor> recurrent_inputs(const Recurrent& r) {
  const int64_t d = r.directions(), g = r.gates(), first = r.batch_first ? r.batch : d, second = r.batch_first ? d : r.batch;
  std::vector<Tensor> inputs = {
      random(r.batch_first ? std::vector<int64_t>{r.batch, r.steps, r.inputs}
                           : std::vector<int64_t>{r.steps, r.batch, r.inputs}, 1, 2.0f),
      random({d, g * r.hidden, r.inputs}, 2, r.scale), random({d, g * r.hidden, r.hidden}, 3, r.scale),
      r.bias ? random({d, 2 * g * r.hidden}, 4, r.scale) : none(),
      r.lengths.empty() ? none() : of_bytes<int32_t>(kI32, {r.batch}, r.lengths),
      r.initial ? random({first, second, r.hidden}, 5) : none()};
  if (r.op == "lstm") {
    inputs.push_back(r.initial ? random({first, second, r.hidden}, 6) : none());
    inputs.push_back(r.peepholes ? random({d, 3 * r.hidden}, 7, r.scale) : none());
  }
  return inputs;
}

inline std::vector<Expected> recurrent_oracle(const Recurrent& r, const std::vector<Tensor>& in) {
  const int64_t D = r.directions(), G = r.gates(), H = r.hidden, T = r.steps, B = r.batch, I = r.inputs;
  const bool lstm = r.op == "lstm";
  const std::vector<int64_t> states = {r.batch_first ? B : D, r.batch_first ? D : B, H};
  Expected y = zeros(r.batch_first ? std::vector<int64_t>{B, T, D, H} : std::vector<int64_t>{T, D, B, H});
  Expected last_h = zeros(states), last_c = zeros(states);
  const std::vector<Function> functions = functions_of(r);
  const auto value = [&](size_t input, int64_t at) {
    return in[input].absent ? 0.0 : static_cast<double>(in[input].values[static_cast<size_t>(at)]);
  };
  const auto clipped = [&](Bounded x) {
    if (r.clip > 0) x.value = std::fmin(std::fmax(x.value, -r.clip), r.clip);
    return x;
  };
  for (int64_t d = 0; d < D; ++d) {
    const bool backward = r.direction == "reverse" || d == 1;
    const Function* f = functions.data() + d * static_cast<int64_t>(functions.size()) / D;
    for (int64_t b = 0; b < B; ++b) {
      const int64_t length = r.lengths.empty() ? T : r.lengths[static_cast<size_t>(b)];
      const int64_t state = (r.batch_first ? b * D + d : d * B + b) * H;
      std::vector<Bounded> h(static_cast<size_t>(H)), c(h), next(h);
      for (int64_t j = 0; j < H; ++j) {
        h[static_cast<size_t>(j)] = {value(5, state + j), 0};
        if (lstm) c[static_cast<size_t>(j)] = {value(6, state + j), 0};
      }
      for (int64_t step = 0; step < length; ++step) {
        const int64_t t = backward ? length - 1 - step : step, x = (r.batch_first ? b * T + t : t * B + b) * I;
        // Gate g of unit j from X, from h (or from `state`), and from the two biases.
        const auto product = [&](int64_t g, int64_t j, bool of_x, const std::vector<Bounded>* of_h, bool wb, bool rb) {
          const int64_t row = d * G * H + g * H + j;
          Bounded sum;
          double size = 0;
          const auto add = [&](double term, double error) {
            sum.value += term;
            sum.error += error;
            size += std::fabs(term);
          };
          for (int64_t k = 0; of_x && k < I; ++k) add(value(0, x + k) * value(1, row * I + k), 0);
          for (int64_t k = 0; of_h != nullptr && k < H; ++k) {
            const Bounded& from = (*of_h)[static_cast<size_t>(k)];
            const double weight = value(2, row * H + k);
            add(from.value * weight, from.error * std::fabs(weight));
          }
          if (wb) add(value(3, 2 * d * G * H + g * H + j), 0);
          if (rb) add(value(3, (2 * d + 1) * G * H + g * H + j), 0);
          sum.error += kEpsilon * size * static_cast<double>(I + H + 4);
          return sum;
        };
        const auto plus = [](Bounded a, Bounded x) {
          return Bounded{a.value + x.value, a.error + x.error + 2 * kEpsilon * (std::fabs(a.value) + std::fabs(x.value))};
        };
        const auto times = [](Bounded a, Bounded x) {
          return Bounded{a.value * x.value, std::fabs(a.value) * x.error + std::fabs(x.value) * a.error +
                                                a.error * x.error + 2 * kEpsilon * std::fabs(a.value * x.value)};
        };
        const auto one_minus = [](Bounded a) { return Bounded{1 - a.value, a.error + kEpsilon}; };
        std::vector<Bounded> reset(static_cast<size_t>(H));
        if (r.op == "gru") {
          for (int64_t j = 0; j < H; ++j) {
            const size_t u = static_cast<size_t>(j);
            reset[u] = times(f[0](clipped(product(1, j, true, &h, true, true))), h[u]);
          }
        }
        for (int64_t j = 0; j < H; ++j) {
          const size_t u = static_cast<size_t>(j);
          if (lstm) {
            const auto peephole = [&](int64_t p, Bounded cell) {
              return times({value(7, (d * 3 + p) * H + j), 0}, cell);
            };
            const Bounded i = f[0](clipped(plus(product(0, j, true, &h, true, true), peephole(0, c[u]))));
            const Bounded forget = f[0](clipped(plus(product(2, j, true, &h, true, true), peephole(2, c[u]))));
            const Bounded g = f[1](clipped(product(3, j, true, &h, true, true)));
            c[u] = plus(times(r.input_forget ? one_minus(i) : forget, c[u]), times(i, g));
            const Bounded o = f[0](clipped(plus(product(1, j, true, &h, true, true), peephole(1, c[u]))));
            next[u] = times(o, f[2](c[u]));
          } else if (r.op == "gru") {
            const Bounded z = f[0](clipped(product(0, j, true, &h, true, true)));
            const Bounded gate = f[0](clipped(product(1, j, true, &h, true, true)));
            const Bounded candidate =
                r.linear ? plus(product(2, j, true, nullptr, true, false), times(gate, product(2, j, false, &h, false, true)))
                         : product(2, j, true, &reset, true, true);
            next[u] = plus(times(one_minus(z), f[1](clipped(candidate))), times(z, h[u]));
          } else {
            next[u] = f[0](clipped(product(0, j, true, &h, true, true)));
          }
        }
        h = next;
        const int64_t row = (r.batch_first ? (b * T + t) * D + d : (t * D + d) * B + b) * H;
        for (int64_t j = 0; j < H; ++j) {
          y.values[static_cast<size_t>(row + j)] = h[static_cast<size_t>(j)].value;
          y.tolerance[static_cast<size_t>(row + j)] = h[static_cast<size_t>(j)].error;
        }
      }
      for (int64_t j = 0; j < H && (length > 0 || r.lengths.empty()); ++j) {
        const size_t at = static_cast<size_t>(state + j), u = static_cast<size_t>(j);
        last_h.values[at] = h[u].value;
        last_h.tolerance[at] = h[u].error;
        last_c.values[at] = c[u].value;
        last_c.tolerance[at] = c[u].error;
      }
    }
  }
  std::vector<Expected> outputs = {r.wants_y ? y : no_output()};
  if (r.wants_states) outputs.push_back(last_h);
  if (r.wants_states && lstm) outputs.push_back(last_c);
  return outputs;
}

inline Case recurrent_case(const Recurrent& r, const std::vector<Tensor>& inputs, const std::string& name) {
  Case test = {r.op.c_str(), inputs, {text("direction", r.direction.c_str()), integer("hidden_size", r.hidden)},
               0b10001110, name};
  if (!r.activations.empty()) test.attributes.push_back(text("activations", r.activations.c_str()));
  if (!r.alpha.empty()) test.attributes.push_back(numbers("activation_alpha", r.alpha));
  if (!r.beta.empty()) test.attributes.push_back(numbers("activation_beta", r.beta));
  if (r.clip > 0) test.attributes.push_back(number("clip", r.clip));
  if (r.op == "lstm") test.attributes.push_back(integer("input_forget", r.input_forget));
  if (r.op == "gru") test.attributes.push_back(integer("linear_before_reset", r.linear));
  test.attributes.push_back(integer("layout", r.batch_first));
  return test;
}

inline void compare_recurrent(const Recurrent& r, const std::string& name) {
  const std::vector<Tensor> inputs = recurrent_inputs(r);
  const std::vector<Expected> expected = recurrent_oracle(r, inputs);
  Case test = recurrent_case(r, inputs, name);
  check_shapes(test, expected);
  check(test, expected);
}

// What is the same for the three of them.
inline void compare_recurrent_basics(const Recurrent& base) {
  const auto with = [&](auto change, const std::string& name) {
    Recurrent r = base;
    change(r);
    compare_recurrent(r, name);
  };
  for (const int64_t hidden : {1, 3, 15, 16, 17, 33, 64, 67}) {
    with([&](Recurrent& r) { r.hidden = hidden; }, "hidden " + std::to_string(hidden));
  }
  for (const int64_t batch : {2, 3, 4, 5, 6, 7, 13}) {
    with([&](Recurrent& r) { r.batch = batch; }, "batch " + std::to_string(batch));
  }
  for (const int64_t inputs : {0, 1, 2, 7, 33}) {
    with([&](Recurrent& r) { r.inputs = inputs; }, "inputs " + std::to_string(inputs));
  }
  for (const char* direction : {"reverse", "bidirectional"}) {
    for (const bool batch_first : {false, true}) {
      with([&](Recurrent& r) {
        r.direction = direction;
        r.batch_first = batch_first;
        r.batch = 4;
        r.lengths = {2, 0, 3, 1};
      }, direction);
    }
  }
  with([](Recurrent& r) { r.bias = r.initial = false; }, "nothing optional");
  with([](Recurrent& r) { r.wants_y = false; }, "states only");
  with([](Recurrent& r) { r.wants_states = false; }, "Y only");
  with([](Recurrent& r) { r.clip = 0.3; }, "clip");
  with([](Recurrent& r) { r.steps = 0; }, "no steps");
  with([](Recurrent& r) { r.batch = 0; }, "no batch");
  with([](Recurrent& r) { r.lengths = {0}; }, "empty sequence");
  with([](Recurrent& r) { r.hidden = 420, r.steps = 2, r.scale = 0.05f; }, "panels on threads");
}

inline void refuse_recurrent(const Recurrent& base) {
  std::vector<Tensor> inputs = recurrent_inputs(base);
  const std::vector<Expected> outputs = recurrent_oracle(base, inputs);
  const auto refused = [&](auto change, int status) {
    Case test = recurrent_case(base, inputs, "refused");
    change(test);
    check_refused(test, outputs, status);
  };
  refused([](Case& c) { c.inputs[1] = random({1, 3, 3}, 1); }, GK_INVALID_ARGUMENT);
  refused([](Case& c) { c.inputs[2] = none(); }, GK_INVALID_ARGUMENT);
  refused([](Case& c) { c.inputs[3] = random({1, 3}, 1); }, GK_INVALID_ARGUMENT);
  refused([](Case& c) { c.inputs[5] = random({2, 1, 1}, 1); }, GK_INVALID_ARGUMENT);
  refused([](Case& c) { c.inputs[4] = of_bytes<int64_t>(kI64, {1}, std::vector<int64_t>{1}); }, GK_UNSUPPORTED);
  refused([](Case& c) { c.attributes[0] = text("direction", "sideways"); }, GK_INVALID_ARGUMENT);
  refused([](Case& c) { c.attributes[1] = integer("hidden_size", 1); }, GK_INVALID_ARGUMENT);
  refused([](Case& c) { c.attributes.push_back(text("activations", "Tanh,Swish,Tanh")); }, GK_INVALID_ARGUMENT);
  refused([](Case& c) { c.attributes.push_back(text("activations", "Tanh,Tanh,Tanh,Tanh")); }, GK_INVALID_ARGUMENT);
}

}  // namespace floats
