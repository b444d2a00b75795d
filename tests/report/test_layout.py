"""Layouts: nothing overlaps, edges run downwards, large graphs take linear work."""

from __future__ import annotations

import itertools
import math

from hypothesis import given
from hypothesis import strategies as st

from graphopt.report.blocks import fold
from graphopt.report.layout import GAP, ROW, Layout, layered
from graphopt.report.ranks import ranks
from tests.analyses.graphs import unhurried

Edges = list[tuple[int, int]]


@st.composite
def dags(draw: st.DrawFn) -> tuple[int, Edges]:
    count = draw(st.integers(1, 40))
    pairs = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(lambda e: e[0] < e[1])
    return count, draw(st.lists(pairs, max_size=80)) if count > 1 else []


def check(layout: Layout, widths: list[float]) -> None:
    rows: dict[float, list[tuple[float, float]]] = {}
    for (x, y), width in zip(layout.centres, widths, strict=True):
        assert math.isfinite(x)
        assert 0 <= y <= layout.height
        rows.setdefault(y, []).append((x - width / 2, x + width / 2))
    for row in rows.values():
        row.sort()
        for (_, right), (left, _) in itertools.pairwise(row):
            assert left - right > GAP - 1e-6


@unhurried
@given(dags(), st.randoms(use_true_random=False))
def test_nothing_overlaps_and_edges_run_down(dag: tuple[int, Edges], random: object) -> None:
    count, edges = dag
    widths = [random.uniform(60, 260) for _ in range(count)]  # type: ignore[attr-defined]
    layout = layered(widths, edges)
    check(layout, widths)
    for (a, b), route in zip(edges, layout.routes, strict=True):
        assert layout.centres[a][1] < layout.centres[b][1]
        ys = [y for _, y in route or ()]
        assert ys == sorted(ys)


@unhurried
@given(st.integers(2, 20), st.data())
def test_cycles_are_tolerated(count: int, data: st.DataObject) -> None:
    vertex = st.integers(0, count - 1)
    edges = data.draw(st.lists(st.tuples(vertex, vertex), max_size=40))
    check(layered([80.0] * count, edges), [80.0] * count)


def test_a_chain_is_a_straight_line() -> None:
    layout = layered([100.0] * 500, [(i, i + 1) for i in range(499)])
    assert len({x for x, _ in layout.centres}) == 1
    assert [y for _, y in layout.centres] == [i * ROW for i in range(500)]


def test_a_residual_network_stays_narrow_and_straight() -> None:
    """Blocks of three with a bypass: the backbone neither drifts nor makes room for more than one lane."""
    edges: Edges = []
    for block in range(200):
        first = block * 4
        edges += [(first, first + 1), (first + 1, first + 2), (first + 2, first + 3), (first, first + 3)]
        edges.append((first + 3, first + 4))
    layout = layered([100.0] * 801, edges)
    assert layout.width < 300
    assert max(x for x, _ in layout.centres) - min(x for x, _ in layout.centres) < 100


def test_edges_over_the_whole_graph_run_beside_it() -> None:
    edges = [(i, i + 1) for i in range(999)] + [(0, i) for i in range(100, 1000, 100)]
    layout = layered([100.0] * 1000, edges)
    lanes = {route[0][0] for route in layout.routes[999:] if route}
    assert len(lanes) == 1
    assert lanes.pop() > 100


def test_no_nodes() -> None:
    assert layered([], []) == Layout((), (), 0.0, 0.0)


def test_sources_stand_above_their_readers() -> None:
    assert ranks(4, [(0, 1), (1, 2), (3, 2)]) == [0, 1, 2, 1]


@unhurried
@given(dags(), st.integers(2, 10))
def test_folding_keeps_the_sums_and_no_cycle(dag: tuple[int, Edges], limit: int) -> None:
    count, edges = dag
    nodes = [{"name": str(i), "op": f"Op{i % 3}", "outs": [], "flops": i} for i in range(count)]
    folded = fold({"nodes": nodes, "edges": [[a, b, 0] for a, b in edges]}, limit)
    assert len(folded["nodes"]) <= max(limit, 1) or count <= limit
    assert sum(n.get("flops") or 0 for n in folded["nodes"]) == sum(range(count))
    assert sum(n.get("count", 1) for n in folded["nodes"]) == count
    assert count <= limit or all(a < b for a, b, _ in folded["edges"])
