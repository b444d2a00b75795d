// Weighted sums along one axis, and picking elements along a row. Where outputs are neighbours along the resized axis,
// what a vector of them reads lies close together: it is loaded as it stands and shuffled into place.
#include "cpu/lib/resize_pass.h"

#include "cpu/lib/lanes.h"

namespace graphopt {
namespace GK_LEVEL {

void weigh_rows(void* context, int64_t begin, int64_t end, int32_t) {
  const ResizePass& pass = *static_cast<const ResizePass*>(context);
  for (int64_t row = begin; row < end; ++row) {
    const int64_t o = row % pass.out, outer = row / pass.out;
    const float* x = pass.x + (outer * pass.in + pass.table.first[o]) * pass.inner;
    const float* weights = pass.table.weights + o * pass.table.taps;
    const int count = pass.table.count[o];
    float* y = pass.y + row * pass.inner;
    for (int64_t i = 0; i < pass.inner; i += kLanes) {
      const int64_t left = pass.inner - i;
      VecF32 sum = splat(count < 0 ? pass.extrapolation : 0.0f);
      if (left >= kLanes) {
        if (count > 0) sum = load_lanes(x + i) * weights[0];
        for (int t = 1; t < count; ++t) sum += load_lanes(x + t * pass.inner + i) * weights[t];
        store_lanes(y + i, sum);
      } else {
        if (count > 0) sum = load_part(x + i, left) * weights[0];
        for (int t = 1; t < count; ++t) sum += load_part(x + t * pass.inner + i, left) * weights[t];
        store_part(y + i, sum, left);
      }
    }
  }
}

namespace {

// The elements x[base, base + 2 · kLanes) of a row of `in`, as far as there are any.
struct Window {
  VecF32 low, high;

  inline __attribute__((always_inline)) Window(const float* x, int64_t base, int64_t in) {
    const int64_t there = in - base;
    if (there >= 2 * kLanes) {
      low = load_lanes(x + base);
      high = load_lanes(x + base + kLanes);
    } else {
      low = load_part(x + base, there < kLanes ? there : kLanes);
      high = load_part(x + base + kLanes, there > kLanes ? there - kLanes : 0);
    }
  }
  inline __attribute__((always_inline)) VecF32 pick(VecI32 index) const { return __builtin_shuffle(low, high, index); }
};

constexpr int kMostTaps = 8;

// A vector of outputs: what they read relative to `base`, and their weights.
struct Outputs {
  int64_t base;
  int taps;         // the most of any
  bool alike;       // all have as many
  VecI32 first, count;
  VecF32 weights[kMostTaps];

  // False where they read too far apart, or too much.
  bool read(const ResizeTable& table, int64_t o, int64_t n) {
    base = INT64_MAX;
    int64_t end = 0;
    taps = 0;
    alike = true;
    for (int i = 0; i < kLanes; ++i) {  // lanes behind the last one repeat it
      const int64_t at = o + (i < n ? i : n - 1);
      const int reads = table.count[at] < 0 ? 0 : table.count[at];
      alike = alike && table.count[at] == table.count[o];
      taps = reads > taps ? reads : taps;
      base = reads > 0 && table.first[at] < base ? table.first[at] : base;
      end = reads > 0 && table.first[at] + reads > end ? table.first[at] + reads : end;
    }
    if (taps == 0 || taps > kMostTaps || end - base > 2 * kLanes) return false;
    for (int i = 0; i < kLanes; ++i) {
      const int64_t at = o + (i < n ? i : n - 1);
      first[i] = static_cast<int32_t>(table.first[at] - base);
      count[i] = table.count[at];
      for (int t = 0; t < taps; ++t) weights[t][i] = t < table.count[at] ? table.weights[at * table.taps + t] : 0.0f;
    }
    return true;
  }

  inline __attribute__((always_inline)) VecF32 of(const float* x, int64_t in, float extrapolation) const {
    const Window window(x, base, in);
    if (alike) {
      VecF32 sum = window.pick(first) * weights[0];
      for (int t = 1; t < taps; ++t) sum += window.pick(first + t) * weights[t];
      return sum;
    }
    // What has no weight does not count, even where it is infinite.
    VecF32 sum = count < 0 ? splat(extrapolation) : VecF32{};
    for (int t = 0; t < taps; ++t) sum = count > t ? window.pick(first + t) * weights[t] + sum : sum;
    return sum;
  }
};

// Outputs [o, o + n) of a row one by one.
void weigh_some(const ResizePass& pass, const float* x, float* y, int64_t o, int64_t n) {
  for (const int64_t end = o + n; o < end; ++o) {
    const float *from = x + pass.table.first[o], *weights = pass.table.weights + o * pass.table.taps;
    const int count = pass.table.count[o];
    float sum = count < 0 ? pass.extrapolation : from[0] * weights[0];
    for (int t = 1; t < count; ++t) sum += from[t] * weights[t];
    y[o] = sum;
  }
}

}  // namespace

void weigh_elements(void* context, int64_t begin, int64_t end, int32_t) {
  const ResizePass& pass = *static_cast<const ResizePass*>(context);
  constexpr int64_t kRows = 32;  // that share what is known of a vector of outputs
  for (int64_t row = begin; row < end; row += kRows) {
    const int64_t rows_end = end - row < kRows ? end : row + kRows;
    for (int64_t o = 0; o < pass.out; o += kLanes) {
      const int64_t n = pass.out - o < kLanes ? pass.out - o : kLanes;
      Outputs outputs;
      const bool close = kVectorBytes > 16 && outputs.read(pass.table, o, n);
      for (int64_t r = row; r < rows_end; ++r) {
        const float* x = pass.x + r * pass.in;
        float* y = pass.y + r * pass.out;
        if (!close) {
          weigh_some(pass, x, y, o, n);
        } else if (n == kLanes) {
          store_lanes(y + o, outputs.of(x, pass.in, pass.extrapolation));
        } else {
          store_part(y + o, outputs.of(x, pass.in, pass.extrapolation), n);
        }
      }
    }
  }
}

void gather_words(const float* x, int64_t in, const int32_t* index, int64_t count, float* y) {
  int64_t i = 0;
  // Four lanes are shuffled no faster than they are read one by one.
  for (; kVectorBytes > 16 && i + kLanes <= count; i += kLanes) {
    const int64_t base = index[i];
    if (index[i + kLanes - 1] - base >= 2 * kLanes) {
      for (int k = 0; k < kLanes; ++k) y[i + k] = x[index[i + k]];
      continue;
    }
    VecI32 at;
    memcpy(&at, index + i, sizeof at);
    store_lanes(y + i, Window(x, base, in).pick(at - static_cast<int32_t>(base)));
  }
  for (; i < count; ++i) y[i] = x[index[i]];
}

}  // namespace GK_LEVEL
}  // namespace graphopt
