"""ShieldRecurrentInput: no widening cast right before a recurrent layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import walk
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.infer import infer_outputs
from graphopt.rewrite.scope import Scope

_LAYERS = frozenset({"LSTM", "GRU", "RNN"})
_MOVES = frozenset(
    {"Identity", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Concat", "Slice", "Split"}
)
"""Operators that only move elements: a cast is moved past them."""

_NARROW = frozenset({ir.DataType.FLOAT16, ir.DataType.BFLOAT16})


@dataclass(frozen=True)
class ShieldRecurrentInput(Pass):
    """Put a step that changes nothing between a cast to float32 and the recurrent layer that reads it.

    TensorRT-RTX 1.7 moves such a cast into the loop it makes of the layer, over the step that picks one
    position of the sequence: it then finds the whole sequence where one position should be, and gives up.

    Before: ``y = LSTM(Cast<to=float>(x), w, r)`` of a float16 or bfloat16.
    After:  ``y = LSTM(Clip(Cast<to=float>(x), lowest), w, r)`` with the lowest number of float32.
    Needs:  element types.
    Keeps:  every finite number.
    Skips:  casts behind which something is computed; casts from other types.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Look at every recurrent layer."""
        found = [node for node in walk.nodes(model) if _reads_cast(node)]
        if not found:
            return False
        scope = Scope(model)
        scope.read()
        lowest = _lowest(model.graph, scope)
        shields: dict[ir.Value, ir.Value] = {}
        for node in found:
            value = node.inputs[0]
            assert value is not None, "it is read from a cast"
            if value not in shields:
                shields[value] = _shield(node, value, lowest, scope, model.opset_imports.get("", 0))
            node.replace_input_with(0, shields[value])
            ctx.applied(self.name(), node, "shielded from the cast before it")
        return True


def _reads_cast(node: ir.Node) -> bool:
    """Whether the sequence a recurrent layer reads was a narrower float just before."""
    if node.domain != "" or node.op_type not in _LAYERS:
        return False
    work, seen = [node.inputs[0]], set[ir.Value]()
    while work:
        value = work.pop()
        producer = None if value is None else value.producer()
        if value is None or producer is None or value in seen or producer.domain != "":
            continue
        seen.add(value)
        source = producer.inputs[0] if producer.inputs else None
        if producer.op_type == "Cast" and value.dtype == ir.DataType.FLOAT and source is not None:
            if source.dtype in _NARROW:
                return True
        elif producer.op_type in _MOVES:
            work.extend(producer.inputs if producer.op_type == "Concat" else producer.inputs[:1])
    return False


def _lowest(graph: ir.Graph, scope: Scope) -> ir.Value:
    tensor = ir.tensor(np.asarray(np.finfo(np.float32).min, np.float32))
    value = ir.Value(name=scope.unique("lowest"), shape=ir.Shape([]), type=ir.TensorType(tensor.dtype))
    value.const_value = tensor
    graph.register_initializer(value)
    return value


def _shield(layer: ir.Node, value: ir.Value, lowest: ir.Value, scope: Scope, opset: int) -> ir.Value:
    """The value, clipped to what it holds anyway; computed where it is."""
    result = ir.Value(name=scope.unique(f"{value.name}.shielded"))
    name = scope.unique(f"{layer.name}.Clip")
    node = ir.Node("", "Clip", [value, lowest], outputs=[result], name=name)
    node.metadata_props.update(layer.metadata_props)
    infer_outputs(node, opset)
    producer = value.producer()
    assert producer is not None, "a cast is before it"
    graph = producer.graph
    assert graph is not None, "it was found in a graph"
    graph.insert_after(producer, node)
    return result
