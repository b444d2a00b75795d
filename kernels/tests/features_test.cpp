// CPU detection: agrees with the compiler's own, and features come without repetition.
#include <cstring>
#include <set>

#include "check.h"

void test_features() {
  std::set<std::string> features;
  int count = 0;
  for (; gk_cpu_feature(count) != nullptr; ++count) features.insert(gk_cpu_feature(count));
  CHECK(static_cast<int>(features.size()) == count && count > 0);
  gk_cpu cpu;
  std::memset(&cpu, 0xff, sizeof cpu);
  gk_identify_cpu(&cpu);
  CHECK(std::memchr(cpu.vendor, 0, sizeof cpu.vendor) != nullptr);
  CHECK(std::memchr(cpu.model_name, 0, sizeof cpu.model_name) != nullptr);
#if defined(__x86_64__)
  CHECK(std::strlen(cpu.vendor) == 12 && cpu.family > 0);
  CHECK(features.contains("sse2"));
  CHECK(features.contains("avx2") == (__builtin_cpu_supports("avx2") != 0));
  CHECK(features.contains("fma") == (__builtin_cpu_supports("fma") != 0));
  CHECK(features.contains("avx512f") == (__builtin_cpu_supports("avx512f") != 0));
  CHECK(features.contains("avx512_vnni") == (__builtin_cpu_supports("avx512vnni") != 0));
  CHECK(features.contains("avx512_bf16") == (__builtin_cpu_supports("avx512bf16") != 0));
#else
  CHECK(features.contains("asimd"));
#endif
}
