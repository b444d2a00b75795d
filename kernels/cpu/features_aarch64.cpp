// CPU detection on aarch64 by the kernel's hardware capabilities (AT_HWCAP) and MIDR_EL1, which Linux
// lets user space read where HWCAP_CPUID is set. Source: Linux Documentation/arch/arm64/elf_hwcaps.rst.
#include <sys/auxv.h>

#include <cstdio>

#include "features.h"
#include "graphopt/graphopt.h"

namespace graphopt {
namespace {

constexpr unsigned long kHwcapAsimd = 1ul << 1, kHwcapCpuid = 1ul << 11, kHwcapAsimdHp = 1ul << 10,
                        kHwcapAsimdDp = 1ul << 20, kHwcapSve = 1ul << 22;
constexpr unsigned long kHwcap2Sve2 = 1ul << 1, kHwcap2I8mm = 1ul << 13, kHwcap2Bf16 = 1ul << 14;

std::uint64_t detect() {
  const unsigned long one = getauxval(AT_HWCAP), two = getauxval(AT_HWCAP2);
  std::uint64_t found = 0;
  const auto add = [&](unsigned long word, unsigned long bit, Feature feature) {
    if ((word & bit) != 0) found |= feature;
  };
  add(one, kHwcapAsimd, kAsimd);
  add(one, kHwcapAsimdHp, kAsimdHp);
  add(one, kHwcapAsimdDp, kAsimdDp);
  add(one, kHwcapSve, kSve);
  add(two, kHwcap2Sve2, kSve2);
  add(two, kHwcap2I8mm, kI8mm);
  add(two, kHwcap2Bf16, kBf16);
  return found;
}

}  // namespace

std::uint64_t cpu_features() {
  static const std::uint64_t found = detect();
  return found;
}

}  // namespace graphopt

extern "C" void gk_identify_cpu(gk_cpu* cpu) {
  *cpu = gk_cpu{};
  if ((getauxval(AT_HWCAP) & graphopt::kHwcapCpuid) == 0) return;
  std::uint64_t midr = 0;
  __asm__("mrs %0, MIDR_EL1" : "=r"(midr));
  std::snprintf(cpu->vendor, sizeof cpu->vendor, "implementer-%02x", static_cast<unsigned>(midr >> 24) & 0xffu);
  cpu->family = static_cast<int>((midr >> 16) & 0xf);
  cpu->model = static_cast<int>((midr >> 4) & 0xfff);
  cpu->stepping = static_cast<int>(midr & 0xf);
}
