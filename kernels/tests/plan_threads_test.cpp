// The same bits from any number of threads, and from several runs at once: a network of every kind of kernel, large
// enough that its loops are split.
#include <thread>

#include "cpu/lib/elementwise/opcodes.h"
#include "plan_builder.h"

namespace {

using Plan = PlanBuilder;

std::vector<float> noise(size_t count, float scale) {
  std::vector<float> numbers(count);
  uint32_t state = static_cast<uint32_t>(count);
  for (float& number : numbers) {
    state = state * 1664525 + 1013904223;
    number = (static_cast<float>(state >> 8) / (1 << 23) - 1) * scale;
  }
  return numbers;
}

int64_t opcode(const char* name) {
  for (const graphopt::OpcodeInfo& info : graphopt::kOpcodes) {
    if (std::strcmp(info.name, name) == 0) return info.number;
  }
  return -1;
}

const auto text = Plan::text;

// x: [1, 24, 24, 32] through convolutions and norms, then as a sequence through attention and a matrix product.
std::string network() {
  Plan plan;
  const auto step = [&](const std::string& op, std::vector<int32_t> inputs,
                        std::vector<Plan::Attribute> attributes = {}) {
    const int32_t result = plan.intermediate(std::to_string(plan.steps.size()));
    plan.add(Plan::step(op, inputs, {result}, attributes));
    return result;
  };
  const auto weight = [&](std::vector<int64_t> dims) {
    size_t count = 1;
    for (const int64_t dim : dims) count *= static_cast<size_t>(dim);
    return plan.constant("w", kF32, dims, noise(count, 0.2f));
  };
  const auto number = Plan::integer;
  const auto numbers = Plan::integers;
  const int32_t x = plan.input("x", kF32, {1, 24, 24, 32});
  const auto pads = numbers("pads", {1, 1, 1, 1});
  const int32_t a = step("conv", {x, weight({32, 32, 3, 3}), weight({32})}, {pads});
  const int32_t b = step("conv", {a, weight({32, 1, 3, 3})}, {pads, number("group", 32)});
  const int32_t c = step("conv", {b, weight({32, 32, 1, 1})});
  const int32_t d = step("group_norm", {c, weight({32}), weight({32})},
                         {number("num_groups", 4), number("channels_last", 1)});
  const int32_t e = step("elementwise", {d, a},
                         {numbers("program", {opcode("add"), 1, 2, 0, 1, -1, opcode("silu"), 1, 3, 2, -1, -1}),
                          numbers("results", {3})});
  const int32_t f = step("concat", {e, a}, {number("axis", 3)});
  const int32_t pooled =
      step("pool", {f}, {text("kind", "max"), numbers("kernel_shape", {2, 2}), numbers("strides", {2, 2})});
  const int32_t plain = step("transpose", {pooled}, {numbers("perm", {0, 3, 1, 2})});
  const int32_t back = step("transpose", {plain}, {numbers("perm", {0, 2, 3, 1})});
  const int32_t to = plan.constant<int64_t>("to", kI64, {3}, {1, 144, 64});
  const int32_t rows = step("reshape", {back, to});
  const int32_t normed = step("layer_norm", {rows, -1, -1, weight({64}), weight({64})}, {text("kind", "layer")});
  const int32_t mixed =
      step("attention", {normed, normed, normed}, {number("q_num_heads", 4), number("kv_num_heads", 4)});
  const int32_t wide = step("matmul", {mixed, weight({64, 192}), weight({192})});
  const int32_t soft = step("softmax", {wide}, {number("axis", -1)});
  const int32_t sums = step("reduce", {wide}, {text("kind", "sum"), numbers("axes", {1})});
  return plan.bytes({plain, soft, sums, wide});
}

std::vector<std::vector<float>> run(OpenPlan& plan, Tensor<float>& x) {
  std::vector<gk_tensor> outputs(4);
  std::vector<std::vector<float>> results;
  const gk_tensor input = x.raw(kF32);
  gk_message message;
  const int status = gk_plan_run(plan.plan, &input, outputs.data(), nullptr, &message);
  CHECK_WITH(status == GK_OK, message.text);
  for (gk_tensor& output : outputs) {
    int64_t count = status == GK_OK ? 1 : 0;
    for (int i = 0; i < output.ndim; ++i) count *= output.shape[i];
    const float* data = static_cast<const float*>(output.data);
    results.emplace_back(data, data + count);
    gk_plan_release_output(&output);
  }
  return results;
}

bool same_bits(const std::vector<std::vector<float>>& a, const std::vector<std::vector<float>>& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].size() != b[i].size() || std::memcmp(a[i].data(), b[i].data(), a[i].size() * 4) != 0) return false;
  }
  return a.size() == b.size();
}

}  // namespace

void test_plan_threads() {
  const std::string bytes = network();
  Tensor<float> x = {{1, 24, 24, 32}, noise(24 * 24 * 32, 1)};
  for (const int32_t isa : supported_levels()) {
    gk_plan_options options = {};
    options.isa = isa;
    options.threads = 1;
    OpenPlan alone(bytes, "", options);
    CHECK_WITH(alone.status == GK_OK, alone.message.text);
    if (alone.status != GK_OK) return;
    const auto expected = run(alone, x);
    for (const int threads : {2, 3, 5}) {
      options.threads = threads;
      OpenPlan plan(bytes, "", options);
      CHECK_WITH(same_bits(run(plan, x), expected), std::string(gk_isa_name(isa)) + " with several threads");
      CHECK_WITH(same_bits(run(plan, x), expected), std::string(gk_isa_name(isa)) + " a second time");
    }
    options.threads = 3;
    OpenPlan shared(bytes, "", options);
    std::vector<int> wrong(3);
    std::vector<std::thread> callers;
    for (int& count : wrong) {
      callers.emplace_back([&] {
        for (int i = 0; i < 2; ++i) count += same_bits(run(shared, x), expected) ? 0 : 1;
      });
    }
    for (std::thread& caller : callers) caller.join();
    CHECK_WITH(wrong == std::vector<int>(3), gk_isa_name(isa));
  }
}
