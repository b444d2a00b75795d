// Convolution in groups of so few filters that a vector holds those of several: lanes are neighbouring filters, whatever
// group each belongs to.
//
//   y[pixel][m] = activation(bias[m] + Σ_tap Σ_c band[at(pixel, tap)][group(m) · D + c] · w[m][c][tap]),  c < D
//
// Lines of X that a task needs are copied with their padding into a band that stays in the first cache. In it, the
// channels that the filters of a vector read are neighbours, and a lane gets the channel of its group
//   spread     by a permutation on the way to the register, where a group has as many channels as filters and they
//              divide a vector (4, 8, 16, …): channels of a vector serve filters of a vector,
//   broadcast  from memory, where the filters of one group nearly fill a vector,
//   expanded   by a permutation on the way into the band, which then holds a vector for every c: all other groups.
// Three taps of a line share what they read of the band. W is packed to [vector of filters][line][taps of the line, by
// three][c][tap][lanes]. Bytes moved: Y once, X once and the overlap of bands, W once per band.
#pragma once

#include "cpu/lib/conv/conv_shape.h"
#include "cpu/lib/elementwise/epilogue.h"

namespace graphopt {
namespace GK_LEVEL {

enum GroupedForm : int32_t { kGroupedNone, kGroupedSpread, kGroupedBroadcast, kGroupedExpanded };

struct GroupedPlan {
  GroupedForm form;
  int32_t by_three;       // taps of a line are taken three at a time where there are as many
  int64_t blocks;         // vectors of filters
  int64_t pixel_floats;   // of the band
  int64_t lines, pixels;  // of Y, that a task computes of a vector of filters
  int64_t band_lines, line_floats;
};

// Whether this form is faster than one product per group, and than the depthwise one where groups are single channels.
bool grouped_pays(const ConvShape& shape);

void prepare_grouped(const gk_call* call, const ConvShape& shape, GroupedPlan* plan);

int64_t grouped_packed_bytes(const ConvShape& shape, const GroupedPlan& plan);
// Distinguishes packings of the same weights.
uint64_t grouped_format(const GroupedPlan& plan);
void pack_grouped(const ConvShape& shape, const GroupedPlan& plan, const float* weights, float* packed);

int64_t grouped_workspace_bytes(const gk_call* call, const ConvShape& shape, const GroupedPlan& plan);

// One parallel region. The epilogue sees Y as [outer, rows, filters]; one that is not tiled is left to the caller.
int run_grouped(const gk_call* call, const ConvShape& shape, const GroupedPlan& plan, const float* packed,
                const float* bias, const Epilogue& epilogue, int64_t outer, void* workspace);

}  // namespace GK_LEVEL
}  // namespace graphopt
