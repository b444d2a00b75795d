// attention: Q, K, V, mask?, past key?, past value?, key lengths? → Y, present key?, present value?, scores?.
#include "executor/op.h"

namespace graphopt {
namespace {

// [batch, heads, length, size] of a 3-D or 4-D operand.
bool heads_of(const Dims& dims, int64_t heads, int64_t* result) {
  if (dims.rank == 4) {
    for (int i = 0; i < 4; ++i) result[i] = dims[i];
    return true;
  }
  if (dims.rank != 3 || heads < 1 || dims[2] % heads != 0) return false;
  result[0] = dims[0];
  result[1] = heads;
  result[2] = dims[1];
  result[3] = dims[2] / heads;
  return true;
}

Dims four(int64_t a, int64_t b, int64_t c, int64_t d) { return {4, {a, b, c, d}}; }

bool shapes(ShapeCall& call) {
  if (!call.has(0) || !call.has(1) || !call.has(2) || call.outputs.empty() || call.outputs.size() > 4) {
    return call.fail("takes Q, K and V and gives 1 to 4 outputs");
  }
  const int64_t kv_heads = call.attributes.integer("kv_num_heads", 0);
  int64_t q[4], k[4], v[4];
  if (!heads_of(call.inputs[0].type.dims, call.attributes.integer("q_num_heads", 0), q) ||
      !heads_of(call.inputs[1].type.dims, kv_heads, k) || !heads_of(call.inputs[2].type.dims, kv_heads, v)) {
    return call.fail("Q, K and V are [batch, heads, length, size] or [batch, length, heads · size]");
  }
  if (q[0] != k[0] || k[0] != v[0] || k[1] != v[1] || k[2] != v[2] || q[3] != k[3] || k[1] < 1 || q[1] % k[1] != 0) {
    return call.fail("Q " + text_of(call.inputs[0].type.dims) + ", K " + text_of(call.inputs[1].type.dims) + " and V " +
                     text_of(call.inputs[2].type.dims) + " do not fit");
  }
  int64_t total = k[2];
  if (call.has(4)) {
    if (call.inputs[4].type.dims.rank != 4 || !call.has(5)) return call.fail("past key and value are 4-D");
    if (__builtin_add_overflow(total, call.inputs[4].type.dims[2], &total)) return call.fail("too many keys");
  }
  const gk_dtype dtype = call.inputs[0].type.dtype;
  int64_t width = 0;
  if (__builtin_mul_overflow(q[1], v[3], &width)) return call.fail("too many heads");
  call.outputs[0] = {dtype, four(q[0], q[1], q[2], v[3])};
  if (call.inputs[0].type.dims.rank == 3) call.outputs[0].dims = {3, {q[0], q[2], width}};
  if (call.outputs.size() > 1) call.outputs[1] = {dtype, four(k[0], k[1], total, k[3])};
  if (call.outputs.size() > 2) call.outputs[2] = {dtype, four(k[0], k[1], total, v[3])};
  if (call.outputs.size() > 3) call.outputs[3] = {dtype, four(q[0], q[1], q[2], total)};
  return true;
}

}  // namespace

extern const OpDef op_attention;
const OpDef op_attention = {.name = "attention", .shapes = shapes, .strided_inputs = 0b111111};

}  // namespace graphopt
