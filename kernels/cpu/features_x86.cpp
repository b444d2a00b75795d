// CPU detection on x86-64 by cpuid and xgetbv.
// Source: Intel SDM vol. 2A "CPUID", vol. 1 §13 "XSAVE"; AMD64 APM vol. 3 appendix E.
#include <cpuid.h>

#include <cstring>

#include "features.h"
#include "graphopt/graphopt.h"

namespace graphopt {
namespace {

struct Registers {
  unsigned a = 0, b = 0, c = 0, d = 0;
};

// All zero where the CPU does not have the leaf.
Registers cpuid(unsigned leaf, unsigned subleaf = 0) {
  Registers r;
  if (__get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d) == 0) return {};
  return r;
}

// The register state that the operating system saves; a CPU feature is usable only with its state.
std::uint64_t enabled_state(const Registers& leaf1) {
  constexpr unsigned kOsxsave = 1u << 27;
  if ((leaf1.c & kOsxsave) == 0) return 0;
  unsigned low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (std::uint64_t{high} << 32) | low;
}

std::uint64_t detect() {
  const Registers one = cpuid(1), seven = cpuid(7), seven1 = cpuid(7, 1), extended = cpuid(0x80000001u);
  const std::uint64_t state = enabled_state(one);
  constexpr std::uint64_t kYmmState = 0x6, kZmmState = 0xe6, kTileState = 0x60000;
  std::uint64_t found = 0;
  const auto add = [&](unsigned word, int bit, Feature feature, std::uint64_t needed_state) {
    if (((word >> bit) & 1u) != 0 && (state & needed_state) == needed_state) found |= feature;
  };
  add(one.d, 26, kSse2, 0);
  add(one.c, 0, kSse3, 0);
  add(one.c, 9, kSsse3, 0);
  add(one.c, 19, kSse41, 0);
  add(one.c, 20, kSse42, 0);
  add(one.c, 22, kMovbe, 0);
  add(one.c, 23, kPopcnt, 0);
  add(extended.c, 5, kAbm, 0);
  add(seven.b, 3, kBmi1, 0);
  add(seven.b, 8, kBmi2, 0);
  add(one.c, 28, kAvx, kYmmState);
  add(one.c, 29, kF16c, kYmmState);
  add(one.c, 12, kFma, kYmmState);
  add(seven.b, 5, kAvx2, kYmmState);
  add(seven1.a, 4, kAvxVnni, kYmmState);
  add(seven.b, 16, kAvx512F, kZmmState);
  add(seven.b, 17, kAvx512Dq, kZmmState);
  add(seven.b, 28, kAvx512Cd, kZmmState);
  add(seven.b, 30, kAvx512Bw, kZmmState);
  add(seven.b, 31, kAvx512Vl, kZmmState);
  add(seven.c, 11, kAvx512Vnni, kZmmState);
  add(seven1.a, 5, kAvx512Bf16, kZmmState);
  add(seven.d, 23, kAvx512Fp16, kZmmState);
  add(seven.d, 24, kAmxTile, kTileState);
  add(seven.d, 25, kAmxInt8, kTileState);
  add(seven.d, 22, kAmxBf16, kTileState);
  return found;
}

// The brand string is padded with spaces on either side.
void copy_trimmed(char* to, const char* from, std::size_t size) {
  while (*from == ' ') ++from;
  std::size_t length = std::strlen(from);
  while (length > 0 && from[length - 1] == ' ') --length;
  if (length >= size) length = size - 1;
  std::memcpy(to, from, length);
  to[length] = '\0';
}

}  // namespace

std::uint64_t cpu_features() {
  static const std::uint64_t found = detect();
  return found;
}

}  // namespace graphopt

extern "C" void gk_identify_cpu(gk_cpu* cpu) {
  using graphopt::Registers;
  *cpu = gk_cpu{};
  const Registers zero = graphopt::cpuid(0), one = graphopt::cpuid(1);
  std::memcpy(cpu->vendor, &zero.b, 4);
  std::memcpy(cpu->vendor + 4, &zero.d, 4);
  std::memcpy(cpu->vendor + 8, &zero.c, 4);
  const int family = static_cast<int>((one.a >> 8) & 0xf), model = static_cast<int>((one.a >> 4) & 0xf);
  const int extended_family = static_cast<int>((one.a >> 20) & 0xff);
  const int extended_model = static_cast<int>((one.a >> 16) & 0xf);
  cpu->family = family == 0xf ? family + extended_family : family;
  cpu->model = family == 0xf || family == 6 ? (extended_model << 4) + model : model;
  cpu->stepping = static_cast<int>(one.a & 0xf);
  char brand[49] = {};
  for (unsigned i = 0; i < 3; ++i) {
    const Registers part = graphopt::cpuid(0x80000002u + i);
    std::memcpy(brand + 16 * i, &part, 16);
  }
  graphopt::copy_trimmed(cpu->model_name, brand, sizeof cpu->model_name);
}
