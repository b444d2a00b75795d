"""Topological order of a model's graphs: is it sorted, sort it, name a cycle."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from graphopt.errors import ModelError
from graphopt.ir.operators import describe
from graphopt.ir.walk import bodies, subgraphs


def is_sorted(graph: ir.Graph | ir.Function) -> bool:
    """Whether every node stands after the producers of its inputs, captures of its subgraphs included."""
    return _all_ready(graph, set())


def sort_model(model: ir.Model) -> bool:
    """Sort every graph and function that is out of order, keeping the given order where it can.

    Returns:
        Whether anything moved.

    Raises:
        ModelError: a cycle; the message names its nodes.
    """
    moved = False
    for graph in bodies(model):
        if is_sorted(graph):
            continue
        try:
            graph.sort()
        except ValueError:
            cycle = find_cycle(graph)
            path = " -> ".join(describe(node) for node in cycle[:4])
            path += f" -> … ({len(cycle)} nodes)" if len(cycle) > 4 else ""
            raise ModelError(
                f"the graph has a cycle: {path}", "ONNX graphs are acyclic; use Loop or Scan"
            ) from None
        moved = True
    return moved


def find_cycle(graph: ir.Graph | ir.Function) -> list[ir.Node]:
    """The nodes of one cycle in the order data flows, or an empty list when there is none."""
    waiting = {node: {p for p in _producers(node) if p.graph is node.graph} for node in graph}
    readers: dict[ir.Node, list[ir.Node]] = {}
    for node, producers in waiting.items():
        for producer in producers:
            readers.setdefault(producer, []).append(node)
    ready = [node for node, producers in waiting.items() if not producers]
    while ready:
        done = ready.pop()
        del waiting[done]
        for reader in readers.get(done, ()):
            waiting[reader].discard(done)
            if not waiting[reader]:
                ready.append(reader)
    if not waiting:
        return []
    # Every node left waits for another one left: walking backwards must come round.
    path: dict[ir.Node, None] = {}
    node = next(iter(waiting))
    while node not in path:
        path[node] = None
        node = next(p for p in waiting[node])
    nodes = list(path)
    return nodes[nodes.index(node) :][::-1]


def _all_ready(graph: ir.Graph | ir.Function, done: set[ir.Node]) -> bool:
    for node in graph:
        for value in node.inputs:
            producer = None if value is None else value.producer()
            if producer is not None and producer not in done:
                return False
        if not all(_all_ready(subgraph, done) for subgraph in subgraphs(node)):
            return False
        done.add(node)
    return True


def _producers(node: ir.Node) -> Iterator[ir.Node]:
    """The producers of what a node and the subgraphs inside it read; those inside it included."""
    for value in node.inputs:
        producer = None if value is None else value.producer()
        if producer is not None:
            yield producer
    for subgraph in subgraphs(node):
        for inner in subgraph:
            yield from _producers(inner)
