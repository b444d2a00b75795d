"""EliminateSplitOfConcat: what was put together is not taken apart again, nor the other way round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from graphopt.passes.simplify._parts import Part, axis_of, part_of, ranges_of, split_bounds
from graphopt.passes.simplify._surgery import drop_if_dead, nodes_of, producer_of
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.opfacts import opset_of

_MIN_OPSET = 13


@dataclass(frozen=True)
class EliminateSplitOfConcat(Pass):
    """Read the parts that a Split or Slice takes out of a Concat, and the whole whose parts a Concat joins.

    Before: ``c = Concat<axis=1>(a, b); y, z = Split<axis=1>(c, sizes of a and b)``.
    After:  a in place of y, b in place of z.
    Needs:  sizes along the axis that are numbers.
    Keeps:  the Concat, or the Split, where something else reads it.
    Skips:  parts that overlap two operands; results that are outputs of the graph.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Visit every Split, Slice and Concat once, in order."""
        if opset_of(model.graph, model) < _MIN_OPSET:
            return False
        changed = False
        for graph, node in nodes_of(model, frozenset({"Split", "Slice", "Concat"})):
            if node.op_type == "Concat":
                done = _is_whole(graph, node)
            elif node.op_type == "Slice":
                done = _slice_of_concat(graph, node)
            else:
                done = _split_of_concat(graph, node)
            if done:
                ctx.applied(self.name(), node, "its parts are there already")
                changed = True
        return changed


def _split_of_concat(graph: ir.Graph, node: ir.Node) -> bool:
    concat = producer_of(node.inputs[0], "Concat", graph)
    bounds = split_bounds(node)
    if concat is None or bounds is None or axis_of(concat) != axis_of(node):
        return False
    ranges = ranges_of(concat)
    found = [_operand(concat, ranges, bound) for bound in bounds]
    if any(value is None for value in found) or any(value.is_graph_output() for value in node.outputs):
        return False
    for old, new in zip(node.outputs, found, strict=True):
        assert new is not None, "just checked"
        old.replace_all_uses_with(new)
    drop_if_dead(node)
    return True


def _slice_of_concat(graph: ir.Graph, node: ir.Node) -> bool:
    output = node.outputs[0]
    concat = producer_of(node.inputs[0], "Concat", graph)
    part = part_of(output)
    if concat is None or part is None or part.axis != axis_of(concat) or output.is_graph_output():
        return False
    new = _operand(concat, ranges_of(concat), (part.start, part.stop))
    if new is None:
        return False
    output.replace_all_uses_with(new)
    drop_if_dead(node)
    return True


def _operand(
    concat: ir.Node, ranges: Sequence[tuple[int, int] | None], wanted: tuple[int, int]
) -> ir.Value | None:
    """The operand of a Concat that is exactly this part of its result."""
    for value, found in zip(concat.inputs, ranges, strict=True):
        if found == wanted and wanted[0] < wanted[1]:
            return value
    return None


def _is_whole(graph: ir.Graph, node: ir.Node) -> bool:
    """Replace a Concat of all consecutive parts of one value by the value."""
    output = node.outputs[0]
    parts = [part_of(value) for value in node.inputs]
    first = parts[0]
    if first is None or output.is_graph_output() or len(parts) < 2:
        return False
    if first.axis != axis_of(node) or not _is_complete(first, parts) or first.whole.producer() is node:
        return False
    producers = [value.producer() for value in node.inputs if value is not None]
    if any(producer is not None and producer.graph is not graph for producer in producers):
        return False
    output.replace_all_uses_with(first.whole)
    drop_if_dead(node)
    return True


def _is_complete(first: Part, parts: Sequence[Part | None]) -> bool:
    position = 0
    for part in parts:
        if part is None or part.whole is not first.whole or part.axis != first.axis or part.start != position:
            return False
        position = part.stop
    return position == first.size
