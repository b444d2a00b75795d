"""Which values a node reads, captures of its subgraphs included, and which nodes it waits for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx_ir as ir

from graphopt.ir.walk import subgraphs


def read_values(node: ir.Node) -> Iterator[ir.Value]:
    """Every value of an outer graph that ``node`` reads: its own inputs, then what its subgraphs capture.

    A value may come up several times.
    """
    yield from (value for value in node.inputs if value is not None)
    for graph in subgraphs(node):
        yield from captured_values(graph)


def captured_values(graph: ir.Graph) -> Iterator[ir.Value]:
    """Every value that ``graph`` uses and does not define, nested subgraphs included."""
    own = {id(value) for value in (*graph.inputs, *graph.initializers.values())}
    own.update(id(output) for node in graph for output in node.outputs)
    for node in graph:
        yield from (value for value in read_values(node) if id(value) not in own)
    yield from (value for value in graph.outputs if id(value) not in own)


def predecessors(nodes: Sequence[ir.Node]) -> list[set[int]]:
    """For each node the positions of those whose outputs it reads."""
    producer = {id(output): index for index, node in enumerate(nodes) for output in node.outputs}
    return [
        {producer[id(value)] for value in read_values(node) if id(value) in producer} - {index}
        for index, node in enumerate(nodes)
    ]
