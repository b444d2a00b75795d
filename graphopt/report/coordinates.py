"""Horizontal coordinates of a layered layout: chains straight, everything else near its neighbours.

Nodes are first aligned into vertical blocks by median neighbours without crossings (Brandes, Köpf, 2001).
Then ranks are placed in turn by isotonic regression, the least-squares optimum for a given order and
distance, in which members of a block weigh as much as the block is long: side branches make way for
the backbone, and the backbone does not drift.
"""

from __future__ import annotations

from collections.abc import Sequence

_SWEEPS = 12
_STRAIGHT = 1e4

Lists = Sequence[Sequence[int]]


def coordinates(layers: Lists, up: Lists, down: Lists, width: Sequence[float], gap: float) -> list[float]:
    """Centre of each vertex.

    Args:
        layers: vertices of each rank from left to right.
        up: neighbours one rank above each vertex.
        down: neighbours one rank below.
        width: of each vertex.
        gap: least distance between the borders of two vertices of a rank.
    """
    x = [0.0] * len(width)
    for layer in layers:
        _spread(layer, [0.0] * len(layer), [1.0] * len(layer), x, width, gap)
    block = _align(layers, up)
    members: dict[int, list[int]] = {}
    for vertex, root in enumerate(block):
        members.setdefault(root, []).append(vertex)
    for sweep in range(_SWEEPS):
        centre = {root: sum(x[v] for v in group) / len(group) for root, group in members.items()}
        last = sweep == _SWEEPS - 1
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            wish, weight = [], []
            for v in layer:
                length = len(members[block[v]])
                near = [n for n in (*up[v], *down[v]) if block[n] != block[v]]
                target = sum(x[n] for n in near) / len(near) if near else centre[block[v]]
                # Longer than three, a block follows itself; its neighbours follow it.
                share = 1.0 if length > 3 or not near else (length - 1) / length
                wish.append(share * centre[block[v]] + (1 - share) * target)
                weight.append(float(length) * (_STRAIGHT if last and length > 3 else 1.0))
            _spread(layer, wish, weight, x, width, gap)
        if not last:
            _settle(members, block, up, down, x)
    return x


def _settle(members: dict[int, list[int]], block: list[int], up: Lists, down: Lists, x: list[float]) -> None:
    """Move each long block half way to its neighbours, so that consecutive blocks line up."""
    for root, group in members.items():
        if len(group) <= 3:
            continue
        near = [n for v in (group[0], group[-1]) for n in (*up[v], *down[v]) if block[n] != root]
        centre = sum(x[v] for v in group) / len(group)
        pull = sum(x[n] for n in near) / len(near) - centre if near else 0.0
        for vertex in group:
            x[vertex] = centre + pull / 2


def _align(layers: Lists, up: Lists) -> list[int]:
    """Root of the block of each vertex: each takes its median upper neighbour, if free and not crossed."""
    position = {v: i for layer in layers for i, v in enumerate(layer)}
    block = list(range(len(up)))
    taken = [False] * len(up)
    for layer in layers:
        rightmost = -1
        for vertex in layer:
            near = sorted(up[vertex], key=position.__getitem__)
            middle = (len(near) - 1) // 2, len(near) // 2
            for candidate in (near[i] for i in dict.fromkeys(middle)) if near else ():
                if not taken[candidate] and position[candidate] > rightmost:
                    block[vertex] = block[candidate]
                    taken[candidate] = True
                    rightmost = position[candidate]
                    break
    return block


def _spread(
    layer: Sequence[int],
    wish: Sequence[float],
    weight: Sequence[float],
    x: list[float],
    width: Sequence[float],
    gap: float,
) -> None:
    """Isotonic regression (pool adjacent violators) of the wishes after the distances are taken off."""
    offsets: list[float] = []
    at = 0.0
    for index, vertex in enumerate(layer):
        if index:
            at += (width[layer[index - 1]] + width[vertex]) / 2 + gap
        offsets.append(at)
    pools: list[tuple[float, float, int]] = []
    for want, mass, offset in zip(wish, weight, offsets, strict=True):
        total, count = (want - offset) * mass, 1
        while pools and pools[-1][0] / pools[-1][1] > total / mass:
            above = pools.pop()
            total, mass, count = total + above[0], mass + above[1], count + above[2]
        pools.append((total, mass, count))
    index = 0
    for total, mass, count in pools:
        for _ in range(count):
            x[layer[index]] = total / mass + offsets[index]
            index += 1
