"""Ranks of a layered layout: every edge points to a higher rank, sources stand close to their readers."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence


def ranks(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """The rank of each node, 0 at the top; linear.

    Args:
        count: number of nodes.
        edges: (producer, consumer). Edges that close a cycle may end on the same or a lower rank.
    """
    below: list[list[int]] = [[] for _ in range(count)]
    above: list[list[int]] = [[] for _ in range(count)]
    for a, b in edges:
        if a != b:
            below[a].append(b)
            above[b].append(a)
    order = _topological(above, below)
    rank = [0] * count
    for vertex in order:
        for consumer in below[vertex]:
            rank[consumer] = max(rank[consumer], rank[vertex] + 1)
    for vertex in reversed(order):
        # With fewer operands than readers, moving down shortens more than it lengthens.
        if below[vertex] and len(above[vertex]) < len(below[vertex]) + (not above[vertex]):
            rank[vertex] = max(rank[vertex], min(rank[c] for c in below[vertex]) - 1)
    lowest = min(rank, default=0)
    return [value - lowest for value in rank]


def _topological(above: list[list[int]], below: list[list[int]]) -> list[int]:
    """Kahn's algorithm; nodes on or behind a cycle follow in index order."""
    waiting = [len(sources) for sources in above]
    ready = deque(v for v, count in enumerate(waiting) if count == 0)
    order: list[int] = []
    while ready:
        vertex = ready.popleft()
        order.append(vertex)
        for consumer in below[vertex]:
            waiting[consumer] -= 1
            if waiting[consumer] == 0:
                ready.append(consumer)
    if len(order) < len(above):
        done = set(order)
        order.extend(v for v in range(len(above)) if v not in done)
    return order
