"""CompleteOperands: what ONNX lets a node leave out and TensorRT's parser asks for or takes for another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import walk
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.scope import Scope

_AXES, _CONDITION = 3, 1
"""Where a Slice has its axes, and a Loop its condition."""


@dataclass(frozen=True)
class CompleteOperands(Pass):
    """Write down the axes of a Slice, the condition of a Loop, and which triangle a Trilu keeps.

    The parser of TensorRT 10 takes as many starts as there are dims where a Slice has no axes, and the
    condition inside a Loop for a value from nowhere where nothing is handed in. A Trilu that says nothing
    keeps the upper triangle in ONNX; the parser takes the lower one, without a word.

    Before: ``y = Slice(x, starts, ends)``; ``y = Loop(count, , x)``; ``y = Trilu(x)``.
    After:  ``y = Slice(x, starts, ends, [0, 1])``; ``y = Loop(count, true, x)``; ``y = Trilu<upper=1>(x)``.
    Needs:  how many starts there are.
    Keeps:  everything else; one constant serves all nodes that lack the same.
    Skips:  nodes that have them.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Look at every node."""
        triangles = [node for node in walk.nodes(model) if _lacks_triangle(node)]
        for node in triangles:
            node.attributes.add(ir.AttrInt64("upper", 1))
            ctx.applied(self.name(), node, "its upper triangle written down")
        constants: dict[int | bool, ir.Value] = {}
        scope: Scope | None = None
        for node in list(walk.nodes(model)):
            missing = _missing(node)
            if missing is None:
                continue
            index, content, name = missing
            if scope is None:
                scope = Scope(model)
                scope.read()
            key = True if isinstance(content, bool) else len(content)
            if key not in constants:
                dtype = np.bool_ if isinstance(content, bool) else np.int64
                constants[key] = _constant(model.graph, scope.unique(name), np.asarray(content, dtype))
            if index >= len(node.inputs):
                node.resize_inputs(index + 1)
            node.replace_input_with(index, constants[key])
            ctx.applied(self.name(), node, f"its {name} written down")
        return bool(constants or triangles)


def _lacks_triangle(node: ir.Node) -> bool:
    return node.domain == "" and node.op_type == "Trilu" and "upper" not in node.attributes


def _missing(node: ir.Node) -> tuple[int, bool | list[int], str] | None:
    """Which operand ``node`` lacks, what it stands for, and what that is called."""
    if node.domain != "" or node.graph is None:
        return None
    if node.op_type == "Loop" and _lacks(node, _CONDITION):
        return _CONDITION, True, "condition"
    if node.op_type != "Slice" or not _lacks(node, _AXES) or len(node.inputs) < _AXES:
        return None
    starts = node.inputs[1]
    shape = None if starts is None else starts.shape
    if shape is None or not isinstance(shape[0], int):
        return None
    return _AXES, list(range(shape[0])), "axes"


def _lacks(node: ir.Node, index: int) -> bool:
    return index >= len(node.inputs) or node.inputs[index] is None


def _constant(
    graph: ir.Graph, name: str, array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]
) -> ir.Value:
    """A new initializer of the main graph, which subgraphs see too."""
    tensor = ir.tensor(array)
    value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype))
    value.const_value = tensor
    graph.register_initializer(value)
    return value
