// What a server does with a plan: opened once from its files, shapes asked for ahead, memory of its own, several
// threads that run it at the same time, a run that is cancelled.
//
//   graphopt_serve_plan model.plan [weights.bin]
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "graphopt/graphopt.h"

namespace {

constexpr int kCallers = 4, kRunsEach = 50;

// Counts what a plan takes; a server would take it from its own pool.
struct Memory {
  std::atomic<size_t> held{0};

  static void* allocate(void* context, size_t size, size_t alignment) {
    void* data = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    if (data != nullptr) static_cast<Memory*>(context)->held += size;
    return data;
  }
  static void release(void* context, void* data, size_t size) {
    static_cast<Memory*>(context)->held -= size;
    std::free(data);
  }
};

struct ClosePlan {
  void operator()(gk_plan* plan) const { gk_plan_close(plan); }
};
using Plan = std::unique_ptr<gk_plan, ClosePlan>;

// One tensor and its memory.
struct Array {
  std::vector<int64_t> shape;
  std::vector<char> bytes;
  gk_tensor tensor = {};

  void make(gk_dtype dtype, std::vector<int64_t> dims) {
    shape = std::move(dims);
    size_t count = dtype.bits / 8;
    for (const int64_t dim : shape) count *= static_cast<size_t>(dim);
    bytes.assign(count + 1, 0); // also of an empty tensor there is a byte: without data a plan would allocate
    tensor = {bytes.data(), {GK_CPU, 0}, static_cast<int32_t>(shape.size()), dtype, shape.data(), nullptr, 0};
  }
};

bool fail(const char* what, int status, const gk_message& message) {
  std::fprintf(stderr, "%s: %s\n", what, message.text[0] != '\0' ? message.text : gk_status_text(status));
  return false;
}

// Zeros for every input; dims of unknown size are 1.
std::vector<gk_tensor> make_inputs(const gk_plan* plan, std::vector<Array>* arrays) {
  arrays->resize(static_cast<size_t>(gk_plan_input_count(plan)));
  std::vector<gk_tensor> tensors;
  for (size_t i = 0; i < arrays->size(); ++i) {
    gk_value_info info = {};
    info.struct_size = sizeof info;
    gk_plan_input(plan, static_cast<int32_t>(i), &info);
    std::vector<int64_t> dims;
    for (int32_t d = 0; d < info.ndim; ++d) dims.push_back(info.dims[d] < 0 ? 1 : info.dims[d]);
    (*arrays)[i].make(info.dtype, dims);
    tensors.push_back((*arrays)[i].tensor);
  }
  return tensors;
}

// Memory for every output, of the shapes these inputs give.
bool make_outputs(gk_plan* plan, const std::vector<gk_tensor>& inputs, std::vector<Array>* arrays,
                  std::vector<gk_tensor>* tensors) {
  const auto count = static_cast<size_t>(gk_plan_output_count(plan));
  std::vector<int64_t> dims(count * GK_MAX_RANK);
  tensors->assign(count, gk_tensor{});
  for (size_t i = 0; i < count; ++i) (*tensors)[i].shape = &dims[i * GK_MAX_RANK];
  gk_message message;
  const int status = gk_plan_shapes(plan, inputs.data(), tensors->data(), &message);
  if (status != GK_OK) return fail("shapes", status, message);
  arrays->resize(count);
  for (size_t i = 0; i < count; ++i) {
    const gk_tensor& found = (*tensors)[i];
    (*arrays)[i].make(found.dtype, {found.shape, found.shape + found.ndim});
    (*tensors)[i] = (*arrays)[i].tensor;
  }
  return true;
}

// One caller: memory of its own, the plan is everybody's.
bool serve(gk_plan* plan) {
  std::vector<Array> in, out;
  std::vector<gk_tensor> outputs;
  const std::vector<gk_tensor> inputs = make_inputs(plan, &in);
  if (!make_outputs(plan, inputs, &out, &outputs)) return false;
  gk_message message; // one per thread, so that each has its own error
  for (int i = 0; i < kRunsEach; ++i) {
    const int status = gk_plan_run(plan, inputs.data(), outputs.data(), nullptr, &message);
    if (status != GK_OK) return fail("run", status, message);
  }
  const volatile int32_t cancel = 1;
  gk_run_options options = {};
  options.struct_size = sizeof options;
  options.cancel = &cancel;
  const int status = gk_plan_run(plan, inputs.data(), outputs.data(), &options, &message);
  return status == GK_CANCELLED || fail("a cancelled run", status, message);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s model.plan [weights.bin]\n", argv[0]);
    return 2;
  }
  if (gk_abi_version() != GK_ABI_VERSION) {
    std::fprintf(stderr, "compiled for ABI %d, the library has %u\n", GK_ABI_VERSION, gk_abi_version());
    return 1;
  }
  Memory memory;
  const gk_allocator allocator = {&memory, &Memory::allocate, &Memory::release};
  gk_plan_options options = {};
  options.struct_size = sizeof options;
  options.threads = 2;
  options.allocator = &allocator;
  gk_plan* opened = nullptr;
  gk_message message;
  const int status = gk_plan_open_files(argv[1], argc > 2 ? argv[2] : nullptr, &options, &opened, &message);
  if (status != GK_OK) return fail("open", status, message) ? 0 : 1;
  Plan plan(opened);
  std::atomic<int> served{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < kCallers; ++i) callers.emplace_back([&] { served += serve(plan.get()); });
  for (std::thread& caller : callers) caller.join();
  plan.reset();
  std::printf("graphopt %s: %d of %d callers served, %zu bytes left\n", gk_version(), served.load(), kCallers,
              memory.held.load());
  return served == kCallers && memory.held == 0 ? 0 : 1;
}
