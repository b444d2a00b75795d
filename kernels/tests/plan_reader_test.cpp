// Plans that are damaged, foreign or senseless are refused with a reason.
#include "plan_builder.h"

namespace {

using Plan = PlanBuilder;

void refused(const Plan& plan, const std::vector<int32_t>& outputs, const char* reason) {
  const OpenPlan open(plan.bytes(outputs));
  CHECK_WITH(open.status == GK_INVALID_ARGUMENT && open.plan == nullptr && open.says(reason), open.message.text);
}

Plan with_input(int32_t* x) {
  Plan plan;
  *x = plan.input("x", kF32, {2});
  return plan;
}

void headers() {
  int32_t x;
  Plan plan = with_input(&x);
  const OpenPlan good(plan.bytes({x}));
  CHECK(good.status == GK_OK && gk_plan_isa(good.plan) == gk_isa_best());
  CHECK(OpenPlan("not a plan at all").says("does not begin with GOPTPLAN"));
  CHECK(OpenPlan("").says("there is no plan") || OpenPlan("").says("does not begin with"));
  plan.version = 3;
  refused(plan, {x}, "format version 3, this library reads 1 to 2");
  plan.version = 1;
  CHECK(OpenPlan(plan.bytes({x})).status == GK_OK);
  plan.isa = 99;
  refused(plan, {x}, "instruction set 99");
  plan.isa = 0;
  plan.arch = 7;
  CHECK(OpenPlan(plan.bytes({x})).status == GK_UNSUPPORTED_ISA);
  plan.arch = 0;
  for (int32_t isa = 1; isa < GK_ISA_COUNT; ++isa) {
    plan.isa = static_cast<uint32_t>(isa);
    const OpenPlan open(plan.bytes({x}));
    CHECK(open.status == (gk_isa_supported(isa) ? GK_OK : GK_UNSUPPORTED_ISA));
    gk_plan_options other = {};
    other.isa = gk_isa_best();
    const OpenPlan forced(plan.bytes({x}), "", other);
    CHECK(forced.status == (isa == gk_isa_best() ? GK_OK : GK_UNSUPPORTED_ISA));
  }
}

void every_shorter_file() {
  int32_t x;
  Plan plan = with_input(&x);
  const int32_t w = plan.constant<float>("w", kF32, {2}, {1, 2}), y = plan.intermediate("y");
  plan.add(Plan::step("concat", {x, w}, {y}, {Plan::integer("axis", 0)}));
  const std::string bytes = plan.bytes({y});
  for (size_t size = 0; size < bytes.size(); ++size) {
    const OpenPlan open(bytes.substr(0, size));
    CHECK_WITH(open.status == GK_INVALID_ARGUMENT && open.message.text[0] != '\0', std::to_string(size));
  }
  CHECK(OpenPlan(bytes + "more").says("bytes follow its end"));
}

void values() {
  int32_t x;
  {
    Plan plan = with_input(&x);
    plan.constant<float>("w", kF32, {3}, {1, 2});
    refused(plan, {x}, "value 'w' of shape [3] has 8 bytes");
  }
  {
    Plan plan = with_input(&x);
    plan.constant<float>("w", kF32, {1, 1, 1, 1, 1, 1, 1, 1, 2}, {1, 2});
    refused(plan, {x}, "value 'w' has rank 9");
  }
  {
    Plan plan = with_input(&x);
    plan.constant<float>("w", kF32, {int64_t{1} << 62, 8}, {1, 2});
    refused(plan, {x}, "value 'w' of shape");
  }
  {
    Plan plan = with_input(&x);
    plan.input("z", {GK_INT, 4, 1}, {2});
    refused(plan, {x}, "value 'z' has a dtype");
  }
  {
    Plan plan;
    x = plan.input("x", kF32, {-2});
    refused(plan, {x}, "unknown symbol");
  }
  {
    Plan plan = with_input(&x);
    plan.input("x", kF32, {2});
    refused(plan, {x}, "two inputs 'x'");
  }
  Plan plan = with_input(&x);
  refused(plan, {x, x}, "two outputs 'x'");
  refused(plan, {7}, "there is no value 7");
  refused(plan, {plan.intermediate("y")}, "no step computes 'y'");
}

void steps() {
  int32_t x;
  Plan plan = with_input(&x);
  const int32_t y = plan.intermediate("y"), z = plan.intermediate("z");
  const auto with = [&](const std::vector<std::string>& added, const char* reason) {
    Plan copy = plan;
    copy.steps = added;
    refused(copy, {x}, reason);
  };
  const auto identity = [](int32_t from, int32_t to) { return Plan::step("identity", {from}, {to}); };
  with({Plan::step("nonsense", {x}, {y})}, "step 'the nonsense' (nonsense): this library has no such operator");
  with({identity(y, z)}, "step 'the identity' (identity) reads a value that is not there yet");
  with({identity(x, y), identity(x, y)}, "computes a value a second time");
  with({identity(x, x)}, "computes a value a second time");
  with({identity(x, 99)}, "computes a value there is not");
  with({identity(-2, y)}, "reads a value that is not there yet");
  with({Plan::step("identity", {x}, {y}, {{"axis", 9, "12345678"}})}, "attribute 'axis' has an unknown kind");
  with({Plan::step("identity", {x}, {y}, {}, {Plan::program({}, {y}, {})})}, "has branches");
  const std::string branch = Plan::program({}, {z}, {identity(x, z)});
  with({Plan::step("if", {x}, {y}, {}, {branch})}, "has branches");
  with({Plan::step("if", {x}, {y}, {}, {branch, Plan::program({x}, {z}, {identity(x, z)})})}, "a branch has inputs");
  with({Plan::step("if", {x}, {y}, {}, {branch, Plan::program({}, {}, {})})}, "another number of outputs");
  with({Plan::step("if", {x}, {y}, {}, {branch, branch}), identity(z, 2)}, "not there yet");
  std::string deep = Plan::program({}, {}, {});
  for (int i = 0; i < 20; ++i) {
    deep = Plan::program({}, {}, {Plan::step("if", {x}, {}, {}, {deep, Plan::program({}, {}, {})})});
  }
  with({Plan::step("if", {x}, {}, {}, {deep, Plan::program({}, {}, {})})}, "nested too deeply");
}

void senseless_calls() {
  gk_message message;
  gk_plan* plan = nullptr;
  CHECK(gk_plan_open(nullptr, 0, nullptr, 0, nullptr, &plan, &message) == GK_INVALID_ARGUMENT);
  CHECK(gk_plan_open("x", 1, nullptr, 0, nullptr, nullptr, nullptr) == GK_INVALID_ARGUMENT);
  CHECK(gk_plan_run(nullptr, nullptr, nullptr, nullptr, &message) == GK_INVALID_ARGUMENT);
  CHECK(gk_plan_shapes(nullptr, nullptr, nullptr, nullptr) == GK_INVALID_ARGUMENT);
  CHECK(gk_plan_input_count(nullptr) == 0 && gk_plan_isa(nullptr) == -1);
  gk_plan_close(nullptr);
  gk_plan_park(nullptr);
  gk_plan_release_output(nullptr);
  int32_t x;
  const Plan built = with_input(&x);
  OpenPlan open(built.bytes({x}));
  gk_value_info info = {};
  CHECK(gk_plan_input(open.plan, 0, &info) == GK_INVALID_ARGUMENT); // says nothing of its size
  info.struct_size = sizeof info;
  CHECK(gk_plan_input(open.plan, 1, &info) == GK_INVALID_ARGUMENT);
  CHECK(gk_plan_output(open.plan, -1, &info) == GK_INVALID_ARGUMENT);
  CHECK(gk_plan_input(open.plan, 0, &info) == GK_OK && info.ndim == 1 && info.dims[0] == 2);
  CHECK(gk_plan_symbol(open.plan, -2) == nullptr && gk_plan_symbol(open.plan, INT64_MIN) == nullptr);
  CHECK(gk_plan_run(open.plan, nullptr, nullptr, nullptr, &message) == GK_INVALID_ARGUMENT);
  gk_plan_options options = {};
  options.threads = -3;
  CHECK(OpenPlan(built.bytes({x}), "", options).says("1 to 1024 threads"));
}

}  // namespace

void test_plan_reader() {
  headers();
  every_shorter_file();
  values();
  steps();
  senseless_calls();
}
