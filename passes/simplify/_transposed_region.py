"""A part of a graph that works on transposed values and could as well work on the values themselves."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import onnx_ir as ir

from graphopt.passes.simplify._permute import OPERATORS, Change, Perm, permuted

LIMIT = 512
"""Nodes of one region: a larger one is cut, so that the work stays proportional to the graph."""


def perm_of(node: ir.Node) -> Perm | None:
    """The permutation of a standard Transpose; None for any other node, or where the rank is unknown."""
    if node.op_type != "Transpose" or node.domain != "":
        return None
    perm = node.attributes.get_ints("perm")
    if perm is not None:
        return tuple(perm)
    shape = node.inputs[0].shape if node.inputs[0] is not None else None
    return None if shape is None else tuple(reversed(range(len(shape))))


@dataclass
class Region:
    """Operators reached from transpositions.

    Attributes:
        graph: where all of it is.
        sources: the transpositions it starts from, by their results.
        nodes: the operators, each with what changes about it.
    """

    graph: ir.Graph
    sources: dict[ir.Value, ir.Node] = field(default_factory=dict)
    nodes: dict[ir.Node, Change] = field(default_factory=dict)

    def grow(self, start: ir.Node) -> None:
        """Take in what reads ``start`` and, from there, whatever can do without the transposition."""
        self.sources[start.outputs[0]] = start
        queue = deque(self._readers(start.outputs[0]))
        while queue and len(self.nodes) < LIMIT:
            node = queue.popleft()
            if node in self.nodes or node.op_type not in OPERATORS or node.domain != "":
                continue
            change = self._change(node)
            if change is None:
                continue
            self.nodes[node] = change
            for value in node.inputs:
                producer = None if value is None else value.producer()
                if value is not None and producer is not None and self._is_new_source(value, node):
                    self.sources[value] = producer
                    queue.extend(self._readers(value))
            if not _is_identity(change.perm):
                for value in node.outputs:
                    queue.extend(self._readers(value))

    def _change(self, node: ir.Node) -> Change | None:
        """What changes about ``node`` when it reads values of the region, all under one permutation."""
        held = [value for value in node.inputs if value is not None and self.holds(value)]
        perm = self.perm(held[0]) if held else None
        return None if perm is None else permuted(node, perm, lambda value: self._has(value, perm))

    def _has(self, value: ir.Value, perm: Perm) -> bool:
        """Whether ``value`` is there without a transposition by ``perm``."""
        producer = value.producer()
        if producer is None or producer.graph is not self.graph:
            return False
        return self.perm(value) == perm if self.holds(value) else perm_of(producer) == perm

    def _is_new_source(self, value: ir.Value, node: ir.Node) -> bool:
        if self.holds(value):
            return False
        perms = [self.perm(other) for other in node.inputs if other is not None and self.holds(other)]
        return self._has(value, perms[0])

    def perm(self, value: ir.Value) -> Perm:
        """The permutation behind a value of the region."""
        producer = value.producer()
        assert producer is not None, "only results of nodes are in a region"
        source = perm_of(self.sources[value]) if value in self.sources else None
        return source if source is not None else self.nodes[producer].perm

    def holds(self, value: ir.Value) -> bool:
        """Whether ``value`` is one of the region's, in the order of axes after the transposition."""
        return value in self.sources or value.producer() in self.nodes

    def _readers(self, value: ir.Value) -> Iterator[ir.Node]:
        return (use.node for use in value.uses() if use.node.graph is self.graph)

    def prune(self) -> None:
        """Give back, from the end, every operator whose part in the region saves no transposition."""
        for node in reversed(_in_order(self.nodes)):
            if any(use.node in self.nodes for value in node.outputs for use in value.uses()):
                continue
            if self._added_without(node) <= sum(self.exit_cost(value) for value in node.outputs):
                del self.nodes[node]
        for value in [v for v in self.sources if not any(use.node in self.nodes for use in v.uses())]:
            del self.sources[value]

    def _added_without(self, node: ir.Node) -> int:
        """Transpositions that have to be there when ``node`` reads from outside."""
        added = 0
        for value in dict.fromkeys(node.inputs):
            if value is None or not self.holds(value):
                continue
            if value in self.sources:
                added += self.is_absorbed(value)
            elif not _is_identity(self.perm(value)):
                added += not self.is_read_outside(value)
        return added

    def is_absorbed(self, value: ir.Value) -> bool:
        """Whether the transposition that makes ``value`` goes away."""
        return not value.is_graph_output() and all(use.node in self.nodes for use in value.uses())

    def is_read_outside(self, value: ir.Value) -> bool:
        """Whether something other than a transposition reads ``value`` outside the region."""
        return value.is_graph_output() or any(self._is_plain(use.node) for use in value.uses())

    def _is_plain(self, node: ir.Node) -> bool:
        return node not in self.nodes and (node.graph is not self.graph or perm_of(node) is None)

    def exit_cost(self, value: ir.Value) -> int:
        """Transpositions behind ``value``: one for all plain readers, less those that cancel with it."""
        own = self.perm(value)
        perms = (perm_of(use.node) for use in value.uses() if use.node.graph is self.graph)
        cancelled = sum(perm is not None and _is_identity(combined(own, perm)) for perm in perms)
        return (self.is_read_outside(value) and not _is_identity(own)) - cancelled

    def gain(self) -> int:
        """How many transpositions fewer there are without it."""
        exits = sum(self.exit_cost(value) for node in self.nodes for value in node.outputs)
        return sum(self.is_absorbed(value) for value in self.sources) - exits


def combined(first: Perm, second: Perm) -> Perm:
    """Two transpositions, one behind the other, as one."""
    return tuple(first[axis] for axis in second)


def _is_identity(perm: Perm) -> bool:
    return perm == tuple(range(len(perm)))


def _in_order(nodes: dict[ir.Node, Change]) -> list[ir.Node]:
    """The nodes, each after those of them it reads."""
    waiting = {
        node: {p for value in node.inputs if value is not None and (p := value.producer()) in nodes}
        for node in nodes
    }
    ready = [node for node, before in waiting.items() if not before]
    for node in ready:
        for value in node.outputs:
            for use in value.uses():
                before = waiting.get(use.node, set())
                if node in before:
                    before.discard(node)
                    if not before:
                        ready.append(use.node)
    return ready
