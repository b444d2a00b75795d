"""EliminateBroadcastExpand: what broadcasting does anyway needs no Expand before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.ir.dims import same_dim
from graphopt.passes.simplify._broadcast import Dims, broadcast, broadcasts_to, dims_of
from graphopt.passes.simplify._surgery import Constants, drop_if_dead, nodes_of
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.opfacts import BROADCASTING

_READERS = frozenset((BROADCASTING - {"PRelu", "BitShift"}) | {"MatMul"})


@dataclass(frozen=True)
class EliminateBroadcastExpand(Pass):
    """Let an elementwise operator or a MatMul broadcast what an Expand or a ConstantOfShape enlarged for it.

    Before: ``e = Expand(x, shape); y = Add(e, z)``.
    After:  ``y = Add(x, z)``.
    Needs:  the shapes of x, of e and of the other operands.
    Keeps:  the shape of the result: the other operands must have every dim that x lacks.
    Skips:  dims that are not certainly equal; functions.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Visit every operator that broadcasts once."""
        constants = Constants(model)
        changed = 0
        for graph, node in nodes_of(model, _READERS):
            for index in range(len(node.inputs)):
                changed += self._shrink(graph, node, index, constants, ctx)
        return changed > 0

    def _shrink(
        self, graph: ir.Graph, node: ir.Node, index: int, constants: Constants, ctx: PassContext
    ) -> bool:
        value = node.inputs[index]
        producer = None if value is None else value.producer()
        if value is None or producer is None or producer.domain != "" or producer.graph is not graph:
            return False
        if producer.op_type not in ("Expand", "ConstantOfShape"):
            return False
        is_filled = producer.op_type == "ConstantOfShape"
        reason = _difference(node, index, () if is_filled else dims_of(producer.inputs[0]))
        if reason is not None:
            ctx.missed(self.name(), node, reason)
            return False
        small = _filler(graph, producer, constants) if is_filled else producer.inputs[0]
        node.replace_input_with(index, small)
        drop_if_dead(producer)
        ctx.applied(self.name(), node, f"it broadcasts what {producer.op_type} enlarged")
        return True


def _difference(node: ir.Node, index: int, small: Dims | None) -> str | None:
    """Why ``node`` would compute another shape with an input of shape ``small`` in place, or None."""
    shapes = [dims_of(value) for value in node.inputs]
    large = shapes[index]
    if small is None or large is None or any(shape is None for shape in shapes):
        return "the rank of an operand is unknown"
    known = [shape for shape in shapes if shape is not None]
    if node.op_type == "MatMul":
        if min(map(len, (*known, small))) < 2:
            return "an operand of MatMul is a vector"
        if not all(same_dim(a, b) for a, b in zip(small[-2:], large[-2:], strict=True)):
            return "Expand enlarges the matrices themselves"
        known, small = [shape[:-2] for shape in known], small[:-2]
    return None if _is_same(known, index, small) else "the other operands may not have the dims it adds"


def _is_same(shapes: Sequence[Dims], index: int, small: Dims) -> bool:
    others = [*shapes[:index], small, *shapes[index + 1 :]]
    return broadcasts_to(others, broadcast(shapes))


def _filler(graph: ir.Graph, node: ir.Node, constants: Constants) -> ir.Value:
    """The one number that ConstantOfShape repeats."""
    attribute = node.attributes.get("value")
    tensor = None if attribute is None else attribute.as_tensor()
    number = np.zeros((), np.float32) if tensor is None else np.asarray(tensor.numpy()).reshape(())
    dtype = None if tensor is None else tensor.dtype
    return constants.add(graph, f"{node.outputs[0].name}.element", number, dtype)
