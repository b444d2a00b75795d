"""Liveness: how many bytes of activations are alive at each node of the order the graph is written in.

A value lives from the node that computes it to its last reader (captures by subgraphs count as reads),
inputs from the start and outputs to the end. Views share the memory of what they look at; results of one
node are never written over its operands. Weights are not activations.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.ir.analyses.bytes import is_view
from graphopt.ir.analyses.flops import Bindings
from graphopt.ir.analyses.sizes import Sizes, constant
from graphopt.ir.walk import subgraphs


@dataclass(frozen=True)
class Liveness:
    """Live activations along a graph.

    Attributes:
        peak_bytes: the most bytes alive at once.
        peak_node: the node at which, or None for an empty graph.
        live_bytes: bytes alive while each node of the main graph runs, in node order.
        unknown: values whose size is unknown; they count as 0, so the peak is a lower bound then.
    """

    peak_bytes: int
    peak_node: ir.Node | None
    live_bytes: tuple[int, ...]
    unknown: int


def peak_activation_bytes(model: ir.Model, bindings: Bindings | Sizes | None = None) -> int | None:
    """The most bytes of activations alive at once, or None when a size is unknown."""
    result = liveness(model, bindings)
    return None if result.unknown else result.peak_bytes


def liveness(model: ir.Model, bindings: Bindings | Sizes | None = None) -> Liveness:
    """Liveness of the main graph in its node order; linear in nodes.

    Args:
        model: sorted topologically, with inferred shapes.
        bindings: extents of symbolic dimensions.
    """
    sizes = bindings if isinstance(bindings, Sizes) else Sizes(bindings)
    return _graph(model.graph, sizes)


def _graph(graph: ir.Graph, sizes: Sizes) -> Liveness:
    nodes = list(graph)
    roots = _memory_roots(graph, nodes)
    last = _last_uses(graph, nodes, roots)
    dying: dict[int, list[ir.Value]] = {}
    for value, index in last.items():
        dying.setdefault(index, []).append(value)
    unknown = 0
    held: dict[ir.Value, int] = {}

    def hold(value: ir.Value) -> int:
        nonlocal unknown
        if roots.get(value, value) is not value or value in held:
            return 0
        size = sizes.nbytes(value)
        unknown += size is None
        held[value] = size or 0
        return held[value]

    live = sum(hold(value) for value in graph.inputs)
    along: list[int] = []
    for index, node in enumerate(nodes):
        # A node without readers still writes its results: they are alive while it runs.
        written = [v for v in node.outputs if v.name or v.uses()]
        live += sum(hold(value) for value in written if constant(value) is None)
        inner = [_graph(subgraph, sizes) for subgraph in subgraphs(node)]
        unknown += sum(body.unknown for body in inner)
        along.append(live + max((body.peak_bytes for body in inner), default=0))
        live -= sum(held.pop(value, 0) for value in dying.get(index, ()))
        live -= sum(held.pop(value, 0) for value in written if value not in last)
    peak = max(range(len(along)), key=along.__getitem__, default=None)
    if peak is None:
        return Liveness(live, None, (), unknown)
    return Liveness(along[peak], nodes[peak], tuple(along), unknown)


def _memory_roots(graph: ir.Graph, nodes: list[ir.Node]) -> dict[ir.Value, ir.Value]:
    """Value → the value whose memory it shares; only values that share one of the graph's activations."""
    roots: dict[ir.Value, ir.Value] = {}
    own = set(graph.inputs)
    for node in nodes:
        own.update(node.outputs)
        source = node.inputs[0] if is_view(node) else None
        if source is not None and source in own and constant(source) is None:
            roots[node.outputs[0]] = roots.get(source, source)
    return roots


def _last_uses(graph: ir.Graph, nodes: list[ir.Node], roots: dict[ir.Value, ir.Value]) -> dict[ir.Value, int]:
    """Memory → index of the last node that reads it; outputs of the graph are read after the last node."""
    last: dict[ir.Value, int] = {}
    for index, node in enumerate(nodes):
        for value in _reads(node):
            last[roots.get(value, value)] = index
    for value in graph.outputs:
        last[roots.get(value, value)] = len(nodes)
    return last


def _reads(node: ir.Node) -> set[ir.Value]:
    found = {value for value in node.inputs if value is not None}
    for subgraph in subgraphs(node):
        found.update(subgraph.outputs)
        for inner in subgraph.all_nodes():
            found.update(value for value in inner.inputs if value is not None)
    return found
