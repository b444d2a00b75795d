// Plans with bytes changed at random: each is refused with a reason, or opens and then runs or fails with one.
#include <algorithm>
#include <random>

#include "plan_builder.h"

namespace {

using Plan = PlanBuilder;

// What a fuzzer calls for one input.
void open_and_run(const std::string& bytes, const std::string& weights) {
  gk_plan_options options = {};
  options.memory_limit = 1 << 20;
  options.threads = 2;
  OpenPlan open(bytes, weights, options);
  CHECK((open.status == GK_OK) == (open.message.text[0] == '\0'));
  if (open.status != GK_OK) return;
  for (int32_t i = 0; i < gk_plan_output_count(open.plan); ++i) {
    gk_value_info info = {};
    info.struct_size = sizeof info;
    CHECK(gk_plan_output(open.plan, i, &info) == GK_OK && info.ndim <= GK_MAX_RANK);
    for (int d = 0; d < info.ndim; ++d) CHECK(info.dims[d] >= -1 || gk_plan_symbol(open.plan, info.dims[d]) != nullptr);
  }
  std::vector<std::vector<int64_t>> dims;
  std::vector<std::vector<char>> data;
  std::vector<gk_tensor> inputs;
  for (int32_t i = 0; i < gk_plan_input_count(open.plan); ++i) {
    gk_value_info info = {};
    info.struct_size = sizeof info;
    gk_plan_input(open.plan, i, &info);
    std::vector<int64_t>& shape = dims.emplace_back();
    int64_t bytes_needed = info.dtype.bits / 8;
    for (int d = 0; d < std::max(info.ndim, 0); ++d) {
      shape.push_back(info.dims[d] < 0 ? 2 : info.dims[d]);
      if (shape.back() > 4096 || (bytes_needed *= shape.back()) > 1 << 16) return;
    }
    data.emplace_back(static_cast<size_t>(bytes_needed), '\1');
    inputs.push_back({data.back().data(), {GK_CPU, 0}, static_cast<int32_t>(shape.size()), info.dtype, shape.data(),
                      nullptr, 0});
  }
  open.run(inputs);
  CHECK_WITH((open.status == GK_OK) == (open.message.text[0] == '\0'), open.message.text);
  if (open.status == GK_OK) open.run(inputs);
  open.release();
}

// Shapes computed ahead, views, copies, constants of both kinds, a branch.
std::string seed(std::string* weights) {
  Plan plan;
  plan.symbols = {"N"};
  const int32_t x = plan.input("x", kF32, {-2, 3}), c = plan.input("c", {GK_BOOL, 8, 1}, {});
  const int32_t target = plan.input("t", kI64, {1}, true);
  const int32_t w = plan.weight("w", kF32, {2, 3}, 4, 24);
  const int32_t rest = plan.constant<int64_t>("rest", kI64, {1}, {-1});
  *weights = std::string(28, '\2');
  const int32_t shape = plan.intermediate("shape", kI64), joined = plan.intermediate("joined");
  const int32_t turned = plan.intermediate("turned"), to = plan.intermediate("to", kI64);
  const int32_t yes = plan.intermediate("yes"), no = plan.intermediate("no"), chosen = plan.intermediate("chosen");
  const int32_t flat = plan.intermediate("flat"), part = plan.declared("part", kF32, {-1, -2, 4});
  plan.add(Plan::step("concat", {x, w}, {joined}, {Plan::integer("axis", 0)}));
  plan.add(Plan::step("transpose", {joined}, {turned}, {Plan::integers("perm", {1, 0})}));
  plan.add(Plan::step("shape", {turned}, {shape}, {Plan::integer("start", 1)}));
  plan.add(Plan::step("concat", {rest, shape, target}, {to}, {Plan::integer("axis", 0)}));
  plan.add(Plan::step("if", {c}, {chosen}, {},
                      {Plan::program({}, {yes}, {Plan::step("identity", {turned}, {yes})}),
                       Plan::program({}, {no}, {Plan::step("concat", {turned}, {no}, {Plan::integer("axis", 0)})})}));
  plan.add(Plan::step("reshape", {chosen, to}, {flat}));
  plan.add(Plan::step("concat", {flat, flat}, {part}, {Plan::integer("axis", 2)}));
  return plan.bytes({flat, part, turned, shape});
}

std::string changed(std::string bytes, std::mt19937* random) {
  const auto pick = [&](size_t count) { return count == 0 ? 0 : (*random)() % count; };
  for (size_t changes = 1 + pick(3); changes > 0; --changes) {
    const size_t at = pick(bytes.size());
    switch (pick(6)) {
      case 0: bytes[at] = static_cast<char>(bytes[at] ^ 1 << pick(8)); break;
      case 1: bytes[at] = static_cast<char>((*random)()); break;
      case 2: bytes[at] = static_cast<char>(bytes[at] + 1); break;
      case 3: bytes[at] = static_cast<char>(bytes[at] - 1); break;
      case 4: bytes[at] = static_cast<char>(pick(2) ? 0xFF : 0); break;
      default: bytes.erase(at, pick(8)); break;
    }
    if (bytes.empty()) break;
  }
  return bytes;
}

}  // namespace

void test_plan_fuzz() {
  std::string weights;
  const std::string good = seed(&weights);
  {
    OpenPlan open(good, weights);
    CHECK_WITH(open.status == GK_OK, open.message.text);
  }
  open_and_run(good, weights);
  std::mt19937 random(20);
  for (int round = 0; round < 4000; ++round) open_and_run(changed(good, &random), weights);
  for (size_t at = 0; at < good.size(); ++at) { // each byte alone
    std::string bytes = good;
    bytes[at] = static_cast<char>(bytes[at] + (at % 2 ? 1 : 127));
    open_and_run(bytes, weights);
  }
}
