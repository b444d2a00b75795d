// Prints the ceilings of every level this machine runs, as a table; `graphopt doctor` without Python.
#include <cstdio>
#include <initializer_list>

#include "graphopt/graphopt.h"

namespace {

constexpr gk_measure_options kOptions = {1, 5, 2e-3};

void print_peaks(int32_t isa, double clock) {
  struct Dtype {
    const char* name;
    gk_dtype dtype;
  };
  constexpr Dtype kDtypes[] = {{"float64", {GK_FLOAT, 64, 1}},
                               {"float32", {GK_FLOAT, 32, 1}},
                               {"bfloat16", {GK_BFLOAT, 16, 1}},
                               {"int8", {GK_INT, 8, 1}}};
  for (const Dtype& dtype : kDtypes) {
    gk_measurement peak = {};
    if (gk_measure_peak(isa, dtype.dtype, &kOptions, &peak) != GK_OK) continue;
    std::printf("%-18s %-9s %8.1f Gop/s [%.1f, %.1f] %6.1f op/cycle\n", gk_isa_name(isa), dtype.name,
                peak.median * 1e-9, peak.low * 1e-9, peak.high * 1e-9, peak.high / clock);
  }
}

void print_bandwidth(size_t bytes) {
  for (const char* kernel : {"stream_read", "stream_copy"}) {
    gk_measurement rate = {};
    if (gk_measure_bandwidth(GK_ISA_BEST, kernel, bytes, &kOptions, &rate) != GK_OK) continue;
    std::printf("%-18s %6zu KiB %8.1f GB/s [%.1f, %.1f]\n", kernel, bytes >> 10, rate.median * 1e-9, rate.low * 1e-9,
                rate.high * 1e-9);
  }
}

}  // namespace

int main() {
  gk_measurement clock = {};
  if (const int status = gk_measure_clock(&kOptions, &clock); status != GK_OK) {
    std::fprintf(stderr, "ceilings: %s\n", gk_status_text(status));
    return 1;
  }
  std::printf("one thread, median of %d [low, high]; clock %.2f GHz\n", kOptions.samples, clock.median * 1e-9);
  for (int32_t isa = 1; isa < GK_ISA_COUNT; ++isa) {
    if (gk_isa_supported(isa)) print_peaks(isa, clock.high);
  }
  for (size_t bytes = size_t{16} << 10; bytes <= size_t{256} << 20; bytes *= 4) print_bandwidth(bytes);
  return 0;
}
