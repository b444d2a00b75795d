"""Every graph, node and constant of a model, subgraphs and functions included, in a fixed order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx_ir as ir


def graphs(model: ir.Model) -> Iterator[ir.Graph | ir.Function]:
    """The main graph and its subgraphs, outer before inner, then each function and its subgraphs."""
    for body in bodies(model):
        yield body
        yield from list(_inner_graphs(body))  # at once: who walks may change the graph it is given


def bodies(model: ir.Model) -> Iterator[ir.Graph | ir.Function]:
    """The main graph and the functions: everything that has opset imports of its own."""
    yield model.graph
    yield from model.functions.values()


def nodes(model: ir.Model) -> Iterator[ir.Node]:
    """Every node of every graph."""
    yield from all_nodes(model.graph)
    for function in model.functions.values():
        yield from all_nodes(function)


def all_nodes(graph: ir.Graph | ir.Function) -> Iterator[ir.Node]:
    """Every node of a graph, each before those inside its subgraphs.

    Passes walk the model hundreds of times: this takes a small part of what ``graph.all_nodes()`` does.
    """
    for node in graph:
        yield node
        for inner in _carried(node):
            yield from all_nodes(inner)


def subgraphs(node: ir.Node) -> Iterator[ir.Graph]:
    """The graphs a node carries in its attributes: the branches of If, the body of Loop and Scan."""
    for attr in node.attributes.values():
        if attr.is_ref():
            continue
        if attr.type == ir.AttributeType.GRAPH:
            yield attr.as_graph()
        elif attr.type == ir.AttributeType.GRAPHS:
            yield from attr.as_graphs()


_GRAPHS = frozenset({ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS})


def _carried(node: ir.Node) -> Sequence[ir.Graph]:
    """``subgraphs``, quick for the many nodes that carry none."""
    for attr in node.attributes.data.values():
        if attr.type in _GRAPHS:
            return tuple(subgraphs(node))
    return ()


def _inner_graphs(graph: ir.Graph | ir.Function) -> Iterator[ir.Graph]:
    """The graphs inside a graph, outer before inner."""
    for node in graph:
        for inner in _carried(node):
            yield inner
            yield from _inner_graphs(inner)


def inner_nodes(node: ir.Node) -> Iterator[ir.Node]:
    """Every node inside the subgraphs of ``node``, nested ones too; ``node`` itself is not among them."""
    for graph in subgraphs(node):
        yield from all_nodes(graph)


def num_nodes(model: ir.Model) -> int:
    """Number of nodes in every graph."""
    return sum(1 for _ in nodes(model))


def constants(model: ir.Model) -> Iterator[ir.TensorProtocol]:
    """Every distinct constant tensor: initializers and tensor attributes; a shared one once."""
    seen: set[int] = set()

    def first_time(tensor: ir.TensorProtocol | None) -> bool:
        if tensor is None or id(tensor) in seen:
            return False
        seen.add(id(tensor))
        return True

    for graph in graphs(model):
        if isinstance(graph, ir.Graph):
            for value in graph.initializers.values():
                if first_time(value.const_value):
                    yield value.const_value  # type: ignore[misc]
        for node in graph:
            for attr in node.attributes.values():
                if attr.is_ref():
                    continue
                # Not as_tensor(), which asks for every method of the protocol each time.
                if attr.type == ir.AttributeType.TENSOR and first_time(attr.value):
                    yield attr.value
                elif attr.type == ir.AttributeType.TENSORS:
                    yield from (t for t in attr.value if first_time(t))


def weight_bytes(model: ir.Model) -> int:
    """Bytes of every distinct constant tensor."""
    return sum(tensor.nbytes for tensor in constants(model))
