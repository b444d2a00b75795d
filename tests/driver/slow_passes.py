"""Passes that keep the answer to the last bit and make the model slower, and a model to try them on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass

SIDE = 768


def _negate_twice(model: ir.Model, times: int, label: str) -> None:
    """Negate the first input 2·``times`` times: no runtime takes that out, and no bit changes."""
    (x,) = [value for value in model.graph.inputs if value.name == "x"]
    value, users = x, list(x.uses())
    for index in range(2 * times):
        node = ir.Node("", "Neg", [value], name=f"{label}{index}")
        value = node.outputs[0]
        value.name = f"{label}_out{index}"
        value.shape, value.type = x.shape, x.type
        model.graph.append(node)
    for user, index in users:
        user.replace_input_with(index, value)
    model.graph.sort()


def waste(model: ir.Model) -> None:
    """Makes a model slower and keeps its answer."""
    _negate_twice(model, 200, "waste")


@dataclass(frozen=True)
class WasteTime(Pass):
    """Negates the input back and forth."""

    times: int = 200

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        if any(node.name == "waste0" for node in model.graph):
            return False
        _negate_twice(model, self.times, "waste")
        return True


@dataclass(frozen=True)
class WasteMoreTime(Pass):
    """Does the same once more."""

    times: int = 200

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        if any(node.name == "more0" for node in model.graph):
            return False
        _negate_twice(model, self.times, "more")
        return True


@dataclass(frozen=True)
class RemoveWaste(Pass):
    """Takes out every pair of negations: what a useful pass looks like."""

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        found = [node for node in model.graph if node.op_type == "Neg"]
        for node in found:
            node.outputs[0].replace_all_uses_with(node.inputs[0])
            model.graph.remove(node, safe=True)
        return bool(found)


def wasteful_model(times: int = 200) -> ir.Model:
    """``matmul_model`` with negations in front."""
    model = matmul_model()
    _negate_twice(model, times, "waste")
    return model


def matmul_model() -> ir.Model:
    """``y = Relu(x · w)`` over square matrices."""
    rng = np.random.default_rng(0)
    shape = ir.Shape([SIDE, SIDE])
    kind = ir.TensorType(ir.DataType.FLOAT)
    x = ir.Value(name="x", shape=shape, type=kind)
    array = rng.standard_normal((SIDE, SIDE)).astype(np.float32)
    w = ir.Value(name="w", shape=shape, type=kind, const_value=ir.tensor(array, name="w"))
    matmul = ir.Node("", "MatMul", [x, w], name="matmul")
    matmul.outputs[0].name = "p"
    relu = ir.Node("", "Relu", [matmul.outputs[0]], name="relu")
    relu.outputs[0].name = "y"
    relu.outputs[0].shape, relu.outputs[0].type = shape, kind
    graph = ir.Graph(
        [x], relu.outputs, nodes=[matmul, relu], initializers=[w], opset_imports={"": 21}, name="g"
    )
    return ir.Model(graph, ir_version=10)
