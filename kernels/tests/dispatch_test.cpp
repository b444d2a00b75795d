// Names of levels, and the choice of a kernel by name and level.
#include <algorithm>

#include "check.h"

namespace {

void names_round_trip() {
  for (int32_t isa = 0; isa < GK_ISA_COUNT; ++isa) {
    CHECK_WITH(gk_isa_name(isa) != nullptr && gk_isa_from_name(gk_isa_name(isa)) == isa, std::to_string(isa));
  }
  CHECK(gk_isa_name(-1) == nullptr && gk_isa_name(GK_ISA_COUNT) == nullptr);
  CHECK(gk_isa_from_name("sse9") == -1 && gk_isa_from_name("") == -1 && gk_isa_from_name(nullptr) == -1);
}

std::vector<std::string> features_of(int32_t isa) {
  std::vector<std::string> names;
  for (int32_t i = 0; gk_isa_feature(isa, i) != nullptr; ++i) names.emplace_back(gk_isa_feature(isa, i));
  return names;
}

void a_level_needs_what_the_one_below_needs() {
  const auto includes = [](int32_t upper, int32_t lower) {
    for (const std::string& name : features_of(lower)) {
      const std::vector<std::string> all = features_of(upper);
      CHECK_WITH(std::find(all.begin(), all.end(), name) != all.end(), name);
    }
    CHECK(features_of(upper).size() > features_of(lower).size());
  };
  includes(GK_ISA_AVX2, GK_ISA_X86_64);
  includes(GK_ISA_AVX2_VNNI, GK_ISA_AVX2);
  includes(GK_ISA_AVX512, GK_ISA_AVX2);
  includes(GK_ISA_AVX512_VNNI, GK_ISA_AVX512);
  includes(GK_ISA_AVX512_VNNI_BF16, GK_ISA_AVX512_VNNI);
  includes(GK_ISA_NEON_DOTPROD, GK_ISA_NEON);
  includes(GK_ISA_NEON_DOTPROD_BF16, GK_ISA_NEON_DOTPROD);
  CHECK(features_of(GK_ISA_BEST).empty() && gk_isa_feature(-1, 0) == nullptr);
}

void best_is_the_last_supported() {
  const std::vector<int32_t> levels = supported_levels();
  CHECK(!levels.empty() && gk_isa_best() == levels.back());
  CHECK(gk_isa_supported(GK_ISA_BEST) && gk_isa_built(GK_ISA_BEST));
#if defined(__x86_64__)
  CHECK(levels.front() == GK_ISA_X86_64 && !gk_isa_built(GK_ISA_NEON));
#else
  CHECK(levels.front() == GK_ISA_NEON && !gk_isa_built(GK_ISA_AVX2));
#endif
}

// Levels that differ only in dot products have one compilation of a kernel without them. Every level of
// aarch64 does.
bool shares_code(const std::string& kernel) {
#if defined(__x86_64__)
  const bool one_vector_level = false;
#else
  const bool one_vector_level = true;
#endif
  return one_vector_level && kernel != "fma_peak" && kernel != "matmul_integer";
}

void kernels_are_found() {
  gk_kernel kernel = nullptr;
  int count = 0;
  for (; gk_kernel_name(count) != nullptr; ++count) {
    gk_kernel best = nullptr, slowest = nullptr;
    CHECK(gk_find_kernel(gk_kernel_name(count), GK_ISA_BEST, &best) == GK_OK && best != nullptr);
    CHECK(gk_find_kernel(gk_kernel_name(count), supported_levels().front(), &slowest) == GK_OK);
    CHECK_WITH(supported_levels().size() == 1 || best != slowest || shares_code(gk_kernel_name(count)),
               gk_kernel_name(count));
  }
  CHECK(count >= 3 && gk_kernel_name(-1) == nullptr);
  CHECK(gk_find_kernel("nonsense", GK_ISA_BEST, &kernel) == GK_UNKNOWN_KERNEL);
  CHECK(gk_find_kernel(nullptr, GK_ISA_BEST, &kernel) == GK_INVALID_ARGUMENT);
  CHECK(gk_find_kernel("stream_copy", GK_ISA_BEST, nullptr) == GK_INVALID_ARGUMENT);
  CHECK(kernel == nullptr);
}

void unknown_levels_are_refused() {
  gk_kernel kernel = nullptr;
  for (const int32_t isa : {-1, static_cast<int32_t>(GK_ISA_COUNT), 1 << 30}) {
    CHECK(!gk_isa_supported(isa) && !gk_isa_built(isa));
    CHECK(gk_find_kernel("stream_copy", isa, &kernel) == GK_UNSUPPORTED_ISA);
    Call call;
    call.raw.isa = isa;
    CHECK(gk_run_kernel("stream_copy", call.get()) == GK_UNSUPPORTED_ISA);
  }
  for (int32_t isa = 1; isa < GK_ISA_COUNT; ++isa) {
    if (!gk_isa_supported(isa)) CHECK(gk_find_kernel("stream_copy", isa, &kernel) == GK_UNSUPPORTED_ISA);
  }
}

}  // namespace

void test_dispatch() {
  names_round_trip();
  a_level_needs_what_the_one_below_needs();
  best_is_the_last_supported();
  kernels_are_found();
  unknown_levels_are_refused();
}
