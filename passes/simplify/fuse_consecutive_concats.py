"""FuseConsecutiveConcats: a concatenation of concatenations is one."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.passes.simplify._surgery import drop_if_dead, is_only_read_by, nodes_of, producer_of
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass


@dataclass(frozen=True)
class FuseConsecutiveConcats(Pass):
    """Concatenate at once what is concatenated in steps along one axis.

    Before: ``t = Concat<axis=1>(a, b); y = Concat<axis=1>(t, c)``.
    After:  ``y = Concat<axis=1>(a, b, c)``.
    Needs:  the same axis; the rank where one counts from the end.
    Keeps:  the order.
    Skips:  an inner value that something else reads: it would be copied twice.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Visit every Concat once, in order: what it takes in is flat already."""
        changed = False
        for graph, node in nodes_of(model, frozenset({"Concat"})):
            inner = [self._inner(graph, node, value) for value in node.inputs]
            if not any(inner):
                continue
            inputs: list[ir.Value | None] = []
            for value, part in zip(node.inputs, inner, strict=True):
                inputs.extend(part.inputs if part is not None else (value,))
            node.resize_inputs(len(inputs))
            for index, value in enumerate(inputs):
                node.replace_input_with(index, value)
            for part in inner:
                drop_if_dead(part)
            ctx.applied(self.name(), node, f"takes in {sum(p is not None for p in inner)} other Concat")
            changed = True
        return changed

    def _inner(self, graph: ir.Graph, node: ir.Node, value: ir.Value | None) -> ir.Node | None:
        part = producer_of(value, "Concat", graph)
        if part is None or value is None or not is_only_read_by(value, node):
            return None
        return part if _axis(part) == _axis(node) else None


def _axis(node: ir.Node) -> int | None:
    """The axis from the front; from the end where the rank is unknown."""
    axis = node.attributes.get_int("axis", 0)
    ranks = [len(v.shape) for v in (*node.inputs, *node.outputs) if v is not None and v.shape is not None]
    return axis + ranks[0] if axis < 0 and ranks else axis
