"""Where things are in a graph: the order of its nodes, and which node holds which subgraph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import onnx_ir as ir

from graphopt.ir import walk

Position = tuple[int, ...]


class Scope:
    """The order of the nodes of every graph of a model, kept up to date through rewrites.

    A new node takes the position of the one it replaces, so no renumbering is ever needed;
    positions of one graph compare in the order of its nodes.
    """

    def __init__(self, model: ir.Model) -> None:
        self.model = model
        self.names: set[str] = set()
        self._positions: dict[ir.Node, Position] = {}
        self._owner: dict[ir.Graph, ir.Node] = {}
        self._is_read = False

    @cached_property
    def _containers(self) -> dict[ir.Graph, ir.Graph | ir.Function]:
        roots: list[ir.Graph | ir.Function] = [self.model.graph, *self.model.functions.values()]
        found: dict[ir.Graph, ir.Graph | ir.Function] = {}
        for root in roots:
            found[_graph(root)] = root
            found.update(dict.fromkeys(root.subgraphs(), root))
        return found

    def read(self) -> None:
        """Take in names and positions, once: a pass that rewrites nothing never needs them."""
        if self._is_read:
            return
        self._is_read = True
        for graph in walk.graphs(self.model):
            self._add_graph(graph)

    def _add_graph(self, graph: ir.Graph | ir.Function) -> None:
        self.names.update(value.name for value in graph.inputs if value.name)
        if isinstance(graph, ir.Graph):
            self.names.update(graph.initializers)
        for index, node in enumerate(graph):
            self._positions[node] = (index,)
            self._add_names(node)
            self._own_subgraphs(node)

    def _own_subgraphs(self, node: ir.Node) -> None:
        self._owner.update(dict.fromkeys(walk.subgraphs(node), node))

    def _add_names(self, node: ir.Node) -> None:
        if node.name:
            self.names.add(node.name)
        self.names.update(value.name for value in node.outputs if value.name)

    def container(self, node: ir.Node) -> ir.Graph | ir.Function:
        """The main graph or the function that ``node`` is part of, however deep in subgraphs."""
        graph = _of(node)
        return graph if graph is self.model.graph else self._containers[graph]

    def initializer_graph(self, node: ir.Node) -> ir.Graph | None:
        """Where a constant for ``node`` lives: the main graph, or None inside a function."""
        container = self.container(node)
        return None if isinstance(container, ir.Function) else container

    def holds(self, node: ir.Node, graph: ir.Graph) -> bool:
        """Whether ``graph`` is a subgraph of ``node`` now; a rewrite may have handed it on."""
        return self._owner.get(graph) is node

    def unique(self, wanted: str) -> str:
        """``wanted``, or with a number behind it when some value or node is already called that."""
        name, number = wanted, 1
        while name in self.names:
            name = f"{wanted}_{number}"
            number += 1
        self.names.add(name)
        return name

    def position(self, node: ir.Node) -> Position:
        """Where ``node`` stands among the nodes of its graph."""
        return self._positions[node]

    def last(self, nodes: Iterable[ir.Node]) -> ir.Node:
        """The node that comes last; all must be in one graph."""
        return max(nodes, key=self._positions.__getitem__)

    def replace(self, old: ir.Node, new: Sequence[ir.Node]) -> None:
        """Let ``new`` nodes stand, in this order, where ``old`` stood."""
        position = self._positions[old]
        for index, node in enumerate(new):
            self._positions[node] = position if index == 0 else (*position, index)
            self._own_subgraphs(node)

    def forget(self, node: ir.Node) -> None:
        """``node`` is no longer in the model."""
        self._positions.pop(node, None)

    def enclosing(self, node: ir.Node, graph: ir.Graph | None) -> ir.Node | None:
        """``node``, or the node of ``graph`` that holds it in a subgraph; None when it is elsewhere."""
        current: ir.Node | None = node
        while current is not None and current.graph is not graph:
            current = None if current.graph is None else self._owner.get(current.graph)
        return current

    def between(self, nodes: Sequence[ir.Node]) -> tuple[set[ir.Node], bool]:
        """The other nodes of the graph that read a result of ``nodes`` and stand before the last of them.

        Returns:
            Those nodes, transitively, and whether one of them is read by ``nodes`` again: replacing
            ``nodes`` by one place would then make a cycle.
        """
        inside = set(nodes)
        end = self.position(self.last(nodes))
        found: set[ir.Node] = set()
        stack = list(nodes)
        while stack:
            for value in stack.pop().outputs:
                for use in value.uses():
                    user = self.enclosing(use.node, nodes[0].graph)
                    if user is None or user in found or user in inside or self.position(user) > end:
                        continue
                    found.add(user)
                    stack.append(user)
        loops = any(use.node in inside for node in found for value in node.outputs for use in value.uses())
        return found, loops


def _graph(container: ir.Graph | ir.Function) -> ir.Graph:
    return container.graph if isinstance(container, ir.Function) else container


def _of(node: ir.Node) -> ir.Graph:
    assert node.graph is not None, "a node outside any graph has no place in it"
    return node.graph
