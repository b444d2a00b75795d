"""Gather labelled nodes of a graph into few regions whose quotient graph has no cycle."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import onnx_ir as ir

from graphopt.errors import ModelError
from graphopt.placement.dependencies import predecessors

if TYPE_CHECKING:
    import networkx as nx

Part = list[int]


def merge_regions(nodes: Sequence[ir.Node], labels: Sequence[Hashable]) -> list[Part]:
    """Partition nodes so that each part has one label and parts can run one after the other.

    Parts are maximal: no two of one label could be merged without making a cycle.

    Args:
        nodes: of one graph.
        labels: one per node; here the name of its backend.

    Returns:
        Positions of nodes, both parts and the nodes in them in running order.

    Raises:
        ModelError: the nodes themselves form a cycle.
    """
    before = predecessors(nodes)
    parts = _sweep(before, labels)
    if len(parts) > 1:
        parts = _order_parts(_merge_maximally(parts, before, labels), before)
    position = _running_order(before)
    return [sorted(part, key=position.__getitem__) for part in parts]


def quotient(parts: Sequence[Part], before: Sequence[set[int]]) -> nx.DiGraph[int]:
    """One vertex per part, an edge where a node of one part reads a node of another."""
    # Imported where it is needed: a model on one backend, the usual case, spares its 15 MB.
    import networkx as nx

    part_of = {node: index for index, part in enumerate(parts) for node in part}
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(len(parts)))
    for node, sources in enumerate(before):
        graph.add_edges_from(
            (part_of[source], part_of[node]) for source in sources if part_of[source] != part_of[node]
        )
    return graph


def _sweep(before: Sequence[set[int]], labels: Sequence[Hashable]) -> list[Part]:
    """Run whatever is ready of one label until nothing is, then go on with the label most nodes wait for.

    Each stretch of one label is a part; parts run in this order, so there is no cycle. Linear.
    """
    waiting = [len(sources) for sources in before]
    after: list[Part] = [[] for _ in before]
    for node, sources in enumerate(before):
        for source in sources:
            after[source].append(node)
    ready: dict[Hashable, Part] = {}
    for node, count in enumerate(waiting):
        if count == 0:
            ready.setdefault(labels[node], []).append(node)
    parts: list[Part] = []
    while any(ready.values()):
        label = max(ready, key=lambda name: len(ready[name]))
        part: Part = []
        while ready[label]:
            node = ready[label].pop()
            part.append(node)
            for user in after[node]:
                waiting[user] -= 1
                if waiting[user] == 0:
                    ready.setdefault(labels[user], []).append(user)
        parts.append(part)
    if sum(map(len, parts)) < len(before):
        raise ModelError("the graph has a cycle: some nodes wait for one another")
    return parts


def _merge_maximally(parts: list[Part], before: Sequence[set[int]], labels: Sequence[Hashable]) -> list[Part]:
    """Merge parts of one label until every further merge would close a cycle.

    Merging i and j closes a cycle exactly when a path between them leads through a third part. Parts
    reachable from each part are kept as bit sets, so that a candidate is judged in a few operations.
    """
    merged = True
    while merged:
        graph = quotient(parts, before)
        below = _reachable(graph)
        above = _reachable(graph.reverse(copy=False))
        merged = False
        for j in range(len(parts)):
            i = _partner(j, parts, labels, below, above)
            if i is not None:
                parts = [part for k, part in enumerate(parts) if k not in (i, j)] + [parts[i] + parts[j]]
                merged = True
                break
    return parts


def _partner(
    j: int, parts: Sequence[Part], labels: Sequence[Hashable], below: Sequence[int], above: Sequence[int]
) -> int | None:
    """The first part before ``j`` in the list that can be merged with it, or None."""
    for i in range(j):
        if labels[parts[i][0]] != labels[parts[j][0]]:
            continue
        if not (below[i] & above[j]) and not (below[j] & above[i]):
            return i
    return None


def _reachable(graph: nx.DiGraph[int]) -> list[int]:
    """For each vertex the others that can be reached from it, as bits."""
    import networkx as nx

    reach = [0] * len(graph)
    for vertex in reversed(list(nx.topological_sort(graph))):
        for successor in graph.successors(vertex):
            reach[vertex] |= reach[successor] | (1 << successor)
    return reach


def _order_parts(parts: list[Part], before: Sequence[set[int]]) -> list[Part]:
    """Parts in running order, ties in the order of the graph."""
    import networkx as nx

    order = nx.lexicographical_topological_sort(quotient(parts, before), key=lambda part: min(parts[part]))
    return [parts[index] for index in order]


def _running_order(before: Sequence[set[int]]) -> list[int]:
    """Position of each node in a topological order: the graph's own when that is one."""
    if all(source < node for node, sources in enumerate(before) for source in sources):
        return list(range(len(before)))
    import networkx as nx

    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(len(before)))
    graph.add_edges_from((source, node) for node, sources in enumerate(before) for source in sources)
    position = [0] * len(before)
    for place, node in enumerate(nx.lexicographical_topological_sort(graph)):
        position[node] = place
    return position
