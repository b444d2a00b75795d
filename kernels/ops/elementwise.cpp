// elementwise: a program over broadcast inputs; with `reduce`, its one result is reduced over axes.
#include "cpu/lib/elementwise/opcodes.h"
#include "executor/op.h"
#include "ops/onnx_dtype.h"
#include "ops/reduced.h"

namespace graphopt {
namespace {

bool dtype_of(int64_t number, gk_dtype* dtype) {
  *dtype = onnx_dtype(number);
  return dtype->bits != 0;
}

// The dtype a register has: its input's, or what the instruction that writes it gives. A constant that is a result
// has no dtype of its own; float32 then.
bool register_dtype(ShapeCall& call, std::span<const int64_t> program, int64_t constants, int64_t number,
                    gk_dtype* dtype) {
  if (number < 0) return false;
  if (number < static_cast<int64_t>(call.inputs.size())) {
    if (!call.has(static_cast<size_t>(number))) return false;
    *dtype = call.inputs[static_cast<size_t>(number)].type.dtype;
    return true;
  }
  if (number < static_cast<int64_t>(call.inputs.size()) + constants) return dtype_of(1, dtype);
  for (size_t i = 0; i + 6 <= program.size(); i += 6) {
    if (program[i + 2] != number) continue;
    if (is_cast(program[i])) return dtype_of(program[i + 5], dtype);
    return dtype_of(gives_bool(program[i]) ? 9 : program[i + 1], dtype);
  }
  return false;
}

bool shapes(ShapeCall& call) {
  const auto program = call.attributes.integers("program");
  const auto results = call.attributes.integers("results");
  const auto constants = static_cast<int64_t>(call.attributes.numbers("constants").size());
  if (call.outputs.empty() || results.size() != call.outputs.size()) return call.fail("needs a result for each output");
  if (program.size() % 6 != 0) return call.fail("a program has six integers per instruction");
  Dims dims;
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    if (!call.has(i)) return call.fail("takes no input away");
    const Dims sofar = dims;
    if (!broadcast({&sofar, &call.inputs[i].type.dims}, &dims)) {
      return call.fail(text_of(sofar) + " and " + text_of(call.inputs[i].type.dims) + " do not broadcast");
    }
  }
  for (size_t o = 0; o < call.outputs.size(); ++o) {
    call.outputs[o].dims = dims;
    if (!register_dtype(call, program, constants, results[o], &call.outputs[o].dtype)) {
      return call.fail("result register " + std::to_string(results[o]) + " is never written");
    }
  }
  if (!call.attributes.has("reduce")) return true;
  if (call.outputs.size() != 1) return call.fail("reduces one result");
  return reduced_dims(call, dims, call.attributes.integers("axes"), &call.outputs[0].dims);
}

}  // namespace

extern const OpDef op_elementwise;
const OpDef op_elementwise = {.name = "elementwise",
                              .shapes = shapes,
                              .strided_inputs = 0xfff,
                              .strided_outputs = 0xf,
                              .in_place = 0xfff};

}  // namespace graphopt
