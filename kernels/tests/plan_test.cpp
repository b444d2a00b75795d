// Running plans: shapes computed ahead, views, branches, copies, threads, errors while running.
#include <cstring>
#include <thread>

#include "plan_builder.h"

namespace {

using Plan = PlanBuilder;

std::vector<float> iota(int64_t count) {
  std::vector<float> numbers(static_cast<size_t>(count));
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i);
  return numbers;
}

// y = transpose(x) written out; x: [N, 3].
Plan transposing(std::vector<int32_t>* outputs) {
  Plan plan;
  plan.symbols = {"N"};
  const int32_t x = plan.input("x", kF32, {-2, 3}), y = plan.intermediate("y");
  plan.add(Plan::step("transpose", {x}, {y}, {Plan::integers("perm", {1, 0})}));
  *outputs = {y};
  return plan;
}

void shapes_follow_the_inputs() {
  std::vector<int32_t> outputs;
  OpenPlan plan(transposing(&outputs).bytes(outputs));
  CHECK_WITH(plan.status == GK_OK, plan.message.text);
  for (const int64_t n : {1, 2, 5, 0}) {
    Tensor<float> x = {{n, 3}, iota(n * 3)};
    CHECK_WITH(plan.run({x.raw(kF32)}) == GK_OK, plan.message.text);
    CHECK((plan.dims(0) == std::vector<int64_t>{3, n}));
    const std::vector<float> y = plan.output<float>(0);
    for (int64_t i = 0; i < n * 3; ++i) {
      CHECK(y[static_cast<size_t>(i % 3 * n + i / 3)] == x.data[static_cast<size_t>(i)]);
    }
  }
  gk_plan_memory memory = {};
  memory.struct_size = sizeof memory;
  CHECK(gk_plan_get_memory(plan.plan, &memory) == GK_OK && memory.shapes == 4 && memory.lanes == 1);
}

void wrong_feeds_are_explained() {
  std::vector<int32_t> outputs;
  Plan two = transposing(&outputs);
  const int32_t z = two.input("z", kF32, {-2});
  outputs.push_back(z);
  OpenPlan plan(two.bytes(outputs));
  Tensor<float> x = {{2, 3}, iota(6)}, vector = {{2}, iota(2)}, longer = {{3}, iota(3)};
  CHECK(plan.run({x.raw(kF32), vector.raw(kF32)}) == GK_OK);
  CHECK(plan.output<float>(1) == vector.data);
  CHECK(plan.run({vector.raw(kF32), vector.raw(kF32)}) == GK_INVALID_ARGUMENT);
  CHECK_WITH(plan.says("input 'x' is float32[2], not float32[N,3]"), plan.message.text);
  CHECK(plan.run({x.raw(kF32), longer.raw(kF32)}) == GK_INVALID_ARGUMENT);
  CHECK_WITH(plan.says("input 'z' is float32[3], not float32[N] with N = 2"), plan.message.text);
  gk_tensor other = vector.raw({GK_INT, 32, 1});
  CHECK(plan.run({x.raw(kF32), other}) == GK_INVALID_ARGUMENT);
  CHECK_WITH(plan.says("input 'z' is int32[2]"), plan.message.text);
  gk_tensor empty = vector.raw(kF32);
  empty.data = nullptr;
  CHECK(plan.run({x.raw(kF32), empty}) == GK_INVALID_ARGUMENT && plan.says("has no data"));
  gk_tensor negative = vector.raw(kF32);
  int64_t minus[] = {-1};
  negative.shape = minus;
  CHECK(plan.run({x.raw(kF32), negative}) == GK_INVALID_ARGUMENT && plan.says("too large"));
  gk_tensor deep = vector.raw(kF32);
  deep.ndim = 9;
  CHECK(plan.run({x.raw(kF32), deep}) == GK_INVALID_ARGUMENT && plan.says("has 9 dims"));
}

void outputs_in_the_callers_memory() {
  std::vector<int32_t> outputs;
  OpenPlan plan(transposing(&outputs).bytes(outputs));
  Tensor<float> x = {{2, 3}, iota(6)}, y = {{3, 2}, std::vector<float>(6)}, wrong = {{2, 2}, std::vector<float>(4)};
  const gk_tensor in = x.raw(kF32);
  gk_tensor out = y.raw(kF32);
  CHECK(gk_plan_run(plan.plan, &in, &out, nullptr, &plan.message) == GK_OK);
  CHECK((y.data == std::vector<float>{0, 3, 1, 4, 2, 5}));
  out = wrong.raw(kF32);
  CHECK(gk_plan_run(plan.plan, &in, &out, nullptr, &plan.message) == GK_INVALID_ARGUMENT);
  CHECK_WITH(plan.says("output 'y' is float32[3,2], but there is memory for float32[2,2]"), plan.message.text);
  out = y.raw(kF32);
  out.data = x.data.data();
  CHECK(gk_plan_run(plan.plan, &in, &out, nullptr, &plan.message) == GK_INVALID_ARGUMENT);
  CHECK(plan.says("output 'y' overlaps input 'x'"));
}

void strided_inputs_are_read_right() {
  std::vector<int32_t> outputs;
  OpenPlan plan(transposing(&outputs).bytes(outputs));
  Tensor<float> x = {{2, 3}, iota(12)};
  gk_tensor in = x.raw(kF32);
  int64_t strides[] = {6, 2};
  in.strides = strides;
  CHECK(plan.run({in}) == GK_OK);
  CHECK((plan.output<float>(0) == std::vector<float>{0, 6, 2, 8, 4, 10}));
  std::vector<char> odd(25);
  std::memcpy(odd.data() + 1, x.data.data(), 24);
  in = x.raw(kF32);
  in.data = odd.data() + 1;
  CHECK(plan.run({in}) == GK_OK);
  CHECK((plan.output<float>(0) == std::vector<float>{0, 3, 1, 4, 2, 5}));
}

// reshape(x, concat(shape(x)[0], -1)): nothing of it is left at run time but a copy into the output.
void shape_arithmetic_is_computed_ahead() {
  Plan plan;
  const int32_t x = plan.input("x", kF32, {-1, -1, -1});
  const int32_t rest = plan.constant<int64_t>("rest", kI64, {1}, {-1});
  const int32_t first = plan.intermediate("first", kI64), target = plan.intermediate("target", kI64);
  const int32_t y = plan.intermediate("y");
  plan.add(Plan::step("shape", {x}, {first}, {Plan::integer("end", 1)}));
  plan.add(Plan::step("concat", {first, rest}, {target}, {Plan::integer("axis", 0)}));
  plan.add(Plan::step("reshape", {x, target}, {y}));
  OpenPlan open(plan.bytes({y, target}));
  CHECK_WITH(open.status == GK_OK, open.message.text);
  Tensor<float> in = {{2, 3, 4}, iota(24)};
  std::vector<gk_step_time> times(8);
  gk_run_options options = {sizeof(gk_run_options), 8, nullptr, times.data(), 0};
  CHECK_WITH(open.run({in.raw(kF32)}, &options) == GK_OK, open.message.text);
  CHECK((open.dims(0) == std::vector<int64_t>{2, 12}) && open.output<float>(0) == in.data);
  CHECK((open.output<int64_t>(1) == std::vector<int64_t>{2, -1}));
  CHECK(options.time_count == 2 && std::strcmp(times[0].op, "copy") == 0);
}

void contents_of_an_input_decide_a_shape() {
  Plan plan;
  const int32_t x = plan.input("x", kF32, {6}), target = plan.input("target", kI64, {-1}, true);
  const int32_t y = plan.intermediate("y");
  plan.add(Plan::step("reshape", {x, target}, {y}));
  OpenPlan open(plan.bytes({y}));
  Tensor<float> in = {{6}, iota(6)};
  for (const int64_t rows : {1, 2, 3, 2}) {
    Tensor<int64_t> to = {{2}, {rows, 6 / rows}};
    CHECK_WITH(open.run({in.raw(kF32), to.raw(kI64)}) == GK_OK, open.message.text);
    CHECK(open.dims(0) == to.data);
  }
  Tensor<int64_t> wrong = {{1}, {5}};
  CHECK(open.run({in.raw(kF32), wrong.raw(kI64)}) == GK_INVALID_ARGUMENT);
  CHECK_WITH(open.says("step 'the reshape' (reshape): ") && open.says("its inputs are [6], [1]"), open.message.text);
}

// if (c) transpose(x) else pad-free copy of x, both [2, 2].
void branches() {
  Plan plan;
  const int32_t c = plan.input("c", {GK_BOOL, 8, 1}, {}), x = plan.input("x", kF32, {2, 2});
  const int32_t y = plan.intermediate("y"), yes = plan.intermediate("yes"), no = plan.intermediate("no");
  const int32_t z = plan.intermediate("z");
  plan.add(Plan::step("if", {c}, {y}, {},
                      {Plan::program({}, {yes},
                                     {Plan::step("transpose", {x}, {yes}, {Plan::integers("perm", {1, 0})})}),
                       Plan::program({}, {no}, {Plan::step("concat", {x}, {no}, {Plan::integer("axis", 0)})})}));
  plan.add(Plan::step("concat", {y, x}, {z}, {Plan::integer("axis", 1)}));
  OpenPlan open(plan.bytes({z, y}));
  CHECK_WITH(open.status == GK_OK, open.message.text);
  Tensor<float> in = {{2, 2}, {1, 2, 3, 4}};
  for (const uint8_t yes_or_no : {1, 0, 1}) {
    uint8_t condition = yes_or_no;
    CHECK_WITH(open.run({scalar(&condition, {GK_BOOL, 8, 1}), in.raw(kF32)}) == GK_OK, open.message.text);
    const std::vector<float> taken = yes_or_no ? std::vector<float>{1, 3, 2, 4} : in.data;
    CHECK(open.output<float>(1) == taken);
    CHECK((open.output<float>(0) == std::vector<float>{taken[0], taken[1], 1, 2, taken[2], taken[3], 3, 4}));
  }
}

// Operators of a run, in order.
std::string ops_of(OpenPlan& plan, const std::vector<gk_tensor>& inputs) {
  std::vector<gk_step_time> times(16);
  gk_run_options options = {sizeof(gk_run_options), 16, nullptr, times.data(), 0};
  CHECK_WITH(plan.run(inputs, &options) == GK_OK, plan.message.text);
  std::string ops;
  for (int32_t i = 0; i < options.time_count; ++i) {
    if (i > 0) ops += ' ';
    ops += times[static_cast<size_t>(i)].op;
  }
  return ops;
}

// concat(u, concat(v, x), u) along the last axis: u and v are made in place, x is copied there, u a second time.
void concatenations_in_place() {
  Plan plan;
  const int32_t x = plan.input("x", kF32, {2, 2}), u = plan.intermediate("u"), v = plan.intermediate("v");
  const int32_t inner = plan.intermediate("inner"), y = plan.intermediate("y"), t = plan.intermediate("t");
  const auto axis = Plan::integer("axis", 1);
  plan.add(Plan::step("copy", {x}, {u}));
  plan.add(Plan::step("copy", {u}, {v})); // reads u where the concat has it
  plan.add(Plan::step("concat", {v, x}, {inner}, {axis}));
  plan.add(Plan::step("concat", {u, inner, u}, {y}, {axis}));
  plan.add(Plan::step("transpose", {y}, {t}, {Plan::integers("perm", {1, 0})}));
  OpenPlan open(plan.bytes({y, t}));
  Tensor<float> in = {{2, 2}, {1, 2, 3, 4}};
  CHECK_WITH(ops_of(open, {in.raw(kF32)}) == "copy copy copy copy copy", ops_of(open, {in.raw(kF32)}));
  CHECK((open.output<float>(0) == std::vector<float>{1, 2, 1, 2, 1, 2, 1, 2, 3, 4, 3, 4, 3, 4, 3, 4}));
  CHECK(open.output<float>(1)[1] == 3 && open.output<float>(1)[2] == 2);
  gk_plan_memory memory = {};
  memory.struct_size = sizeof memory;
  CHECK(gk_plan_get_memory(open.plan, &memory) == GK_OK && memory.arena_bytes == 0);
}

// A value that somebody reads as another shape stays where it is.
void a_concatenation_that_has_to_copy() {
  Plan plan;
  const int32_t x = plan.input("x", kF32, {2, 2}), u = plan.intermediate("u"), y = plan.intermediate("y");
  const int32_t flat = plan.intermediate("flat");
  const int32_t four = plan.constant<int64_t>("four", kI64, {1}, {4});
  plan.add(Plan::step("copy", {x}, {u}));
  plan.add(Plan::step("reshape", {u, four}, {flat}));
  plan.add(Plan::step("concat", {u, u}, {y}, {Plan::integer("axis", 1)}));
  OpenPlan open(plan.bytes({y, flat}));
  Tensor<float> in = {{2, 2}, {1, 2, 3, 4}};
  CHECK_WITH(ops_of(open, {in.raw(kF32)}) == "copy concat", ops_of(open, {in.raw(kF32)}));
  CHECK((open.output<float>(0) == std::vector<float>{1, 2, 1, 2, 3, 4, 3, 4}));
  CHECK((open.output<float>(1) == in.data));
}

// Parts of a wider tensor go into kernels that read rows at a distance, and are copied for the others.
void rows_of_a_wider_tensor() {
  Plan plan;
  const int32_t x = plan.input("x", kF32, {1, 2, 2, 6}), scale = plan.constant<float>("one", kF32, {2}, {1, 1});
  const int32_t bias = plan.constant<float>("zero", kF32, {2}, {0, 0});
  const int32_t a = plan.intermediate("a"), b = plan.intermediate("b"), c = plan.intermediate("c");
  const int32_t pooled = plan.intermediate("pooled"), last = plan.intermediate("last"), plain = plan.intermediate("plain");
  plan.add(Plan::step("split", {x}, {a, b, c}, {Plan::integer("axis", 3)}));
  plan.add(Plan::step("pool", {a}, {pooled}, {Plan::text("kind", "max"), Plan::integers("kernel_shape", {2, 2})}));
  plan.add(Plan::step("group_norm", {b, scale, bias}, {last}, {Plan::integer("channels_last", 1)}));
  plan.add(Plan::step("group_norm", {c, scale, bias}, {plain}));
  OpenPlan open(plan.bytes({pooled, last, plain}));
  Tensor<float> in = {{1, 2, 2, 6}, iota(24)};
  CHECK_WITH(ops_of(open, {in.raw(kF32)}) == "pool group_norm copy group_norm", ops_of(open, {in.raw(kF32)}));
  CHECK((open.output<float>(0) == std::vector<float>{18, 19}));
  const std::vector<float> normed = open.output<float>(1); // 2, 8, 14, 20 in channel 0
  CHECK(normed[0] == -normed[6] && normed[2] == -normed[4] && normed[0] < -1.34f && normed[0] > -1.35f);
}

// Contents are all that a run can find wrong: at run time, and where they are known while shapes are resolved.
void indices_out_of_range_are_explained() {
  Plan plan;
  const int32_t x = plan.input("x", kF32, {3}), index = plan.input("i", kI64, {1}), y = plan.intermediate("y");
  plan.add(Plan::step("gather", {x, index}, {y}));
  OpenPlan open(plan.bytes({y}));
  Tensor<float> in = {{3}, iota(3)};
  Tensor<int64_t> good = {{1}, {-3}}, wrong = {{1}, {3}};
  CHECK(open.run({in.raw(kF32), good.raw(kI64)}) == GK_OK);
  CHECK(open.run({in.raw(kF32), wrong.raw(kI64)}) == GK_INVALID_ARGUMENT);
  CHECK_WITH(open.says("step 'the gather' (gather): an index or a length in its inputs is out of range"),
             open.message.text);
  CHECK(open.run({in.raw(kF32), good.raw(kI64)}) == GK_OK && open.output<float>(0)[0] == 0);
  Plan known;
  const int32_t z = known.input("z", kF32, {2, 2}), seven = known.constant<int64_t>("7", kI64, {1}, {7});
  const int32_t shape = known.intermediate("shape", kI64), dim = known.intermediate("dim", kI64);
  known.add(Plan::step("shape", {z}, {shape}));
  known.add(Plan::step("gather", {shape, seven}, {dim}));
  OpenPlan folded(known.bytes({dim}));
  Tensor<float> four = {{2, 2}, iota(4)};
  CHECK(folded.run({four.raw(kF32)}) == GK_INVALID_ARGUMENT && folded.says("is out of range"));
}

void a_cancelled_run_says_so() {
  Plan plan;
  const int32_t x = plan.input("x", kF32, {2}), y = plan.intermediate("y");
  plan.add(Plan::step("concat", {x, x}, {y}, {Plan::integer("axis", 0)}));
  OpenPlan open(plan.bytes({y}));
  Tensor<float> in = {{2}, iota(2)};
  const volatile int32_t cancel = 1;
  gk_run_options options = {sizeof(gk_run_options), 0, &cancel, nullptr, 0};
  CHECK(open.run({in.raw(kF32)}, &options) == GK_CANCELLED && open.says("cancelled"));
  CHECK(open.run({in.raw(kF32)}) == GK_OK);
}

void memory_has_a_limit() {
  Plan plan;
  const int32_t x = plan.input("x", kF32, {-1}), y = plan.intermediate("y"), z = plan.intermediate("z");
  plan.add(Plan::step("concat", {x, x}, {y}, {Plan::integer("axis", 0)}));
  plan.add(Plan::step("concat", {y, y}, {z}, {Plan::integer("axis", 0)}));
  gk_plan_options options = {};
  options.memory_limit = 1000;
  OpenPlan open(plan.bytes({z}), "", options);
  Tensor<float> small = {{10}, iota(10)}, large = {{1000}, iota(1000)};
  CHECK(open.run({small.raw(kF32)}) == GK_OK);
  CHECK(open.run({large.raw(kF32)}) == GK_SYSTEM_ERROR);
  CHECK_WITH(open.says("more than its limit of 1000"), open.message.text);
  CHECK(open.run({small.raw(kF32)}) == GK_OK && open.output<float>(0).size() == 40);
}

void runs_at_the_same_time() {
  std::vector<int32_t> outputs;
  gk_plan_options options = {};
  options.threads = 2;
  OpenPlan plan(transposing(&outputs).bytes(outputs), "", options);
  std::vector<std::thread> callers;
  std::vector<int> wrong(3);
  for (size_t caller = 0; caller < wrong.size(); ++caller) {
    callers.emplace_back([&, caller] {
      for (int64_t n = 1; n < 40; ++n) { // more shapes than a plan remembers
        Tensor<float> x = {{n, 3}, iota(n * 3)};
        const gk_tensor in = x.raw(kF32);
        gk_tensor out = {};
        gk_message message;
        wrong[caller] += gk_plan_run(plan.plan, &in, &out, nullptr, &message) != GK_OK;
        const float* y = static_cast<const float*>(out.data);
        for (int64_t i = 0; i < n * 3; ++i) wrong[caller] += y[i % 3 * n + i / 3] != static_cast<float>(i);
        gk_plan_release_output(&out);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK((wrong == std::vector<int>{0, 0, 0}));
}

void constants_in_the_weights_file() {
  Plan plan;
  const int32_t x = plan.input("x", kF32, {1}), y = plan.intermediate("y");
  const int32_t w = plan.weight("w", kF32, {3}, 2, 12); // at an odd address: copied
  plan.add(Plan::step("concat", {x, w}, {y}, {Plan::integer("axis", 0)}));
  const float numbers[] = {7, 8, 9};
  const std::string weights = "ab" + std::string(reinterpret_cast<const char*>(numbers), 12);
  OpenPlan open(plan.bytes({y, w}), weights);
  CHECK_WITH(open.status == GK_OK, open.message.text);
  Tensor<float> in = {{1}, {6}};
  CHECK(open.run({in.raw(kF32)}) == GK_OK);
  CHECK((open.output<float>(0) == std::vector<float>{6, 7, 8, 9}));
  CHECK((open.output<float>(1) == std::vector<float>{7, 8, 9}));
  OpenPlan shorter(plan.bytes({y}), weights.substr(0, 13));
  CHECK(shorter.status == GK_INVALID_ARGUMENT && shorter.says("'w' reaches past the end of weights.bin"));
  OpenPlan none(plan.bytes({y}));
  CHECK(none.status == GK_INVALID_ARGUMENT && none.says("weights.bin, which is missing"));
}

}  // namespace

void test_plan() {
  shapes_follow_the_inputs();
  wrong_feeds_are_explained();
  outputs_in_the_callers_memory();
  strided_inputs_are_read_right();
  shape_arithmetic_is_computed_ahead();
  contents_of_an_input_decide_a_shape();
  branches();
  concatenations_in_place();
  a_concatenation_that_has_to_copy();
  rows_of_a_wider_tensor();
  indices_out_of_range_are_explained();
  a_cancelled_run_says_so();
  memory_has_a_limit();
  runs_at_the_same_time();
  constants_in_the_weights_file();
}
