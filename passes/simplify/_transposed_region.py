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
    """Operators reached from transpositions with one permutation.

    Attributes:
        graph: where all of it is.
        perm: the permutation.
        sources: the transpositions it starts from, by their results.
        nodes: the operators, each with what changes about it.
    """

    graph: ir.Graph
    perm: Perm
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
            change = permuted(node, self.perm, self._is_reachable)
            if change is None:
                continue
            self.nodes[node] = change
            for value in node.inputs:
                if value is not None and not self.holds(value) and self._is_reachable(value):
                    producer = value.producer()
                    assert producer is not None, "only a transposition makes a new value reachable"
                    self.sources[value] = producer
                    queue.extend(self._readers(value))
            for value in node.outputs:
                queue.extend(self._readers(value))

    def holds(self, value: ir.Value) -> bool:
        """Whether ``value`` is one of the region's, in the order of axes after the transposition."""
        return value in self.sources or value.producer() in self.nodes

    def _is_reachable(self, value: ir.Value) -> bool:
        producer = value.producer()
        if producer is None or producer.graph is not self.graph:
            return False
        return self.holds(value) or perm_of(producer) == self.perm

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
            added += self.is_absorbed(value) if value in self.sources else not self.is_read_outside(value)
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
        perms = (perm_of(use.node) for use in value.uses() if use.node.graph is self.graph)
        cancelled = sum(perm is not None and self.combined(perm) == tuple(range(len(perm))) for perm in perms)
        return self.is_read_outside(value) - cancelled

    def combined(self, perm: Perm) -> Perm:
        """The region's transposition and one with ``perm`` behind it, as one."""
        return tuple(self.perm[axis] for axis in perm)

    def gain(self) -> int:
        """How many transpositions fewer there are without it."""
        exits = sum(self.exit_cost(value) for node in self.nodes for value in node.outputs)
        return sum(self.is_absorbed(value) for value in self.sources) - exits


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
