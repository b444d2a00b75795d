// range: start, start + delta, start + 2·delta, … before limit. Inputs: start, limit, delta, one element each.
#include <cmath>

#include "ops/one_number.h"

namespace graphopt {
namespace {

// ceil((limit - start) / delta) without overflow; delta is not 0.
int64_t count_between(int64_t start, int64_t limit, int64_t delta) {
  if (delta > 0 ? start >= limit : start <= limit) return 0;
  const uint64_t low = static_cast<uint64_t>(delta > 0 ? start : limit);
  const uint64_t high = static_cast<uint64_t>(delta > 0 ? limit : start);
  const uint64_t step = delta > 0 ? static_cast<uint64_t>(delta) : -static_cast<uint64_t>(delta);
  const uint64_t count = (high - low - 1) / step + 1;
  return count > static_cast<uint64_t>(INT64_MAX) ? -1 : static_cast<int64_t>(count);
}

bool shapes(ShapeCall& call) {
  if (call.inputs.size() != 3 || !call.has(0) || !call.has(1) || !call.has(2) || call.outputs.size() != 1) {
    return call.fail("takes start, limit and delta");
  }
  const gk_dtype dtype = call.inputs[0].type.dtype;
  for (const Operand& input : call.inputs) {
    if (input.type.dtype.code != dtype.code || input.type.dtype.bits != dtype.bits) {
      return call.fail("start, limit and delta differ in dtype");
    }
  }
  int64_t count = 0;
  if (dtype.code == GK_FLOAT && (dtype.bits == 32 || dtype.bits == 64)) {
    double start, limit, delta;
    if (!one_float(call.inputs[0], &start) || !one_float(call.inputs[1], &limit) ||
        !one_float(call.inputs[2], &delta)) {
      return call.fail("start, limit and delta are not known single numbers");
    }
    const double wanted = std::ceil((limit - start) / delta);
    if (!(wanted < 9e15)) return call.fail("no end to the range");
    count = wanted > 0 ? static_cast<int64_t>(wanted) : 0;
  } else if (dtype.code == GK_INT && dtype.bits >= 16) {
    int64_t start, limit, delta;
    if (!one_integer(call.inputs[0], &start) || !one_integer(call.inputs[1], &limit) ||
        !one_integer(call.inputs[2], &delta)) {
      return call.fail("start, limit and delta are not known single numbers");
    }
    if (delta == 0) return call.fail("delta is 0");
    count = count_between(start, limit, delta);
    if (count < 0) return call.fail("too many elements");
  } else {
    return call.fail("no ranges of this dtype");
  }
  call.outputs[0] = {dtype, {1, {count}}};
  return true;
}

}  // namespace

extern const OpDef op_range;
const OpDef op_range = {.name = "range", .shapes = shapes};

}  // namespace graphopt
