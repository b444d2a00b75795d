"""The graphs inside a node and the nodes inside them."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir


def direct_subgraphs(node: ir.Node) -> Iterator[ir.Graph]:
    """The graphs that are attributes of ``node``: branches and loop bodies."""
    for attr in node.attributes.values():
        if attr.is_ref():
            continue
        if attr.type == ir.AttributeType.GRAPH:
            yield attr.as_graph()
        elif attr.type == ir.AttributeType.GRAPHS:
            yield from attr.as_graphs()


def inner_nodes(node: ir.Node) -> Iterator[ir.Node]:
    """Every node inside the subgraphs of ``node``, nested ones too; ``node`` itself is not among them."""
    for graph in direct_subgraphs(node):
        yield from graph.all_nodes()
