// attention against plain loops in double: sizes past every tile, grouped heads, masks, windows, caches, scores, views.
#include <algorithm>

#include "float_call.h"

namespace {

using namespace floats;

struct Options {
  int64_t batch = 1, heads = 1, kv_heads = 1, queries = 1, keys = 1, size = 4, value_size = 4, past = 0;
  double scale = 0, softcap = 0;
  bool causal = false, flat = false;   // flat: 3-D inputs
  int64_t left = -1, right = -1;
  int mode = -1;                       // of the scores; -1: not wanted
  bool present = false;
  std::vector<int64_t> lengths = {};
  Tensor mask = none();
};

// Operands as [batch, heads, length, size].
struct Operands {
  Tensor q, k, v, past_k, past_v;
};

Operands operands_of(const Options& o) {
  Operands operands = {random({o.batch, o.heads, o.queries, o.size}, 1, 2.0f),
                       random({o.batch, o.kv_heads, o.keys, o.size}, 2, 2.0f),
                       random({o.batch, o.kv_heads, o.keys, o.value_size}, 3), none(), none()};
  if (o.past > 0) {
    operands.past_k = random({o.batch, o.kv_heads, o.past, o.size}, 4, 2.0f);
    operands.past_v = random({o.batch, o.kv_heads, o.past, o.value_size}, 5);
  }
  return operands;
}

double at(const Tensor& t, int64_t a, int64_t b, int64_t c, int64_t d) {
  return t.values[static_cast<size_t>(((a * t.shape[1] + b) * t.shape[2] + c) * t.shape[3] + d)];
}

// The mask's addend; keys behind its last dim are masked.
double mask_at(const Tensor& mask, int64_t b, int64_t h, int64_t q, int64_t key) {
  if (mask.absent) return 0;
  const int64_t index[4] = {b, h, q, key};
  int64_t offset = 0;
  const size_t rank = mask.shape.size();
  if (rank > 0 && key >= mask.shape[rank - 1]) return -INFINITY;
  for (size_t i = 0; i < rank; ++i) {
    offset = offset * mask.shape[i] + (mask.shape[i] == 1 ? 0 : index[4 - rank + i]);
  }
  if (mask.dtype.code == GK_BOOL) return mask.bytes[static_cast<size_t>(offset)] ? 0 : -INFINITY;
  return mask.values[static_cast<size_t>(offset)];
}

std::vector<Expected> oracle(const Operands& in, const Options& o) {
  const int64_t total = o.past + o.keys;
  Expected y = zeros({o.batch, o.heads, o.queries, o.value_size}), scores = zeros({o.batch, o.heads, o.queries, total});
  Expected keys = zeros({o.batch, o.kv_heads, total, o.size}), values = zeros({o.batch, o.kv_heads, total, o.value_size});
  const auto key_at = [&](int64_t b, int64_t h, int64_t j, int64_t c) {
    return j < o.past ? at(in.past_k, b, h, j, c) : at(in.k, b, h, j - o.past, c);
  };
  const auto value_at = [&](int64_t b, int64_t h, int64_t j, int64_t c) {
    return j < o.past ? at(in.past_v, b, h, j, c) : at(in.v, b, h, j - o.past, c);
  };
  const double scale = o.scale != 0 ? o.scale : 1 / std::sqrt(static_cast<double>(o.size));
  std::vector<double> raw(static_cast<size_t>(total)), capped = raw, biased = raw, p = raw;
  for (int64_t row = 0; row < o.batch * o.heads * o.queries; ++row) {
    const int64_t b = row / (o.heads * o.queries), h = row / o.queries % o.heads, i = row % o.queries;
    const int64_t group = h / (o.heads / o.kv_heads);
    double score_error = 0, greatest = -INFINITY, sum = 0;
    for (int64_t j = 0; j < total; ++j) {
      double dot = 0, size = 0;
      for (int64_t c = 0; c < o.size; ++c) {
        const double term = at(in.q, b, h, i, c) * key_at(b, group, j, c);
        dot += term;
        size += std::fabs(term);
      }
      const size_t key = static_cast<size_t>(j);
      raw[key] = dot * scale;
      score_error = std::fmax(score_error, kEpsilon * size * std::fabs(scale) * static_cast<double>(o.size + 4));
      capped[key] = o.softcap > 0 ? o.softcap * std::tanh(raw[key] / o.softcap) : raw[key];
      int64_t position = i + o.past;
      if (!o.lengths.empty()) position = i + o.lengths[static_cast<size_t>(b)] - o.queries;
      double bias = mask_at(o.mask, b, h, i, j);
      if (o.causal && j > position) bias = -INFINITY;
      if (o.left >= 0 && j < position - o.left) bias = -INFINITY;
      if (o.right >= 0 && j > position + o.right) bias = -INFINITY;
      if (!o.lengths.empty() && j >= o.lengths[static_cast<size_t>(b)]) bias = -INFINITY;
      biased[key] = capped[key] + bias;
      if (std::isfinite(bias)) score_error = std::fmax(score_error, 2 * kEpsilon * std::fabs(bias));
      greatest = std::fmax(greatest, biased[key]);
    }
    score_error += 8 * kEpsilon * o.softcap;
    for (int64_t j = 0; j < total; ++j) {
      const size_t key = static_cast<size_t>(j);
      p[key] = std::isinf(greatest) ? 0 : std::exp(biased[key] - greatest);
      sum += p[key];
    }
    const double relative = 2 * score_error + kEpsilon * (40 + static_cast<double>(total));
    for (int64_t j = 0; j < total; ++j) {
      const size_t key = static_cast<size_t>(j), out = static_cast<size_t>(row * total + j);
      p[key] = sum == 0 ? 0 : p[key] / sum;
      scores.values[out] = o.mode == 0 ? raw[key] : o.mode == 1 ? capped[key] : o.mode == 2 ? biased[key] : p[key];
      scores.tolerance[out] = o.mode == 3 ? relative + 16 * kEpsilon : 2 * score_error + 1e-12;
    }
    for (int64_t c = 0; c < o.value_size; ++c) {
      double value = 0, size = 0;
      for (int64_t j = 0; j < total; ++j) {
        value += p[static_cast<size_t>(j)] * value_at(b, group, j, c);
        size += p[static_cast<size_t>(j)] * std::fabs(value_at(b, group, j, c));
      }
      y.values[static_cast<size_t>(row * o.value_size + c)] = value;
      y.tolerance[static_cast<size_t>(row * o.value_size + c)] = 2 * relative * size + 1e-37;
    }
  }
  for (int64_t b = 0; b < o.batch; ++b) {
    for (int64_t h = 0; h < o.kv_heads; ++h) {
      for (int64_t j = 0; j < total; ++j) {
        const int64_t row = (b * o.kv_heads + h) * total + j;
        for (int64_t c = 0; c < o.size; ++c) keys.values[static_cast<size_t>(row * o.size + c)] = key_at(b, h, j, c);
        for (int64_t c = 0; c < o.value_size; ++c) {
          values.values[static_cast<size_t>(row * o.value_size + c)] = value_at(b, h, j, c);
        }
      }
    }
  }
  std::vector<Expected> outputs = {y};
  if (o.present || o.mode >= 0) {
    outputs.push_back(o.present ? keys : no_output());
    outputs.push_back(o.present ? values : no_output());
  }
  if (o.mode >= 0) outputs.push_back(scores);
  return outputs;
}

// [batch, heads, length, size] → [batch, length, heads · size].
template <class T>
std::vector<T> flattened(const std::vector<T>& values, const std::vector<int64_t>& shape) {
  std::vector<T> result(values.size());
  for (int64_t i = 0; i < count_of(shape); ++i) {
    const int64_t c = i % shape[3], row = i / shape[3] % shape[2], head = i / shape[3] / shape[2] % shape[1],
                  b = i / shape[3] / shape[2] / shape[1];
    result[static_cast<size_t>(((b * shape[2] + row) * shape[1] + head) * shape[3] + c)] = values[static_cast<size_t>(i)];
  }
  return result;
}

template <class T>
void flatten(T* tensor) {
  const std::vector<int64_t> shape = tensor->shape;
  tensor->values = flattened(tensor->values, shape);
  tensor->shape = {shape[0], shape[2], shape[1] * shape[3]};
}

std::vector<gk_attribute> attributes_of(const Options& o) {
  std::vector<gk_attribute> attributes = {integer("is_causal", o.causal), number("softcap", o.softcap),
                                          integer("left_window_size", o.left), integer("right_window_size", o.right)};
  if (o.scale != 0) attributes.push_back(number("scale", o.scale));
  if (o.mode >= 0) attributes.push_back(integer("qk_matmul_output_mode", o.mode));
  if (o.flat) attributes.insert(attributes.end(), {integer("q_num_heads", o.heads), integer("kv_num_heads", o.kv_heads)});
  return attributes;
}

void compare(const Options& o, const std::string& name) {
  Operands in = operands_of(o);
  std::vector<Expected> expected = oracle(in, o);
  if (o.flat) {
    for (Tensor* tensor : {&in.q, &in.k, &in.v}) flatten(tensor);
    expected[0].tolerance = flattened(expected[0].tolerance, expected[0].shape);
    flatten(&expected[0]);
  }
  Case test = {"attention", {in.q, in.k, in.v, o.mask, in.past_k, in.past_v, none()}, attributes_of(o), 0, name};
  if (!o.lengths.empty()) test.inputs[6] = of_bytes<int64_t>(kI64, {o.batch}, o.lengths);
  check_shapes(test, expected);
  check(test, expected);
}

void sizes() {
  for (const int64_t queries : {1, 3, 8, 15, 16, 17, 31, 33, 64, 65, 67}) {
    compare({.heads = 2, .kv_heads = 2, .queries = queries, .keys = queries, .size = 15, .value_size = 15, .flat = true},
            "length " + std::to_string(queries));
  }
  for (const int64_t size : {1, 4, 15, 16, 17, 32, 33, 64, 67, 128}) {
    for (const int64_t queries : {2, 20}) {
      compare({.heads = 2, .kv_heads = 2, .queries = queries, .keys = 19, .size = size, .value_size = size},
              "size " + std::to_string(size));
    }
  }
  for (const int64_t keys : {1, 5, 6, 7, 13, 127, 128, 129, 257}) {
    for (const int64_t queries : {1, 17}) {
      compare({.queries = queries, .keys = keys, .size = 8, .value_size = 3}, "keys " + std::to_string(keys));
    }
  }
  compare({.batch = 3, .heads = 4, .kv_heads = 4, .queries = 40, .keys = 50, .scale = 1.0}, "many tasks");
  compare({.batch = 2, .heads = 6, .kv_heads = 2, .queries = 9, .keys = 21, .size = 7, .value_size = 5}, "grouped");
  compare({.batch = 2, .heads = 8, .kv_heads = 1, .queries = 1, .keys = 30, .flat = true}, "one key head");
}

Tensor bool_mask(std::vector<int64_t> shape, int period) {
  std::vector<unsigned char> values(static_cast<size_t>(count_of(shape)));
  for (size_t i = 0; i < values.size(); ++i) values[i] = i % static_cast<size_t>(period) != 1;
  return of_bytes(kBool, std::move(shape), values);
}

void masks() {
  for (const int64_t queries : {1, 3, 21}) {
    const Options base = {.batch = 2, .heads = 2, .kv_heads = 2, .queries = queries, .keys = 35};
    for (const std::vector<int64_t>& shape :
         {std::vector<int64_t>{}, {35}, {1, 35}, {queries, 35}, {2, queries, 35}, {2, 1, 1, 35}, {2, 2, queries, 35},
          {1, 2, queries, 35}, {2, 1, queries, 20}, {30}}) {
      Options o = base;
      o.mask = random(shape, 9, 3.0f);
      compare(o, "float mask");
      o.softcap = 2.5;
      compare(o, "float mask, softcap");
      o.mask = bool_mask(shape, 3);
      compare(o, "bool mask, softcap");
      o.softcap = 0;
      o.causal = true;
      compare(o, "bool mask, causal");
    }
    Options o = base;
    o.mask = random({2, 1, 1, 35}, 9);
    for (size_t i = 0; i < 35; ++i) o.mask.values[i] = i > 20 ? -3.4028235e38f : 0.0f;  // a batch's padding
    for (size_t i = 35; i < 70; ++i) o.mask.values[i] = -INFINITY;                      // a batch that sees nothing
    compare(o, "padding");
    for (size_t i = 0; i < 35; ++i) o.mask.values[i] = -3.4028235e38f;                  // all alike: the mean
    for (size_t i = 35; i < 70; ++i) o.mask.values[i] = i < 40 ? 0.0f : -INFINITY;
    compare(o, "nothing but padding");
  }
}

void positions() {
  for (const int64_t queries : {1, 5, 20}) {
    Options base = {.batch = 2, .heads = 4, .kv_heads = 2, .queries = queries, .keys = 150, .size = 8, .causal = true};
    compare(base, "causal");
    base.past = 0;
    for (const int64_t past : {1, 7, 140}) {
      Options o = base;
      o.keys = queries;
      o.past = past;
      o.present = true;
      compare(o, "past");
      o.left = 4;
      compare(o, "past, window");
    }
    Options o = base;
    o.causal = false;
    o.left = 3;
    o.right = 2;
    compare(o, "window");
    o.left = -1;
    compare(o, "right window");
    o.right = -1;
    o.lengths = {150, 3};
    compare(o, "lengths");
    o.causal = true;
    compare(o, "lengths, causal");
    o.lengths = {0, 149};
    o.mask = random({2, 1, queries, 149}, 3);
    compare(o, "no keys");
  }
}

void scores() {
  for (int mode = 0; mode < 4; ++mode) {
    for (const int64_t queries : {1, 18}) {
      Options o = {.batch = 2, .heads = 4, .kv_heads = 2, .queries = queries, .keys = 37, .softcap = 3.0, .mode = mode};
      compare(o, "scores");
      o.causal = true;
      o.mask = bool_mask({queries, 37}, 4);
      compare(o, "scores, causal");
      o.past = 5;
      o.mask = random({2, 1, queries, 42}, 5);
      o.present = true;
      compare(o, "scores, past");
    }
  }
}

// Q, K and V as parts of one [batch, length, 3 · heads · size], and with their last axis strided.
void views() {
  const Options o = {.batch = 2, .heads = 3, .kv_heads = 3, .queries = 19, .keys = 19, .size = 5, .value_size = 5, .flat = true};
  Operands in = operands_of(o);
  std::vector<Expected> expected = oracle(in, o);
  expected[0].tolerance = flattened(expected[0].tolerance, expected[0].shape);
  flatten(&expected[0]);
  for (Tensor* tensor : {&in.q, &in.k, &in.v}) flatten(tensor);
  for (const int64_t column : {1, 2}) {
    Tensor packed = random({2, 19, 45 * column}, 1);
    const Tensor* parts[3] = {&in.q, &in.k, &in.v};
    std::vector<Tensor> inputs;
    for (int64_t part = 0; part < 3; ++part) {
      for (int64_t i = 0; i < 2 * 19 * 15; ++i) {
        packed.values[static_cast<size_t>(i / 15 * 45 * column + (part * 15 + i % 15) * column)] =
            parts[part]->values[static_cast<size_t>(i)];
      }
    }
    for (int64_t part = 0; part < 3; ++part) {
      Tensor view = packed;
      view.shape = {2, 19, 15};
      view.strides = {19 * 45 * column, 45 * column, column};
      view.offset = part * 15 * column;
      inputs.push_back(view);
    }
    check({"attention", inputs, attributes_of(o), 0, "packed"}, expected);
  }
  // A mask expanded from [1, 1, 1, keys], and one whose last axis is strided.
  Options masked = o;
  masked.flat = false;
  masked.mask = random({1, 1, 1, 19}, 8, 3.0f);
  in = operands_of(masked);
  expected = oracle(in, masked);
  Tensor mask = masked.mask;
  mask.shape = {2, 3, 19, 19};
  mask.strides = {0, 0, 0, 1};
  check({"attention", {in.q, in.k, in.v, mask}, attributes_of(masked), 0, "expanded mask"}, expected);
  masked.mask = random({19, 19}, 8, 3.0f);
  expected = oracle(in, masked);
  mask = masked.mask;
  for (int64_t i = 0; i < 19 * 19; ++i) {
    mask.values[static_cast<size_t>(i % 19 * 19 + i / 19)] = masked.mask.values[static_cast<size_t>(i)];
  }
  mask.strides = {1, 19};
  check({"attention", {in.q, in.k, in.v, mask}, attributes_of(masked), 0, "transposed mask"}, expected);
}

void special_values() {
  for (const int64_t queries : {2, 17}) {
    Options o = {.queries = queries, .keys = 20};
    Operands in = operands_of(o);
    std::vector<Expected> expected = oracle(in, o);
    in.q.values[1] = NAN;       // the first query's results
    in.q.values[4] = INFINITY;  // ∞ − ∞
    for (size_t i = 0; i < 8; ++i) expected[0].values[i] = NAN;
    check({"attention", {in.q, in.k, in.v}, attributes_of(o), 0, "NaN"}, expected);
    compare({.heads = 2, .kv_heads = 2, .queries = queries, .keys = 20, .scale = 500.0}, "sharp");
  }
  compare({.batch = 0, .queries = 2, .keys = 3}, "no batch");
  compare({.queries = 0, .keys = 3, .present = true}, "no queries");
  compare({.queries = 17, .keys = 0}, "no keys");
  compare({.queries = 2, .keys = 0}, "no keys, few queries");
  compare({.queries = 17, .keys = 3, .value_size = 0}, "no values");
}

void refusals() {
  const Tensor q = random({1, 2, 3, 4}, 1), k = random({1, 2, 5, 4}, 2);
  const auto refused = [&](std::vector<Tensor> inputs, std::vector<gk_attribute> attributes, int status) {
    check_refused({"attention", std::move(inputs), std::move(attributes), 0, "refused"}, {zeros({1, 2, 3, 4})}, status);
  };
  refused({q, k}, {}, GK_INVALID_ARGUMENT);
  refused({q, k, random({1, 2, 6, 4}, 1)}, {}, GK_INVALID_ARGUMENT);
  refused({q, random({1, 2, 5, 3}, 1), k}, {}, GK_INVALID_ARGUMENT);
  refused({q, k, k, random({3, 6}, 1)}, {}, GK_INVALID_ARGUMENT);
  refused({q, k, k, random({2, 5}, 1)}, {}, GK_INVALID_ARGUMENT);
  refused({q, k, k, none(), k}, {}, GK_INVALID_ARGUMENT);
  refused({q, k, k}, {integer("left_window_size", -2)}, GK_INVALID_ARGUMENT);
  refused({random({1, 3, 3, 4}, 1), k, k}, {}, GK_INVALID_ARGUMENT);
  refused({q, k, k, of_bytes<int64_t>(kI64, {5}, std::vector<int64_t>(5))}, {}, GK_UNSUPPORTED);
  refused({random({1, 3, 8}, 1), random({1, 5, 8}, 1), random({1, 5, 8}, 1)}, {}, GK_INVALID_ARGUMENT);
}

}  // namespace

void test_attention() {
  sizes();
  masks();
  positions();
  scores();
  views();
  special_values();
  refusals();
}
