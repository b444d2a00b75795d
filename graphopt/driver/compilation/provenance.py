"""Which node of a placed model a node of its legalised region came from."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from graphopt.ir.walk import inner_nodes
from graphopt.rewrite.splice import SOURCES_KEY


def mark(piece: ir.Model, nodes: Sequence[ir.Node]) -> None:
    """Write into each node of a freshly cut region which node of the placed model it is a copy of.

    Rewrites hand the mark on to what they put in a node's place, as they do with the names of the
    person's own nodes, which stand there otherwise.

    Args:
        piece: the region as a model; its nodes are changed.
        nodes: of the placed model, those the region consists of.
    """
    position = {name: index for index, node in enumerate(nodes) for name in _outputs(node)}
    for node in piece.graph:
        index = next((position[name] for name in _outputs(node) if name in position), None)
        if index is not None:
            node.metadata_props[SOURCES_KEY] = str(index)


class Origins:
    """Where the nodes of one legalised region come from.

    Args:
        piece: the legalised region, marked before.
        nodes: of the placed model, those the region consists of.
    """

    def __init__(self, piece: ir.Model, nodes: Sequence[ir.Node]) -> None:
        self._nodes = nodes
        self._by_output = {name: node for node in nodes for name in _outputs(node)}
        self._legalised: dict[str, ir.Node] = {}
        for node in piece.graph:
            for part in (node, *inner_nodes(node)):
                if part.name:
                    self._legalised.setdefault(part.name, node)

    def of(self, name: str) -> list[ir.Node]:
        """The placed nodes that the legalised node of that name stands for; none when nothing tells."""
        node = self._legalised.get(name)
        if node is None:
            return [placed for placed in self._nodes if placed.name == name]
        marks = node.metadata_props.get(SOURCES_KEY, "").split("\n")
        found = [self._nodes[int(mark)] for mark in marks if mark.isdigit() and int(mark) < len(self._nodes)]
        return found or self._nearest_below(node)

    def _nearest_below(self, node: ir.Node) -> list[ir.Node]:
        """The placed nodes whose results the unmarked ``node`` helps to compute: values keep their names."""
        seen, frontier = {node}, [node]
        while frontier:
            outputs = [value for inner in frontier for value in inner.outputs]
            known = dict.fromkeys(self._by_output[v.name] for v in outputs if v.name in self._by_output)
            if known:
                return list(known)
            users = dict.fromkeys(user for value in outputs for user in value.consumers())
            frontier = [user for user in users if user not in seen]
            seen.update(frontier)
        return []


def source_names(node: ir.Node) -> tuple[str, ...]:
    """The person's own nodes that a node of a placed model stands for: itself when it is one of them."""
    known = node.metadata_props.get(SOURCES_KEY, "")
    return tuple(known.split("\n")) if known else (node.name or node.op_type,)


def _outputs(node: ir.Node) -> list[str]:
    return [value.name for value in node.outputs if value.name]
