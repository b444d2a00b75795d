"""MergeEqualElements: one value where several hold the same sizes."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Hashable
from dataclasses import dataclass

import onnx_ir as ir

from graphopt.ir.elements import Elements
from graphopt.ir.walk import subgraphs
from graphopt.passes.fold._replace import remove_if_dead
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass

_Table = ChainMap[Hashable, ir.Value]


@dataclass(frozen=True)
class MergeEqualElements(Pass):
    """Merge small integer and boolean values that are equal element by element, whatever computes them.

    Before: ``a = Shape(x); b = Shape(Relu(x))``, both ``[N, 384]``; ``c = Where(false, d, a)``.
    After:  ``a`` in place of ``b`` and ``c``.
    Needs:  inferred shapes; graphs in topological order.
    Keeps:  graph outputs; the first of equal values, so that nothing waits longer than before.
    Skips:  values of more than 64 elements; what only a subgraph computes is not seen outside it.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Walk once in order, inner graphs with what the outer ones computed before them."""
        elements = Elements(model)
        seen: _Table = ChainMap()
        for value in model.graph.inputs:
            key = _key(value, elements)
            if key is not None:
                seen.setdefault(key, value)
        return self._merge(model.graph, seen, elements, ctx) > 0

    def _merge(self, graph: ir.Graph, outer: _Table, elements: Elements, ctx: PassContext) -> int:
        here = outer.new_child()
        merged = 0
        for node in list(graph):
            found = sum(self._value(node, value, here, elements, ctx) for value in node.outputs)
            for inner in subgraphs(node):
                found += self._merge(inner, here, elements, ctx)
            if found:
                remove_if_dead(node)
            merged += found
        return merged

    def _value(
        self, node: ir.Node, value: ir.Value, here: _Table, elements: Elements, ctx: PassContext
    ) -> bool:
        key = _key(value, elements)
        if key is None or not value.uses():
            return False
        first = here.get(key)
        if first is None:
            first = here[key] = value
        if first is value or value.is_graph_output():
            return False
        value.replace_all_uses_with(first)
        ctx.applied(self.name(), node, f"always the same as {first.name}")
        return True


def _key(value: ir.Value, elements: Elements) -> Hashable | None:
    found = elements.of(value)
    if found is None or value.const_value is not None:
        return None
    return (value.dtype, found.shape, tuple(found.flat))
