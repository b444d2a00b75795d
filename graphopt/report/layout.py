"""Layered layout of a graph (Sugiyama, Tagawa, Toda, 1981): ranks, order within ranks, coordinates.

Near-linear in nodes and edges: longest-path ranks, a bounded number of barycentre sweeps over shared
chains of dummy nodes, coordinates that keep chains straight. Edges longer than the dummies' budget run in
lanes beside the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from graphopt.report.coordinates import coordinates
from graphopt.report.ranks import ranks

ROW = 64.0
"""Vertical distance of two ranks in pixels."""

GAP = 22.0
"""Least horizontal distance of two nodes in pixels."""

_LANE = 14.0
_DUMMY = 8.0
_ORDER_SWEEPS = 8
_LANES = 48
_LONGEST_SPAN = 32

Point = tuple[float, float]


@dataclass(frozen=True)
class Layout:
    """Where everything is, in pixels, y growing downwards.

    Attributes:
        centres: (x, y) of each node.
        routes: bends of each edge between its ends, top to bottom; None for an edge that is better
            drawn only when one of its ends is selected.
        width: of the whole drawing.
        height: of the whole drawing.
    """

    centres: tuple[Point, ...]
    routes: tuple[tuple[Point, ...] | None, ...]
    width: float
    height: float


@dataclass
class _Graph:
    """Nodes and dummies by rank, with the edges between neighbouring ranks."""

    rank: list[int]
    width: list[float]
    up: list[list[int]] = field(default_factory=list)
    down: list[list[int]] = field(default_factory=list)

    def add(self, rank: int, width: float) -> int:
        self.rank.append(rank)
        self.width.append(width)
        self.up.append([])
        self.down.append([])
        return len(self.rank) - 1

    def link(self, above: int, below: int) -> None:
        self.down[above].append(below)
        self.up[below].append(above)


def layered(widths: Sequence[float], edges: Sequence[tuple[int, int]]) -> Layout:
    """Lay out nodes 0…n-1.

    Args:
        widths: of each node in pixels.
        edges: (producer, consumer); edges that would close a cycle are tolerated and drawn upwards.
    """
    if not widths:
        return Layout((), (), 0.0, 0.0)
    rank = ranks(len(widths), edges)
    graph = _Graph(list(rank), list(widths), [[] for _ in widths], [[] for _ in widths])
    chains = _dummies(graph, edges)
    layers = _layers(graph)
    _sort(graph, layers)
    x = coordinates(layers, graph.up, graph.down, graph.width, GAP)
    left = min(x[v] - graph.width[v] / 2 for v in range(len(x)))
    x = [value - left for value in x]
    routes, right = _routes(graph, edges, chains, x, layers)
    centres = tuple((x[v], rank[v] * ROW) for v in range(len(widths)))
    return Layout(centres, routes, right, (max(rank) + 1) * ROW)


def _dummies(graph: _Graph, edges: Sequence[tuple[int, int]]) -> dict[int, list[int]]:
    """Chains of dummies under producers with consumers further down: producer → dummy per rank below.

    One chain serves every consumer of a producer. The longest span shrinks until the dummies are
    few beside the nodes.
    """
    n = len(graph.rank)
    span = _LONGEST_SPAN
    while True:
        deepest: dict[int, int] = {}
        for a, b in edges:
            length = graph.rank[b] - graph.rank[a]
            if 1 < length <= span:
                deepest[a] = max(deepest.get(a, 0), length)
        if span <= 2 or sum(deepest.values()) <= 6 * n + 500:
            break
        span //= 2
    chains: dict[int, list[int]] = {}
    for a, length in deepest.items():
        chains[a] = [graph.add(graph.rank[a] + i, _DUMMY) for i in range(1, length)]
        for above, below in zip([a, *chains[a]], chains[a], strict=False):
            graph.link(above, below)
    for a, b in edges:
        length = graph.rank[b] - graph.rank[a]
        if length == 1:
            graph.link(a, b)
        elif 1 < length <= span:
            graph.link(chains[a][length - 2], b)
    return {a: chain for a, chain in chains.items() if len(chain) < span}


def _layers(graph: _Graph) -> list[list[int]]:
    layers: list[list[int]] = [[] for _ in range(max(graph.rank) + 1)]
    for vertex in range(len(graph.rank)):
        layers[graph.rank[vertex]].append(vertex)
    return layers


def _sort(graph: _Graph, layers: list[list[int]]) -> None:
    """Reduce crossings: each rank sorted by the mean position of its neighbours, down and up in turn."""
    position = [0.0] * len(graph.rank)
    for layer in layers:
        for index, vertex in enumerate(layer):
            position[vertex] = index
    for sweep in range(_ORDER_SWEEPS):
        downwards = sweep % 2 == 0
        neighbours = graph.up if downwards else graph.down
        for layer in layers if downwards else reversed(layers):
            keys = {v: _mean(neighbours[v], position, position[v]) for v in layer}
            layer.sort(key=keys.__getitem__)
            for index, vertex in enumerate(layer):
                position[vertex] = index


def _mean(vertices: list[int], value: list[float], default: float) -> float:
    return sum(value[v] for v in vertices) / len(vertices) if vertices else default


def _routes(
    graph: _Graph,
    edges: Sequence[tuple[int, int]],
    chains: dict[int, list[int]],
    x: list[float],
    layers: list[list[int]],
) -> tuple[tuple[tuple[Point, ...] | None, ...], float]:
    """Bends per edge, and how far right the drawing reaches."""
    right = [max((x[v] + graph.width[v] / 2 for v in layer), default=0.0) for layer in layers]
    routes: list[tuple[Point, ...] | None] = []
    free: list[int] = []
    lanes: dict[int, tuple[int, int, list[int]]] = {}
    for index, (a, b) in enumerate(edges):
        length = graph.rank[b] - graph.rank[a]
        bends: tuple[Point, ...] | None = ()
        if length > 1:
            chain = chains.get(a, ())
            if length - 1 <= len(chain):
                bends = tuple((x[v], graph.rank[v] * ROW) for v in chain[: length - 1])
            else:
                bends = None
                top, bottom, users = lanes.get(a, (graph.rank[a], graph.rank[b], []))
                users.append(index)
                lanes[a] = (top, max(bottom, graph.rank[b]), users)
        routes.append(bends)
    drawn = widest = max(right)
    for top, bottom, users in sorted(lanes.values(), key=lambda lane: lane[0]):
        lane = next((i for i, until in enumerate(free) if until < top), len(free))
        if lane >= _LANES:
            continue
        free[lane : lane + 1] = [bottom]
        at = drawn + _LANE * (lane + 2)
        widest = max(widest, at)
        for index in users:
            routes[index] = ((at, (top + 0.7) * ROW), (at, (graph.rank[edges[index][1]] - 0.7) * ROW))
    return tuple(routes), widest
