"""MergeSlices: slices that together are the whole are one Split."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.passes.simplify._parts import Part, part_of
from graphopt.passes.simplify._surgery import Constants, drop_if_dead, nodes_of
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.opfacts import opset_of

_MIN_OPSET = 13
"""From here on the sizes of Split are an input."""

_Groups = dict[tuple[ir.Graph, ir.Value, int], list[tuple[Part, ir.Node]]]


@dataclass(frozen=True)
class MergeSlices(Pass):
    """Split a value once instead of slicing all of it piece by piece.

    Before: ``a = Slice(x, [0], [65], [1]); b = Slice(x, [65], [130], [1])`` with 130 elements along axis 1.
    After:  ``a, b = Split<axis=1>(x, [65, 65])``.
    Needs:  constant bounds, steps of 1, the size of the axis.
    Keeps:  slices that overlap or leave something out.
    Skips:  slices that are outputs of the graph.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Group the slices of each value by axis, then look at each group."""
        if opset_of(model.graph, model) < _MIN_OPSET:
            return False
        groups: _Groups = defaultdict(list)
        for graph, node in nodes_of(model, frozenset({"Slice"})):
            part = part_of(node.outputs[0])
            if part is not None and not node.outputs[0].is_graph_output():
                groups[graph, part.whole, part.axis].append((part, node))
        constants = Constants(model)
        changed = False
        for (graph, _, _), found in groups.items():
            first = found[0][1]
            parts = sorted(found, key=lambda pair: pair[0].start)
            if len(parts) < 2 or not _is_partition([part for part, _ in parts]):
                continue
            _split(graph, first, parts, constants)
            ctx.applied(self.name(), first, f"{len(parts)} slices are all of {parts[0][0].whole.name!r}")
            changed = True
        return changed


def _is_partition(parts: list[Part]) -> bool:
    """Whether the parts, in order, are everything once."""
    ends = [0, *(part.stop for part in parts)]
    return ends[-1] == parts[0].size and all(
        part.start == end < part.stop for part, end in zip(parts, ends, strict=False)
    )


def _split(graph: ir.Graph, first: ir.Node, parts: list[tuple[Part, ir.Node]], constants: Constants) -> None:
    """Put a Split where the first of the slices is."""
    whole, axis = parts[0][0].whole, parts[0][0].axis
    sizes = np.asarray([part.stop - part.start for part, _ in parts], np.int64)
    outputs = []
    for _, node in parts:
        old = node.outputs[0]
        new = ir.Value(name=old.name, type=old.type, shape=old.shape)
        old.name = constants.unique(f"{old.name}.replaced")
        outputs.append(new)
    inputs = [whole, constants.add(graph, f"{outputs[0].name}.sizes", sizes)]
    split = ir.Node("", "Split", inputs, [ir.AttrInt64("axis", axis)], outputs=outputs, name=first.name)
    graph.insert_before(first, split)
    for (_, node), new in zip(parts, outputs, strict=True):
        node.outputs[0].replace_all_uses_with(new)
        drop_if_dead(node)
