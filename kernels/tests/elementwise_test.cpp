// elementwise against a scalar oracle: one element at a time, every operand found by its indices.
#include "arrays.h"

namespace {

using namespace oracle;

// ---- broadcasting and strides: (x - y) * z + constant ----

void broadcasts(int32_t isa, std::vector<int64_t> out, Array x, Array y, Array z, bool strided_output) {
  Program program;
  program.constants = {0.25};
  program.op("sub", 1, 4, 0, 1).op("mul", 1, 5, 4, 2).op("add", 1, 6, 5, 3);
  std::string what;
  for (const int64_t dim : out) what += std::to_string(dim) + ",";
  std::vector<Array> inputs = {x, y, z}, outputs(1);
  outputs[0].shape = out;
  int64_t room = count_of(out);
  if (strided_output) {  // every second row of a matrix twice as wide
    outputs[0].strides.assign(out.size(), 1);
    for (size_t d = out.size(); d-- > 1;) outputs[0].strides[d - 1] = outputs[0].strides[d] * out[d] * 2 + 1;
    room = out.empty() ? 1 : outputs[0].strides[0] * out[0] + 1;
  }
  outputs[0].bytes.assign(static_cast<size_t>(room) * 4 + 4, 0xa5);
  ReversedPool pool;
  std::vector<unsigned char> first;
  for (const gk_parallel* parallel : {static_cast<const gk_parallel*>(nullptr), static_cast<const gk_parallel*>(&pool.raw)}) {
    CHECK_WITH(run_program(isa, program, inputs, outputs, parallel) == GK_OK, label(isa, what));
    if (parallel == nullptr) first = outputs[0].bytes;
    CHECK_WITH(outputs[0].bytes == first, label(isa, what + " pool"));
  }
  const auto at = [&](const Array& a, int64_t flat) {
    return reinterpret_cast<const float*>(a.bytes.data())[offset_in(a, out, flat)];
  };
  bool same = true;
  for (int64_t flat = 0; flat < count_of(out); ++flat) {
    const double a = at(x, flat), b = at(y, flat), c = at(z, flat);
    const double want = (a - b) * c + 0.25;
    const double bound = 4 * 6e-8 * ((std::fabs(a) + std::fabs(b)) * std::fabs(c) + 0.25);
    same = same && std::fabs(at(outputs[0], flat) - want) <= bound;
  }
  CHECK_WITH(same, label(isa, what + (strided_output ? " strided" : "")));
  CHECK_WITH(outputs[0].bytes.back() == 0xa5, label(isa, what + " writes past the end"));
}

void test_broadcasting(int32_t isa) {
  const std::vector<std::vector<int64_t>> shapes = {
      {},        {1},          {7},          {17},        {64},           {1000},          {5000},  {3, 5},
      {2, 3, 4}, {5, 1, 7, 3}, {13, 129},    {3, 2049},   {2, 3, 700},    {2, 3, 4, 5, 6}, {300, 3}, {0},
      {3, 0, 5}, {1, 1, 1},    {2, 1, 3000}, {100, 1, 2}, {2, 2, 2, 2, 2, 2, 2, 3},
  };
  uint32_t seed = 1;
  for (const auto& shape : shapes) {
    const size_t rank = shape.size();
    // y: dims made one by the bits of a mask, leading ones dropped in half of the cases.
    for (uint32_t mask = 0; mask < (rank > 4 ? 16u : 1u << rank); ++mask) {
      std::vector<int64_t> broadcast = shape, other = shape;
      for (size_t d = 0; d < rank; ++d) {
        if ((mask >> d & 1) != 0) broadcast[d] = 1;
        if ((mask >> d & 1) == 0 && d != 0) other[d] = 1;
      }
      while (mask % 2 == 1 && !broadcast.empty() && broadcast[0] == 1) broadcast.erase(broadcast.begin());
      seed += 3;
      broadcasts(isa, shape, random_f32(shape, -2, 2, seed), random_f32(broadcast, -2, 2, seed + 1),
                 random_f32(other, -2, 2, seed + 2), mask == 2);
    }
  }
  // Inputs seen transposed, backwards, every second element.
  const std::vector<int64_t> shape = {6, 70};
  Array transposed = random_f32(shape, -2, 2, 7), backwards = random_f32({420 * 2}, -2, 2, 8);
  transposed.strides = {1, 6};
  backwards.shape = shape;
  backwards.strides = {140, 2};
  broadcasts(isa, shape, transposed, backwards, random_f32({6, 1}, -2, 2, 9), false);
  broadcasts(isa, shape, backwards, transposed, random_f32({70}, -2, 2, 9), true);
}

// ---- longer programs, several results, results in the memory of an input ----

void test_programs(int32_t isa) {
  // where(x > y, x * 2, y) and max(x, y), integers beside floats.
  const int64_t n = 3001;
  Array x = random_f32({n}, -2, 2, 1), y = random_f32({1}, -2, 2, 2);
  Program program;
  program.constants = {2.0, 7};
  program.op("greater", 1, 10, 0, 1).op("mul", 1, 11, 0, 2).op("where", 1, 12, 10, 11, 1).op("cast", 9, 13, 10, -1, 7);
  program.op("add", 7, 14, 13, 3).op("max", 1, 15, 0, 1);
  program.results = {12, 14, 15, 2};
  std::vector<Array> inputs = {x, y};
  std::vector<Array> outputs = {array(kF32, {n}, std::vector<float>(n)), array(kI64, {n}, std::vector<int64_t>(n)),
                                array(kF32, {n}, std::vector<float>(n)), array(kF32, {n}, std::vector<float>(n))};
  CHECK(run_program(isa, program, inputs, outputs) == GK_OK);
  const auto in = values_of<float>(x), chosen = values_of<float>(outputs[0]), most = values_of<float>(outputs[2]);
  const auto whole = values_of<int64_t>(outputs[1]);
  const float bound = values_of<float>(y)[0];
  bool good = true;
  for (size_t i = 0; i < in.size(); ++i) {
    good = good && chosen[i] == (in[i] > bound ? in[i] * 2 : bound) && whole[i] == (in[i] > bound) + 7 &&
           most[i] == std::max(in[i], bound) && values_of<float>(outputs[3])[0] == 2;
    if (i > 50) i += 97;
  }
  CHECK_WITH(good, label(isa, "several results"));

  // In place, with the input read again after the result is known.
  for (const bool again : {false, true}) {
    Program square;
    square.op("mul", 1, 1, 0, 0);
    if (again) square.op("add", 1, 2, 1, 0).op("neg", 1, 3, 2);
    if (again) square.results = {2, 3, 0};
    Array z = random_f32({n}, -2, 2, 3);
    const auto before = values_of<float>(z);
    Array doubled = z, same = z;
    Call call;
    call.inputs = {z.tensor()};
    call.outputs = {z.tensor()};
    if (again) call.outputs.insert(call.outputs.end(), {doubled.tensor(), same.tensor()});
    call.attributes = {ints("program", square.code), ints("results", square.results)};
    call.raw.isa = isa;
    CHECK(gk_run_kernel("elementwise", call.get()) == GK_OK);
    const auto after = values_of<float>(z);
    bool exact = true;
    for (size_t i = 0; i < before.size(); ++i) {
      const double want = before[i] * double{before[i]} + (again ? before[i] : 0);
      exact = exact && std::fabs(after[i] - want) < 1e-6;
    }
    CHECK_WITH(exact, label(isa, "in place"));
    if (again) CHECK_WITH(values_of<float>(same) == before, label(isa, "the input as a result"));
  }
}

// ---- results reduced at once: sum, mean … of (x - y) * x over axes ----

struct Kind {
  const char* name;
  double start;
  double (*join)(double, double);
  double (*finish)(double, double count);
};

const Kind kKinds[] = {
    {"sum", 0, [](double a, double v) { return a + v; }, [](double a, double) { return a; }},
    {"mean", 0, [](double a, double v) { return a + v; }, [](double a, double n) { return a / n; }},
    {"max", -INFINITY, [](double a, double v) { return std::fmax(a, v); }, [](double a, double) { return a; }},
    {"l2", 0, [](double a, double v) { return a + v * v; }, [](double a, double) { return std::sqrt(a); }},
    {"log_sum_exp", 0, [](double a, double v) { return a + std::exp(v); }, [](double a, double) { return std::log(a); }},
};

void reduces(int32_t isa, const std::vector<int64_t>& shape, const std::vector<int64_t>& y_shape, uint32_t mask, const Kind& kind) {
  Array x = random_f32(shape, -1, 1, 5), y = random_f32(y_shape, -1, 1, 6);
  std::vector<int64_t> axes, kept = shape;
  for (size_t d = 0; d < shape.size(); ++d) {
    if ((mask >> d & 1) == 0) continue;
    axes.push_back(static_cast<int64_t>(d) - (d % 2 == 0 ? 0 : static_cast<int64_t>(shape.size())));
    kept[d] = 1;
  }
  const size_t outputs = static_cast<size_t>(count_of(kept));
  std::vector<double> want(outputs, kind.start), size(outputs, 1);
  const double per_output = static_cast<double>(count_of(shape)) / static_cast<double>(outputs);
  Array result = array(kF32, kept, std::vector<float>(outputs));
  for (int64_t flat = 0; flat < count_of(shape); ++flat) {
    const double a = values_of<float>(x)[static_cast<size_t>(flat)];
    const double b = reinterpret_cast<const float*>(y.bytes.data())[offset_in(y, shape, flat)];
    const auto at = static_cast<size_t>(offset_in(result, shape, flat));
    want[at] = kind.join(want[at], (a - b) * a);
    size[at] += std::fabs((a - b) * a);
  }
  Program program;
  program.op("sub", 1, 2, 0, 1).op("mul", 1, 3, 2, 0);
  std::vector<unsigned char> first;
  ReversedPool pool;
  for (const bool pooled : {false, true}) {
    Call call;
    call.inputs = {x.tensor(), y.tensor()};
    call.outputs = {result.tensor()};
    call.attributes = {ints("program", program.code), ints("results", program.results), text("reduce", kind.name), ints("axes", axes)};
    call.raw.isa = isa;
    call.raw.parallel = pooled ? &pool.raw : nullptr;
    CHECK_WITH(gk_run_kernel("elementwise", call.get()) == GK_OK, label(isa, kind.name));
    if (!pooled) first = result.bytes;
  }
  CHECK_WITH(result.bytes == first, label(isa, std::string(kind.name) + " pool"));
  const auto got = values_of<float>(result);
  for (size_t i = 0; i < outputs; ++i) {
    const double exact = kind.finish(want[i], per_output);
    const double bound = 16 * 6e-8 * (size[i] / (kind.name[1] == 'e' ? per_output : 1) + 1);
    CHECK_WITH(std::fabs(got[i] - exact) <= bound, label(isa, std::string(kind.name) + " " + std::to_string(got[i])));
  }
}

void test_reduced(int32_t isa) {
  const struct {
    std::vector<int64_t> x, y;
  } shapes[] = {{{37}, {1}}, {{3, 700}, {3, 1}}, {{700, 3}, {3}}, {{2, 5, 4, 9}, {5, 1, 9}}, {{2, 33, 40}, {1, 33, 1}}, {{5, 1, 2500}, {1, 2500}}};
  for (const auto& shape : shapes) {
    for (uint32_t mask = 1; mask < 1u << shape.x.size(); ++mask) {
      for (const Kind& kind : kKinds) reduces(isa, shape.x, shape.y, mask, kind);
    }
  }
}

void test_refusals(int32_t isa) {
  std::vector<Array> inputs = {random_f32({4}, 0, 1, 1)}, outputs = {random_f32({4}, 0, 1, 1)};
  const auto status = [&](Program program) { return run_program(isa, program, inputs, outputs); };
  CHECK(status(Program().op("add", 1, 1, 0, 0)) == GK_OK);
  CHECK(status(Program().op("add", 1, 1, 0, 2)) == GK_INVALID_ARGUMENT);      // never written
  CHECK(status(Program().op("add", 1, 1, 0, 1)) == GK_INVALID_ARGUMENT);      // reads itself
  CHECK(status(Program().op("add", 1, 0, 0, 0)) == GK_INVALID_ARGUMENT);      // writes an input
  CHECK(status(Program().op("add", 7, 1, 0, 0)) == GK_INVALID_ARGUMENT);      // dtype of the input
  CHECK(status(Program().op("add", 8, 1, 0, 0)) == GK_INVALID_ARGUMENT);      // strings
  CHECK(status(Program().op("no such", 1, 1, 0, 0)) == GK_INVALID_ARGUMENT);
  CHECK(status(Program().op("equal", 1, 1, 0, 0)) == GK_INVALID_ARGUMENT);    // bool into float32
  CHECK(status(Program().op("bitwise_and", 1, 1, 0, 0)) == GK_UNSUPPORTED);
  CHECK(status(Program().op("cast", 1, 1, 0, -1, 8)) == GK_INVALID_ARGUMENT);
  Program odd = Program().op("add", 1, 1, 0, 0);
  odd.code.pop_back();
  CHECK(status(odd) == GK_INVALID_ARGUMENT);
  Program missing = Program().op("add", 1, 1, 0, 0);
  missing.results = {5};
  CHECK(status(missing) == GK_INVALID_ARGUMENT);
  Program longest;
  for (int i = 0; i < 65; ++i) longest.op("add", 1, i + 1, i, i);
  CHECK(status(longest) == GK_UNSUPPORTED);
  outputs[0].shape = {5};
  CHECK(status(Program().op("add", 1, 1, 0, 0)) == GK_INVALID_ARGUMENT);
}

}  // namespace

void test_elementwise() {
  for (const int32_t isa : supported_levels()) {
    test_broadcasting(isa);
    test_programs(isa);
    test_reduced(isa);
    test_refusals(isa);
  }
}
