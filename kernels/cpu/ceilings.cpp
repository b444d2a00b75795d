// The machine's ceilings: arithmetic peak, bandwidth, clock. Each is a kernel of this library run by
// measure_rate, so what is measured is what kernels are compiled to.
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "graphopt/graphopt.h"
#include "rate.h"

namespace graphopt {
namespace {

constexpr gk_device kCpu = {GK_CPU, 0};

gk_call call_of(const gk_tensor* inputs, int input_count, const gk_tensor* outputs, int output_count,
                const gk_attribute* repeat) {
  gk_call call = {};
  call.abi_version = GK_ABI_VERSION;
  call.struct_size = sizeof call;
  call.inputs = inputs;
  call.input_count = input_count;
  call.outputs = outputs;
  call.output_count = output_count;
  call.attributes = repeat;
  call.attribute_count = 1;
  return call;
}

gk_attribute repeat_attribute(std::int64_t repeat) {
  gk_attribute attribute = {"repeat", GK_ATTRIBUTE_INT, 1, {0}};
  attribute.value.i = repeat;
  return attribute;
}

class Peak final : public Work {
 public:
  Peak(gk_kernel kernel, gk_dtype dtype, std::uint64_t one) : kernel_(kernel), dtype_(dtype), one_(one) {}

  int prepare(int) override { return GK_OK; }

  int run(int, std::int64_t repeat, double* units) override {
    // A step is a handful of cycles: count in blocks, or calibration would start far too low.
    constexpr std::int64_t kBlock = 256;
    std::uint64_t one = one_;
    double sum = 0;
    std::int64_t operations = 0;
    const gk_tensor factor = {&one, kCpu, 0, dtype_, nullptr, nullptr, 0};
    const gk_tensor inputs[] = {factor, factor};
    const gk_tensor outputs[] = {{&sum, kCpu, 0, {GK_FLOAT, 64, 1}, nullptr, nullptr, 0},
                                 {&operations, kCpu, 0, {GK_INT, 64, 1}, nullptr, nullptr, 0}};
    const gk_attribute attribute = repeat_attribute(repeat * kBlock);
    const gk_call call = call_of(inputs, 2, outputs, 2, &attribute);
    const int status = kernel_(&call);
    *units = static_cast<double>(operations);
    return status;
  }

 private:
  const gk_kernel kernel_;
  const gk_dtype dtype_;
  const std::uint64_t one_;  // its first bytes are the number one in that dtype
};

// The bits of one, little-endian, or 0 for a dtype that has no peak.
std::uint64_t one_of(gk_dtype dtype) {
  if (dtype.lanes != 1) return 0;
  if (dtype.code == GK_FLOAT && dtype.bits == 32) return 0x3f800000u;
  if (dtype.code == GK_FLOAT && dtype.bits == 64) return 0x3ff0000000000000u;
  if (dtype.code == GK_BFLOAT && dtype.bits == 16) return 0x3f80u;
  if (dtype.code == GK_INT && dtype.bits == 8) return 1;
  return 0;
}

struct Free {
  void operator()(void* p) const { std::free(p); }
};

class Bandwidth final : public Work {
 public:
  Bandwidth(gk_kernel kernel, std::size_t bytes, bool copies, int threads)
      : kernel_(kernel), bytes_(bytes), copies_(copies), memory_(static_cast<std::size_t>(threads)) {}

  int prepare(int thread) override {
    // Pages, not cache lines: each thread touches its own first, so they lie in its memory node.
    constexpr std::size_t kPage = 4096;
    const std::size_t padded = (bytes_ + kPage - 1) / kPage * kPage;
    Memory memory(static_cast<char*>(std::aligned_alloc(kPage, padded)));
    if (memory == nullptr) return GK_SYSTEM_ERROR;
    std::memset(memory.get(), 1, padded);
    memory_[static_cast<std::size_t>(thread)] = std::move(memory);
    return GK_OK;
  }

  int run(int thread, std::int64_t repeat, double* units) override {
    char* memory = memory_[static_cast<std::size_t>(thread)].get();
    std::int64_t size = static_cast<std::int64_t>(copies_ ? bytes_ / 2 : bytes_);
    std::uint64_t folded = 0;
    alignas(GK_ALIGNMENT) char slot[GK_ALIGNMENT];
    const gk_tensor input = {memory, kCpu, 1, {GK_UINT, 8, 1}, &size, nullptr, 0};
    gk_tensor output = {memory + size, kCpu, 1, {GK_UINT, 8, 1}, &size, nullptr, 0};
    if (!copies_) output = {&folded, kCpu, 0, {GK_UINT, 64, 1}, nullptr, nullptr, 0};
    const gk_attribute attribute = repeat_attribute(repeat);
    gk_call call = call_of(&input, 1, &output, 1, &attribute);
    call.workspace = {slot, sizeof slot};
    *units = static_cast<double>(copies_ ? 2 * size : size) * static_cast<double>(repeat);
    return kernel_(&call);
  }

 private:
  using Memory = std::unique_ptr<char, Free>;
  const gk_kernel kernel_;
  const std::size_t bytes_;
  const bool copies_;
  std::vector<Memory> memory_;
};

class Clock final : public Work {
 public:
  int prepare(int) override { return GK_OK; }

  int run(int, std::int64_t repeat, double* units) override {
    constexpr int kChain = 64, kBlock = 16;
    std::uint64_t x = 1, y = 3;
    for (std::int64_t i = 0; i < repeat * kBlock; ++i) {
#pragma GCC unroll 64
      for (int step = 0; step < kChain; ++step) {
        x += y;
        __asm__ volatile("" : "+r"(x), "+r"(y));  // neither merged into one addition nor removed
      }
    }
    *units = static_cast<double>(repeat) * kBlock * kChain;
    return GK_OK;
  }
};

}  // namespace
}  // namespace graphopt

using namespace graphopt;

extern "C" {

int gk_measure_peak(int32_t isa, gk_dtype dtype, const gk_measure_options* options, gk_measurement* result) {
  if (options == nullptr) return GK_INVALID_ARGUMENT;
  gk_kernel kernel = nullptr;
  if (const int status = gk_find_kernel("fma_peak", isa, &kernel); status != GK_OK) return status;
  const std::uint64_t one = one_of(dtype);
  if (one == 0) return GK_UNSUPPORTED;
  Peak peak(kernel, dtype, one);
  return measure_rate(peak, *options, result);
}

int gk_measure_bandwidth(int32_t isa, const char* name, size_t bytes, const gk_measure_options* options,
                         gk_measurement* result) {
  constexpr size_t kLeast = 1024, kMost = size_t{1} << 40;
  if (options == nullptr || name == nullptr || options->threads < 1) return GK_INVALID_ARGUMENT;
  if (bytes < kLeast || bytes > kMost || bytes % (2 * GK_ALIGNMENT) != 0) return GK_INVALID_ARGUMENT;
  const bool copies = std::strcmp(name, "stream_copy") == 0;
  if (!copies && std::strcmp(name, "stream_read") != 0) return GK_UNKNOWN_KERNEL;
  gk_kernel kernel = nullptr;
  if (const int status = gk_find_kernel(name, isa, &kernel); status != GK_OK) return status;
  try {
    Bandwidth bandwidth(kernel, bytes, copies, options->threads);
    return measure_rate(bandwidth, *options, result);
  } catch (const std::bad_alloc&) {
    return GK_SYSTEM_ERROR;
  }
}

int gk_measure_clock(const gk_measure_options* options, gk_measurement* result) {
  if (options == nullptr) return GK_INVALID_ARGUMENT;
  Clock clock;
  return measure_rate(clock, *options, result);
}

}  // extern "C"
