"""Folding of a large graph view into blocks, so that a page stays small and a person sees structure.

Blocks are intervals of a topological order that follows chains depth-first, so the folded graph has no
cycle and a block is mostly one connected stretch of the model.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

Json = dict[str, Any]

MAX_DRAWN = 3000
"""A view with more nodes than this is folded."""

_LISTED = 40


def fold(view: Json, limit: int = MAX_DRAWN) -> Json:
    """The view itself when it is small enough, else one of at most ``limit`` blocks.

    A block has ``op`` (its most frequent operators), ``name`` (first to last node), ``flops`` (their
    sum), ``count`` and ``ops`` (operator → count); a single node stays what it was.
    """
    nodes, edges = view["nodes"], view["edges"]
    if len(nodes) <= limit:
        return view
    order = _chains(len(nodes), [(a, b) for a, b, _ in edges])
    size = -(-len(nodes) // limit)
    block_of = {vertex: position // size for position, vertex in enumerate(order)}
    groups: list[list[int]] = [order[i : i + size] for i in range(0, len(order), size)]
    folded = [_block([nodes[v] for v in group]) for group in groups]
    crossing = dict.fromkeys((block_of[a], block_of[b], 0) for a, b, _ in edges if block_of[a] != block_of[b])
    return {
        "nodes": folded,
        "edges": [list(edge) for edge in crossing],
        "functions": view.get("functions", {}),
        "omitted": view.get("omitted", 0),
        "folded": len(nodes),
    }


def _block(members: list[Json]) -> Json:
    if len(members) == 1:
        return members[0]
    counts = Counter(str(node["op"]) for node in members)
    top = counts.most_common(2)
    label = " + ".join(op if count == 1 else f"{count} {op}" for op, count in top)
    return {
        "name": f"{members[0]['name']} … {members[-1]['name']}",
        "op": label + (" …" if len(counts) > 2 else ""),
        "outs": members[-1].get("outs", [])[:1],
        "flops": sum(node.get("flops") or 0 for node in members),
        "count": len(members),
        "ops": dict(counts.most_common(_LISTED)),
    }


def _chains(count: int, edges: list[tuple[int, int]]) -> list[int]:
    """A topological order in which a node follows its last operand directly where it can."""
    below: list[list[int]] = [[] for _ in range(count)]
    waiting = [0] * count
    for a, b in edges:
        below[a].append(b)
        waiting[b] += 1
    stack = [v for v in reversed(range(count)) if waiting[v] == 0]
    order: list[int] = []
    while stack:
        vertex = stack.pop()
        order.append(vertex)
        for consumer in reversed(below[vertex]):
            waiting[consumer] -= 1
            if waiting[consumer] == 0:
                stack.append(consumer)
    if len(order) < count:
        done = set(order)
        order.extend(v for v in range(count) if v not in done)
    return order
