// fma_peak: sum = operations / 2 · a·b exactly, on every level and dtype it has.
#include <utility>

#include "check.h"

namespace {

struct Factors {
  const char* name;
  gk_dtype dtype;
  double a, b;
  uint64_t a_bits, b_bits;
};

// 3 and -2 in each dtype: products and their sums are exact in every accumulator.
constexpr Factors kFactors[] = {
    {"float32", kF32, 3, -2, 0x40400000u, 0xc0000000u},
    {"float64", kF64, 3, -2, 0x4008000000000000u, 0xc000000000000000u},
    {"bfloat16", kBf16, 3, -2, 0x4040u, 0xc000u},
    {"int8", kI8, 3, -2, 0x03u, 0xfeu},
};

struct PeakCall : Call {
  uint64_t a = 0, b = 0;
  double sum = 0;
  int64_t operations = 0;

  explicit PeakCall(const Factors& factors) : a(factors.a_bits), b(factors.b_bits) {
    inputs = {scalar(&a, factors.dtype), scalar(&b, factors.dtype)};
    outputs = {scalar(&sum, kF64), scalar(&operations, kI64)};
  }
};

void sums_are_exact() {
  for (const int32_t isa : supported_levels()) {
    for (const Factors& factors : kFactors) {
      const std::string context = std::string(gk_isa_name(isa)) + " " + factors.name;
      PeakCall call(factors);
      call.raw.isa = isa;
      call.set("repeat", 1000);
      const int status = gk_run_kernel("fma_peak", call.get());
      const bool optional = factors.dtype.code == GK_BFLOAT || factors.dtype.code == GK_INT;
      CHECK_WITH(status == GK_OK || (optional && status == GK_UNSUPPORTED), context);
      if (status != GK_OK) continue;
      CHECK_WITH(call.operations >= 2 * 1000, context);
      CHECK_WITH(call.sum == static_cast<double>(call.operations / 2) * factors.a * factors.b, context);
    }
  }
}

// The levels named after an instruction have it.
void levels_have_what_they_are_named_for() {
  for (const int32_t isa : supported_levels()) {
    const std::string name = gk_isa_name(isa);
    const std::pair<const char*, Factors> parts[] = {
        {"vnni", kFactors[3]}, {"dotprod", kFactors[3]}, {"bf16", kFactors[2]}};
    for (const auto& [part, factors] : parts) {
      if (name.find(part) == std::string::npos) continue;
      PeakCall call(factors);
      call.raw.isa = isa;
      CHECK_WITH(gk_run_kernel("fma_peak", call.get()) == GK_OK, name + " " + factors.name);
    }
  }
}

void wrong_calls_are_refused() {
  const auto status_after = [](const std::function<void(PeakCall&)>& spoil) {
    PeakCall call(kFactors[0]);
    call.get();
    spoil(call);
    return gk_run_kernel("fma_peak", &call.raw);
  };
  CHECK(status_after([](PeakCall&) {}) == GK_OK);
  CHECK(status_after([](PeakCall& c) { c.inputs[1].dtype = kF64; }) == GK_INVALID_ARGUMENT);
  CHECK(status_after([](PeakCall& c) { c.outputs[0].dtype = kF32; }) == GK_INVALID_ARGUMENT);
  CHECK(status_after([](PeakCall& c) { c.outputs[1].dtype = kU64; }) == GK_INVALID_ARGUMENT);
  CHECK(status_after([](PeakCall& c) { c.set("repeat", -1), c.get(); }) == GK_INVALID_ARGUMENT);
  CHECK(status_after([](PeakCall& c) { c.set("repeat", INT64_MAX), c.get(); }) == GK_INVALID_ARGUMENT);
  CHECK(status_after([](PeakCall& c) { c.inputs[0].dtype = c.inputs[1].dtype = kU64; }) == GK_UNSUPPORTED);
}

}  // namespace

void test_fma_peak() {
  sums_are_exact();
  levels_have_what_they_are_named_for();
  wrong_calls_are_refused();
}
