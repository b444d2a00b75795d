// Transposed convolutions by phases: the outputs of an axis that meet the same taps. See ops/conv_transpose.cpp.
#pragma once

#include "cpu/lib/elementwise/epilogue.h"

namespace graphopt {
namespace GK_LEVEL {
namespace transpose {

// What one input pixel and all taps give lies apart from that of its neighbours, or overlaps it.
enum Patches : int32_t { kNoPatches, kApart, kOverlapping };

struct TransposeState {
  int64_t batch, channels, filters, group;
  int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad[3];
  int64_t taps, packed_floats, columns;  // columns: filters of a group that a task computes
  int32_t by_channel;                    // every channel is a group with one filter
  Patches patches;                       // taps are columns
  Epilogue epilogue;
};

struct TransposeRun {
  const gk_call* call;
  const TransposeState* state;
  const float *x, *weights, *zeros, *bias;
  float* y;
  Epilogue epilogue;  // with the strides of one row of a phase
  bool tiled;
};

inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

inline int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

inline int64_t remainder_of(int64_t a, int64_t b) { return (a % b + b) % b; }

// Taps of an axis whose phase is below `phase`, or equal to it and before tap `until`.
inline int64_t taps_before(const TransposeState& s, int axis, int64_t phase, int64_t until) {
  int64_t count = 0;
  for (int64_t k = 0; k < s.kernel[axis]; ++k) {
    const int64_t of = k * s.dilation[axis] % s.stride[axis];
    count += of < phase || (of == phase && k < until);
  }
  return count;
}

// The taps of one phase of an axis.
struct AxisPhase {
  int64_t phase, before, count, first;  // first tap; `before` of the phases before it
};

inline AxisPhase axis_phase(const TransposeState& s, int axis, int64_t phase) {
  AxisPhase result = {phase, taps_before(s, axis, phase, 0), 0, -1};
  for (int64_t k = 0; k < s.kernel[axis]; ++k) {
    if (k * s.dilation[axis] % s.stride[axis] != phase) continue;
    if (result.count++ == 0) result.first = k;
  }
  return result;
}

// The next tap of the same phase after `k`; the last one's result is past the kernel.
inline int64_t next_tap(const TransposeState& s, int axis, int64_t k) {
  const int64_t phase = k * s.dilation[axis] % s.stride[axis];
  for (++k; k < s.kernel[axis] && k * s.dilation[axis] % s.stride[axis] != phase; ++k) {
  }
  return k;
}

// Taps of all phases before this one.
inline int64_t phase_offset(const TransposeState& s, const AxisPhase* p) {
  return p[0].before * s.kernel[1] * s.kernel[2] + p[0].count * (p[1].before * s.kernel[2] + p[1].count * p[2].before);
}

// The input index that meets output o at tap k, whose phase o has; may lie outside.
inline int64_t input_of(const TransposeState& s, int axis, int64_t o, int64_t k) {
  const int64_t distance = o + s.pad[axis] - k * s.dilation[axis];
  return distance < 0 ? -1 : distance / s.stride[axis];
}

// Whether patches are faster than phases; the sizes and taps of the state must be known.
Patches patches_of(const TransposeState& state);

// One parallel region. W is packed with taps · filters columns; a tiled epilogue is done.
int run_patches(const TransposeRun& run);

// Checks the call and fills the state, but not its sizes of packed weights.
int read_shape(const gk_call* call, TransposeState* state);

}  // namespace transpose
}  // namespace GK_LEVEL
}  // namespace graphopt
