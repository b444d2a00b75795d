// Memory that is refused, at each place in turn: a plan says so, gives everything back, and runs once there is some.
#include <cstdlib>
#include <new>
#include <set>

#include "plan_builder.h"

namespace {

using Plan = PlanBuilder;

// Allocations of this thread before one is refused, once; -1: none is.
thread_local int64_t g_until_refused = -1;
thread_local bool g_refused = false;

bool refuses() {
  if (g_until_refused < 0 || g_until_refused-- > 0) return false;
  g_refused = true;
  return true;
}

void refuse_after(int64_t count) {
  g_until_refused = count;
  g_refused = false;
}

}  // namespace

// The whole program's, so that nothing is left out; they refuse only while a test here wants it. Inlined, one of a pair
// would look to the compiler as if it had lost the other.
[[gnu::noinline]] void* operator new(size_t size) {
  void* memory = refuses() ? nullptr : std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
void* operator new[](size_t size) { return operator new(size); }
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return refuses() ? nullptr : std::malloc(size == 0 ? 1 : size);
}
void operator delete[](void* memory) noexcept { operator delete(memory); }
void operator delete(void* memory, size_t) noexcept { operator delete(memory); }
void operator delete[](void* memory, size_t) noexcept { operator delete(memory); }

namespace {

// The caller's allocator: knows what is out, and refuses as well.
struct Memory {
  std::set<void*> out;
  size_t bytes = 0, calls = 0;
  bool wrong = false;
  gk_allocator raw = {this, &Memory::allocate, &Memory::release};

  static void* allocate(void* context, size_t size, size_t alignment) {
    auto* self = static_cast<Memory*>(context);
    const int64_t until = g_until_refused;
    if (refuses()) return nullptr;
    g_until_refused = -1; // what this test remembers is not the plan's
    self->wrong = self->wrong || size == 0 || alignment != GK_ALIGNMENT;
    void* data = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    self->out.insert(data);
    self->bytes += size;
    ++self->calls;
    g_until_refused = until < 0 ? until : until - 1;
    return data;
  }
  static void release(void* context, void* data, size_t size) {
    auto* self = static_cast<Memory*>(context);
    const int64_t until = std::exchange(g_until_refused, -1);
    self->wrong = self->wrong || self->out.erase(data) != 1;
    self->bytes -= size;
    std::free(data);
    g_until_refused = until;
  }
};

// Shape arithmetic, views, copies, a branch, packed weights, a constant at an odd address, scratch memory and
// an output that is allocated.
std::string everything() {
  Plan plan;
  plan.symbols = {"N"};
  const int32_t x = plan.input("x", kF32, {-2, 3}), c = plan.input("c", {GK_BOOL, 8, 1}, {});
  const int32_t target = plan.input("t", kI64, {2}, true);
  const int32_t w = plan.constant<float>("w", kF32, {3, 40}, std::vector<float>(120, 0.5f));
  const int32_t one = plan.weight("one", kF32, {1, 40}, 1, 160);
  const int32_t product = plan.intermediate("product"), joined = plan.intermediate("joined");
  const int32_t turned = plan.intermediate("turned"), yes = plan.intermediate("yes"), no = plan.intermediate("no");
  const int32_t chosen = plan.intermediate("chosen"), flat = plan.intermediate("flat");
  const int32_t shape = plan.intermediate("shape", kI64);
  plan.add(Plan::step("matmul", {x, w}, {product}));
  plan.add(Plan::step("concat", {product, one}, {joined}, {Plan::integer("axis", 0)}));
  plan.add(Plan::step("transpose", {joined}, {turned}, {Plan::integers("perm", {1, 0})}));
  plan.add(Plan::step("if", {c}, {chosen}, {},
                      {Plan::program({}, {yes}, {Plan::step("identity", {turned}, {yes})}),
                       Plan::program({}, {no}, {Plan::step("copy", {turned}, {no})})}));
  plan.add(Plan::step("reshape", {chosen, target}, {flat}));
  plan.add(Plan::step("shape", {flat}, {shape}));
  return plan.bytes({flat, shape});
}

struct Feeds {
  Tensor<float> x;
  Tensor<int64_t> target = {{2}, {-1, 8}};
  uint8_t condition = 1;
  int64_t strides[2];
  std::vector<gk_tensor> tensors;

  explicit Feeds(int64_t rows) : x{{rows, 3}, std::vector<float>(static_cast<size_t>(rows) * 3, 2.0f)}, strides{1, rows} {
    tensors = {x.raw(kF32), scalar(&condition, {GK_BOOL, 8, 1}), target.raw(kI64)};
    tensors[0].strides = strides; // copied first
  }
};

// One life of a plan; the first status that is not GK_OK, or GK_OK.
int live(const std::string& bytes, const std::string& weights, const gk_plan_options& options, Feeds& feeds,
         gk_message* message, std::vector<float>* result) {
  gk_plan* plan = nullptr;
  int status = gk_plan_open(bytes.data(), bytes.size(), weights.data(), weights.size(), &options, &plan, message);
  for (int run = 0; run < 2 && status == GK_OK; ++run) {
    gk_tensor outputs[2] = {};
    status = gk_plan_run(plan, feeds.tensors.data(), outputs, nullptr, message);
    if (status != GK_OK) {
      CHECK(outputs[0].data == nullptr && outputs[1].data == nullptr);
      // The same plan goes on once there is memory.
      const bool refused = g_refused;
      refuse_after(-1);
      gk_message later;
      CHECK_WITH(gk_plan_run(plan, feeds.tensors.data(), outputs, nullptr, &later) == GK_OK, later.text);
      g_refused = refused;
    } else if (run == 1) {
      const int64_t until = std::exchange(g_until_refused, -1);
      const float* data = static_cast<const float*>(outputs[0].data);
      result->assign(data, data + outputs[0].shape[0] * outputs[0].shape[1]);
      g_until_refused = until;
    }
    for (gk_tensor& output : outputs) gk_plan_release_output(&output);
  }
  gk_plan_close(plan);
  return status;
}

void every_allocation(int threads, int64_t rows, bool own_allocator) {
  const std::string bytes = everything();
  std::string weights(161, '\0');
  Feeds feeds(rows);
  std::vector<float> expected;
  Memory memory;
  gk_plan_options options = {};
  options.struct_size = sizeof options;
  options.threads = threads;
  options.allocator = own_allocator ? &memory.raw : nullptr;
  gk_message message;
  refuse_after(-1);
  CHECK_WITH(live(bytes, weights, options, feeds, &message, &expected) == GK_OK, message.text);
  const auto size = static_cast<size_t>(rows + 1) * 40;
  CHECK(expected.size() == size && expected[0] == 3.0f && expected[static_cast<size_t>(rows)] == 0.0f);
  CHECK(!own_allocator || memory.calls > 4);
  int64_t count = 0;
  const int64_t step = threads > 1 ? 4 : 1; // threads are slow to start
  for (; count < 10'000; count += step) {
    std::vector<float> result;
    refuse_after(count);
    const int status = live(bytes, weights, options, feeds, &message, &result);
    const bool refused = g_refused;
    refuse_after(-1);
    CHECK(memory.out.empty() && memory.bytes == 0 && !memory.wrong);
    if (!refused) {
      CHECK(status == GK_OK && result == expected);
      break;
    }
    // A thread that cannot be started is missed by nobody: then the run succeeds.
    CHECK_WITH(status == GK_SYSTEM_ERROR || (status == GK_OK && result == expected), std::to_string(count));
    CHECK_WITH(status == GK_OK || std::strstr(message.text, "refused") != nullptr, message.text);
  }
  CHECK(count > 50 && count < 10'000);
}

void allocators_are_checked() {
  const std::string bytes = everything();
  const std::string weights(161, '\0');
  Memory memory;
  gk_plan_options options = {};
  options.allocator = &memory.raw;
  memory.raw.release = nullptr;
  OpenPlan half(bytes, weights, options);
  CHECK(half.status == GK_INVALID_ARGUMENT && half.says("an allocator needs both its functions"));
  memory.raw = {&memory, [](void*, size_t, size_t) -> void* { return reinterpret_cast<void*>(8); },
                [](void*, void*, size_t) {}};
  OpenPlan odd(bytes, weights, options);
  CHECK(odd.status == GK_SYSTEM_ERROR && odd.says("gave memory at an odd address"));
  // An output outlives the plan, and what it was told of the allocator.
  Memory second;
  gk_tensor outputs[2] = {};
  Feeds feeds(5);
  {
    gk_allocator copy = second.raw;
    options.allocator = &copy;
    OpenPlan open(bytes, weights, options);
    copy = {};
    CHECK_WITH(gk_plan_run(open.plan, feeds.tensors.data(), outputs, nullptr, &open.message) == GK_OK,
               open.message.text);
  }
  CHECK(second.out.size() == 2 && outputs[0].shape[1] == 8);
  for (gk_tensor& output : outputs) gk_plan_release_output(&output);
  CHECK(second.out.empty() && !second.wrong);
}

}  // namespace

void test_plan_memory() {
  every_allocation(1, 5, false);
  every_allocation(1, 5, true);
  every_allocation(3, 900, true); // loops that are divided: threads are started
  allocators_are_checked();
}
