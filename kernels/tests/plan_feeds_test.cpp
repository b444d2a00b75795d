// Tensors of callers that are wrong, odd or hostile, and how a plan is used from several threads and processes.
#include <atomic>
#include <cstdio>
#include <limits>
#include <memory>
#include <thread>

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plan_builder.h"

namespace {

using Plan = PlanBuilder;

// y = concat(x, z) along the last axis; x: [N, M], z: [N, K].
OpenPlan* joining(int threads = 1) {
  Plan plan;
  plan.symbols = {"N", "M", "K"};
  const int32_t x = plan.input("x", kF32, {-2, -3}), z = plan.input("z", kF32, {-2, -4});
  const int32_t y = plan.declared("y", kF32, {-2, -1});
  plan.add(Plan::step("concat", {x, z}, {y}, {Plan::integer("axis", 1)}));
  gk_plan_options options = {};
  options.threads = threads;
  return new OpenPlan(plan.bytes({y}), "", options);
}

Tensor<float> counted(int64_t rows, int64_t columns) {
  Tensor<float> tensor = {{rows, columns}, std::vector<float>(static_cast<size_t>(rows * columns))};
  for (size_t i = 0; i < tensor.data.size(); ++i) tensor.data[i] = static_cast<float>(i);
  return tensor;
}

void refused(OpenPlan& plan, const gk_tensor& x, const gk_tensor& z, const char* why) {
  CHECK_WITH(plan.run({x, z}) == GK_INVALID_ARGUMENT && plan.says(why), plan.message.text);
  int64_t dims[GK_MAX_RANK];
  gk_tensor out = {nullptr, {GK_CPU, 0}, 0, {}, dims, nullptr, 0};
  const gk_tensor both[] = {x, z};
  CHECK_WITH(gk_plan_shapes(plan.plan, both, &out, &plan.message) == GK_INVALID_ARGUMENT && plan.says(why),
             plan.message.text);
}

void dims_of_every_kind() {
  const std::unique_ptr<OpenPlan> plan(joining());
  Tensor<float> x = counted(2, 3), z = counted(2, 1);
  const int64_t most = std::numeric_limits<int64_t>::max();
  const std::vector<std::vector<int64_t>> senseless = {
      {most, most},           {int64_t{1} << 31, int64_t{1} << 31}, {int64_t{1} << 62, 2}, {0, int64_t{1} << 62},
      {int64_t{1} << 62, 0},  {-1, 0},                              {0, -1},               {-1, -1},
      {most, 0},              {std::numeric_limits<int64_t>::min(), 1}};
  for (std::vector<int64_t> dims : senseless) {
    gk_tensor wrong = x.raw(kF32);
    wrong.shape = dims.data();
    refused(*plan, wrong, z.raw(kF32), "too large");
  }
  gk_tensor wrong = x.raw(kF32);
  for (const int32_t ndim : {-1, 9, INT32_MAX, INT32_MIN}) {
    wrong.ndim = ndim;
    refused(*plan, wrong, z.raw(kF32), "at most 8 are possible");
  }
  wrong = x.raw(kF32);
  wrong.shape = nullptr;
  refused(*plan, wrong, z.raw(kF32), "has no shape");
  wrong = x.raw(kF32);
  wrong.device.device_type = GK_CUDA;
  refused(*plan, wrong, z.raw(kF32), "not in the CPU's memory");
  Tensor<float> taller = counted(3, 1);
  refused(*plan, x.raw(kF32), taller.raw(kF32), "input 'z' is float32[3,1], not float32[N,K] with N = 2 with M = 3");
}

// dtypes are checked before anything is copied: a copy of elements of no size would run over its memory.
void dtypes_of_no_size() {
  const std::unique_ptr<OpenPlan> plan(joining());
  Tensor<float> x = counted(200, 100), z = counted(200, 1);
  int64_t strides[] = {1, 200};
  for (const gk_dtype dtype : {gk_dtype{GK_FLOAT, 0, 1}, gk_dtype{GK_FLOAT, 4, 1}, gk_dtype{GK_INT, 33, 1},
                               gk_dtype{GK_FLOAT, 32, 4}, gk_dtype{GK_FLOAT, 32, 0}}) {
    gk_tensor wrong = x.raw(dtype);
    wrong.strides = strides;
    refused(*plan, wrong, z.raw(kF32), "has a dtype that plans do not have");
  }
  gk_tensor wrong = x.raw(kF64); // twice what there is
  wrong.strides = strides;
  refused(*plan, wrong, z.raw(kF32), "input 'x' is float64[200,100], not float32[N,M]");
}

void empty_tensors() {
  const std::unique_ptr<OpenPlan> plan(joining());
  for (const std::vector<int64_t>& sizes : {std::vector<int64_t>{0, 3, 2}, {2, 0, 0}, {0, 0, 0}, {3, 0, 2}}) {
    Tensor<float> x = counted(sizes[0], sizes[1]), z = counted(sizes[0], sizes[2]);
    gk_tensor in = x.raw(kF32), other = z.raw(kF32);
    if (x.data.empty()) in.data = nullptr;
    if (z.data.empty()) other.data = nullptr;
    CHECK_WITH(plan->run({in, other}) == GK_OK, plan->message.text);
    CHECK((plan->dims(0) == std::vector<int64_t>{sizes[0], sizes[1] + sizes[2]}));
  }
  // An empty output in the middle of an input shares nothing with it.
  Tensor<float> x = counted(4, 4), z = counted(4, 0);
  int64_t none[] = {4, 0};
  gk_tensor nothing = x.raw(kF32), out = x.raw(kF32);
  nothing.shape = out.shape = none;
  out.byte_offset = 16;
  const gk_tensor in[] = {nothing, z.raw(kF32)};
  CHECK_WITH(gk_plan_run(plan->plan, in, &out, nullptr, &plan->message) == GK_OK, plan->message.text);
}

void memory_that_is_shared() {
  const std::unique_ptr<OpenPlan> plan(joining());
  Tensor<float> x = counted(2, 2);
  CHECK_WITH(plan->run({x.raw(kF32), x.raw(kF32)}) == GK_OK, plan->message.text); // inputs may be one another
  CHECK((plan->output<float>(0) == std::vector<float>{0, 1, 0, 1, 2, 3, 2, 3}));
  std::vector<float> room(16);
  Tensor<float> y = {{2, 4}, {}};
  const gk_tensor in[] = {x.raw(kF32), x.raw(kF32)};
  gk_tensor out = y.raw(kF32);
  out.data = reinterpret_cast<char*>(room.data()) + 1;
  CHECK(gk_plan_run(plan->plan, in, &out, nullptr, &plan->message) == GK_INVALID_ARGUMENT);
  CHECK_WITH(plan->says("output 'y' has memory at an odd address"), plan->message.text);
  out.data = room.data();
  out.byte_offset = 4; // aligned for a float, not for a vector
  CHECK(gk_plan_run(plan->plan, in, &out, nullptr, &plan->message) == GK_OK && room[0] == 0 && room[8] == 3);
  int64_t gaps[] = {5, 1};
  out.strides = gaps;
  CHECK(gk_plan_run(plan->plan, in, &out, nullptr, &plan->message) == GK_INVALID_ARGUMENT);
  CHECK(plan->says("output 'y' has memory with gaps"));
  // Strides that run backwards over the caller's memory.
  gk_tensor backwards = x.raw(kF32);
  int64_t strides[] = {-2, -1};
  backwards.strides = strides;
  backwards.byte_offset = 12;
  CHECK_WITH(plan->run({backwards, x.raw(kF32)}) == GK_OK, plan->message.text);
  CHECK((plan->output<float>(0) == std::vector<float>{3, 2, 0, 1, 1, 0, 2, 3}));
}

// Shapes are found without touching data that decides none.
void shapes_without_data() {
  const std::unique_ptr<OpenPlan> plan(joining());
  Tensor<float> x = counted(2, 3), z = counted(2, 4);
  gk_tensor in[] = {x.raw(kF32), z.raw(kF32)};
  int64_t strides[] = {1, 2}, dims[GK_MAX_RANK];
  in[0].data = nullptr;
  in[1].data = reinterpret_cast<void*>(16); // nobody's
  in[0].strides = in[1].strides = strides;
  gk_tensor out = {nullptr, {GK_CPU, 0}, 0, {}, dims, nullptr, 0};
  CHECK_WITH(gk_plan_shapes(plan->plan, in, &out, &plan->message) == GK_OK, plan->message.text);
  CHECK(out.ndim == 2 && dims[0] == 2 && dims[1] == 7 && out.dtype.bits == 32 && out.data == nullptr);
}

void structs_of_another_age() {
  const std::unique_ptr<OpenPlan> plan(joining());
  gk_value_info info = {};
  info.struct_size = sizeof info;
  CHECK(gk_plan_output(plan->plan, 0, &info) == GK_OK && info.ndim == 2 && info.dims[0] == -2 && info.dims[1] == -1);
  CHECK(std::strcmp(gk_plan_symbol(plan->plan, info.dims[0]), "N") == 0 && info.decides_shapes == 0);
  info = {};
  info.struct_size = 8; // of a caller that knows the rank alone
  CHECK(gk_plan_input(plan->plan, 0, &info) == GK_OK && info.ndim == 2 && info.dims == nullptr && info.struct_size == 8);
  info.struct_size = 2;
  CHECK(gk_plan_input(plan->plan, 0, &info) == GK_INVALID_ARGUMENT);
  gk_plan_memory memory = {};
  CHECK(gk_plan_get_memory(plan->plan, &memory) == GK_INVALID_ARGUMENT);
  CHECK(gk_plan_get_memory(plan->plan, nullptr) == GK_INVALID_ARGUMENT);
  Tensor<float> x = counted(1, 1);
  gk_run_options options = {};
  CHECK(plan->run({x.raw(kF32), x.raw(kF32)}, &options) == GK_INVALID_ARGUMENT && plan->says("struct_size"));
  gk_step_time time = {};
  options = {sizeof options, -5, nullptr, &time, 0};
  CHECK(plan->run({x.raw(kF32), x.raw(kF32)}, &options) == GK_OK && options.time_count == 1 && time.op == nullptr);
  struct Longer {
    gk_run_options known;
    int64_t later;
  } longer = {{sizeof(Longer), 1, nullptr, &time, 0}, 7};
  CHECK(plan->run({x.raw(kF32), x.raw(kF32)}, &longer.known) == GK_OK && longer.known.time_count == 1 && longer.later == 7);
}

// What is told of a name is cut between characters.
void long_names() {
  Plan plan;
  std::string name = "x";
  for (int i = 0; i < 400; ++i) name += "\xC3\xA4"; // ä
  const int32_t x = plan.input(name, kF32, {2});
  OpenPlan open(plan.bytes({x}));
  Tensor<float> wrong = counted(1, 1);
  CHECK(open.run({wrong.raw(kF32)}) == GK_INVALID_ARGUMENT);
  const std::string told = open.message.text;
  CHECK(told.size() >= sizeof(gk_message) - 3 && (told.size() - std::strlen("input 'x")) % 2 == 0);
}

void one_plan_in_many_threads() {
  const std::unique_ptr<OpenPlan> plan(joining(3));
  std::atomic<int> wrong{0}, cancelled{0};
  volatile int32_t cancel = 0;
  const auto serve = [&](int64_t columns) {
    Tensor<float> x = counted(64, columns), z = counted(64, 1);
    const gk_tensor in[] = {x.raw(kF32), z.raw(kF32)};
    for (int i = 0; i < 30; ++i) {
      gk_message message;
      gk_tensor out = {};
      gk_run_options options = {sizeof options, 0, i % 3 == 2 ? &cancel : nullptr, nullptr, 0};
      const int status = gk_plan_run(plan->plan, in, &out, &options, &message);
      cancelled += status == GK_CANCELLED;
      wrong += status != GK_OK && status != GK_CANCELLED;
      if (status == GK_OK) wrong += static_cast<const float*>(out.data)[columns + 1] != static_cast<float>(columns);
      gk_plan_release_output(&out);
      if (i % 7 == 0) gk_plan_park(plan->plan);
      gk_plan_memory memory = {};
      memory.struct_size = sizeof memory;
      wrong += gk_plan_get_memory(plan->plan, &memory) != GK_OK || memory.shapes < 1;
    }
  };
  std::vector<std::thread> callers;
  for (int64_t caller = 1; caller < 5; ++caller) callers.emplace_back(serve, caller);
  for (std::thread& caller : callers) caller.join();
  CHECK(wrong.load() == 0 && cancelled.load() == 0);
}

// A flag that another thread sets ends the run it is given to, whenever that is, and no other.
void a_run_cancelled_from_another_thread() {
  const std::unique_ptr<OpenPlan> plan(joining(2));
  Tensor<float> x = counted(64, 64), z = counted(64, 1);
  const gk_tensor in[] = {x.raw(kF32), z.raw(kF32)};
  int32_t cancel = 0;
  std::thread other([&] { __atomic_store_n(&cancel, 1, __ATOMIC_RELAXED); });
  int status = GK_OK;
  while (status == GK_OK) {
    gk_tensor out = {};
    gk_run_options options = {sizeof options, 0, &cancel, nullptr, 0};
    status = gk_plan_run(plan->plan, in, &out, &options, &plan->message);
    CHECK((status == GK_OK) == (out.data != nullptr));
    gk_plan_release_output(&out);
  }
  other.join();
  CHECK(status == GK_CANCELLED && plan->says("cancelled"));
  CHECK(plan->run({in[0], in[1]}) == GK_OK);
}

#ifndef __SANITIZE_THREAD__ // which cannot follow a fork
void a_forked_process_goes_on() {
  const std::unique_ptr<OpenPlan> plan(joining(2));
  Tensor<float> x = counted(300, 400), z = counted(300, 1);
  CHECK(plan->run({x.raw(kF32), z.raw(kF32)}) == GK_OK);
  const std::vector<float> before = plan->output<float>(0);
  const pid_t child = fork();
  if (child == 0) {
    const bool same = plan->run({x.raw(kF32), z.raw(kF32)}) == GK_OK && plan->output<float>(0) == before;
    Tensor<float> other = counted(300, 2);
    _exit(same && plan->run({x.raw(kF32), other.raw(kF32)}) == GK_OK ? 0 : 1);
  }
  int status = 1;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  CHECK(plan->run({x.raw(kF32), z.raw(kF32)}) == GK_OK && plan->output<float>(0) == before);
}
#endif

#if defined(__linux__) && !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
// No address space is left for a thread's stack: the caller does all chunks.
void threads_that_do_not_start() {
  const std::unique_ptr<OpenPlan> plan(joining(7)); // a pool that nobody has started yet
  Tensor<float> x = counted(300, 400), z = counted(300, 1), y = {{300, 401}, std::vector<float>(300 * 401)};
  const gk_tensor in[] = {x.raw(kF32), z.raw(kF32)};
  gk_tensor out = y.raw(kF32);
  const pid_t child = fork();
  if (child == 0) {
    unsigned long pages = 0;
    std::FILE* status = std::fopen("/proc/self/statm", "r");
    if (status == nullptr || std::fscanf(status, "%lu", &pages) != 1) _exit(2);
    std::fclose(status);
    const rlim_t most = pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + (rlim_t{1} << 20);
    const rlimit limit = {most, most};
    if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(3);
    if (gk_plan_run(plan->plan, in, &out, nullptr, nullptr) != GK_OK) _exit(4);
    if (y.data[401] != 400 || y.data[400] != 0 || y.data.back() != 299) _exit(5);
    // Emulators take the limit and keep none: there the threads have started.
    if (mmap(nullptr, size_t{1} << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED) _exit(0);
    std::thread* started = nullptr;
    try {
      started = new std::thread([] {});
    } catch (const std::exception&) {
    }
    _exit(started == nullptr ? 0 : 1);
  }
  int status = 1;
  CHECK_WITH(waitpid(child, &status, 0) == child && status == 0, std::to_string(status));
}
#endif

}  // namespace

void test_plan_feeds() {
  dims_of_every_kind();
  dtypes_of_no_size();
  empty_tensors();
  memory_that_is_shared();
  shapes_without_data();
  structs_of_another_age();
  long_names();
  one_plan_in_many_threads();
  a_run_cancelled_from_another_thread();
#ifndef __SANITIZE_THREAD__
  a_forked_process_goes_on();
#endif
#if defined(__linux__) && !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
  threads_that_do_not_start();
#endif
}
