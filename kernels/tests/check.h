// The smallest test harness that says what failed: CHECK, and one function per test.
#pragma once

#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "graphopt/graphopt.h"

// Set by a failed CHECK; main turns it into the exit status.
extern int g_failures;

#define CHECK(condition) CHECK_WITH(condition, std::string())

// Also prints `context`: which level, size or case it was.
#define CHECK_WITH(condition, context)                                                                          \
  do {                                                                                                          \
    if (!(condition)) {                                                                                         \
      ++g_failures;                                                                                             \
      std::fprintf(stderr, "%s:%d: %s  [%s]\n", __FILE__, __LINE__, #condition, std::string(context).c_str());  \
    }                                                                                                           \
  } while (false)

// A call that owns what it points at; its defaults are a well-formed call without tensors.
struct Call {
  std::vector<gk_tensor> inputs, outputs;
  std::vector<gk_attribute> attributes;
  gk_call raw = {};

  const gk_call* get() {
    raw.abi_version = GK_ABI_VERSION;
    raw.struct_size = sizeof raw;
    raw.inputs = inputs.data();
    raw.outputs = outputs.data();
    raw.attributes = attributes.data();
    raw.input_count = static_cast<int32_t>(inputs.size());
    raw.output_count = static_cast<int32_t>(outputs.size());
    raw.attribute_count = static_cast<int32_t>(attributes.size());
    return &raw;
  }

  void set(const char* name, int64_t value) {
    gk_attribute attribute = {name, GK_ATTRIBUTE_INT, 1, {0}};
    attribute.value.i = value;
    attributes.push_back(attribute);
  }
};

inline gk_tensor scalar(void* data, gk_dtype dtype) { return {data, {GK_CPU, 0}, 0, dtype, nullptr, nullptr, 0}; }

inline gk_tensor vector_of(void* data, gk_dtype dtype, int64_t* shape) {
  return {data, {GK_CPU, 0}, 1, dtype, shape, nullptr, 0};
}

inline constexpr gk_dtype kU8 = {GK_UINT, 8, 1}, kU64 = {GK_UINT, 64, 1}, kI8 = {GK_INT, 8, 1}, kI64 = {GK_INT, 64, 1},
                          kF32 = {GK_FLOAT, 32, 1}, kF64 = {GK_FLOAT, 64, 1}, kBf16 = {GK_BFLOAT, 16, 1};

// Every level this machine runs, slowest first.
inline std::vector<int32_t> supported_levels() {
  std::vector<int32_t> levels;
  for (int32_t isa = 1; isa < GK_ISA_COUNT; ++isa) {
    if (gk_isa_supported(isa)) levels.push_back(isa);
  }
  return levels;
}

// A pool without threads that runs chunks of exactly `grain` in reverse order, each as another worker:
// what a kernel must not depend on.
struct ReversedPool {
  int calls = 0;
  gk_parallel raw = {this, 3, &ReversedPool::run};

  static int run(void* pool, int64_t count, int64_t grain, gk_body body, void* context) {
    auto* self = static_cast<ReversedPool*>(pool);
    const int64_t chunks = (count + grain - 1) / grain;
    for (int64_t chunk = chunks - 1; chunk >= 0; --chunk) {
      const int64_t end = (chunk + 1) * grain;
      body(context, chunk * grain, end < count ? end : count, static_cast<int32_t>(self->calls++ % 3));
    }
    return 0;
  }
};

// A pool that gives up.
inline gk_parallel failing_pool() {
  return {nullptr, 2, [](void*, int64_t, int64_t, gk_body, void*) { return 1; }};
}
