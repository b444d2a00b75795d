"""MergeNestedSplits: a part that is split again is several parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.ir.walk import graphs
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.opfacts import opset_of
from graphopt.rewrite.scope import Scope

_SPLIT_SIZES = 13
"""The version of the standard operators from which Split takes its sizes as an input."""


@dataclass(frozen=True)
class MergeNestedSplits(Pass):
    """Split once where parts are split again along the same axis.

    Before: ``a, b = Split<axis=1>(x); c, d = Split<axis=1>(a)``.
    After:  ``c, d, b = Split<axis=1>(x, sizes)``.
    Needs:  the size of every part.
    Keeps:  the names of graph outputs.
    Skips:  parts that something else reads too.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Take the splits of each graph, outer before inner; a merged one is not looked at again."""
        merged = 0
        scope = Scope(model)
        for graph in graphs(model):
            if opset_of(graph, model) < _SPLIT_SIZES:
                continue
            for node in list(graph):
                if node.op_type == "Split" and node.domain == "" and node.graph is not None:
                    merged += self._merge(node, scope, ctx)
        return merged > 0

    def _merge(self, outer: ir.Node, scope: Scope, ctx: PassContext) -> int:
        home = scope.initializer_graph(outer)
        inner = _nested(outer)
        if home is None or not inner:
            return 0
        parts = _flattened(outer, inner)
        axis = _axis(outer)
        sizes = [_size(value, axis) for value in parts]
        if axis is None or any(size is None for size in sizes):
            ctx.missed(self.name(), outer, "the size of a part is unknown")
            return 0
        scope.read()
        given = np.array(sizes, np.int64)
        constant = ir.Value(
            name=scope.unique(f"{outer.outputs[0].name}.sizes"),
            type=ir.TensorType(ir.DataType.INT64),
            shape=ir.Shape([len(sizes)]),
            const_value=ir.tensor(given),
        )
        home.register_initializer(constant)
        _rebuild(outer, inner, parts, constant, axis)
        ctx.applied(self.name(), outer, f"{len(inner)} of its parts were split again")
        return len(inner)


def _axis(node: ir.Node) -> int | None:
    """The axis a Split counts from the front; None where the rank is unknown."""
    value, attribute = node.inputs[0], node.attributes.get("axis")
    if value is None or value.shape is None or (attribute is not None and attribute.is_ref()):
        return None
    axis = node.attributes.get_int("axis", 0)
    return axis + len(value.shape) if axis < 0 else axis


def _size(value: ir.Value, axis: int | None) -> int | None:
    dim = None if axis is None or value.shape is None else value.shape[axis]
    return dim if isinstance(dim, int) else None


def _nested(outer: ir.Node) -> dict[ir.Value, ir.Node]:
    """The Split that alone reads a part, by part; those of parts that are parts of parts as well."""
    axis, found = _axis(outer), {}
    stack = list(outer.outputs) if axis is not None else []
    while stack:
        value = stack.pop()
        uses = list(value.uses())
        if len(uses) != 1 or value.is_graph_output():
            continue
        node = uses[0].node
        if node.op_type != "Split" or node.domain != "" or uses[0].idx != 0 or node.graph is not outer.graph:
            continue
        if _axis(node) == axis:
            found[value] = node
            stack.extend(node.outputs)
    return found


def _flattened(outer: ir.Node, inner: dict[ir.Value, ir.Node]) -> list[ir.Value]:
    """The parts in order, each that is split again replaced by its own."""
    parts: list[ir.Value] = []
    stack = list(reversed(outer.outputs))
    while stack:
        value = stack.pop()
        node = inner.get(value)
        if node is None:
            parts.append(value)
        else:
            stack.extend(reversed(node.outputs))
    return parts


def _rebuild(
    outer: ir.Node, inner: dict[ir.Value, ir.Node], parts: list[ir.Value], sizes: ir.Value, axis: int
) -> None:
    """One Split where the outer one was; the values it yields take over names and readers."""
    graph = outer.graph
    assert graph is not None
    fresh = [ir.Value(name=value.name, type=value.type, shape=value.shape) for value in parts]
    node = ir.Node(
        "", "Split", [outer.inputs[0], sizes], [ir.AttrInt64("axis", axis)], outputs=fresh, name=outer.name
    )
    node.metadata_props.update(outer.metadata_props)
    for old, new in zip(parts, fresh, strict=True):
        new.doc_string = old.doc_string
        new.metadata_props.update(old.metadata_props)
        old.name = None
        old.replace_all_uses_with(new, replace_graph_outputs=True)
    graph.insert_before(outer, node)
    for old_node in (*reversed(_in_order(outer, inner)), outer):
        given = [value for value in old_node.inputs if value is not None]
        graph.remove(old_node, safe=True)
        for value in given:
            if value.is_initializer() and not value.uses() and not value.is_graph_output():
                assert value.graph is not None
                assert value.name is not None
                value.graph.initializers.pop(value.name)


def _in_order(outer: ir.Node, inner: dict[ir.Value, ir.Node]) -> list[ir.Node]:
    """The nested splits, each after the one whose part it splits."""
    found: list[ir.Node] = []
    stack = list(outer.outputs)
    while stack:
        node = inner.get(stack.pop())
        if node is not None:
            found.append(node)
            stack.extend(node.outputs)
    return found
