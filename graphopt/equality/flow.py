"""Where values flow in a model without local functions: through nodes and across subgraph borders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from graphopt.ir.walk import subgraphs

STANDARD = ("", "ai.onnx")


def words(text: str) -> frozenset[str]:
    """The space-separated words of a table."""
    return frozenset(text.split())


@dataclass(frozen=True)
class Use:
    """One place a value is read: input ``index`` of ``node``."""

    node: ir.Node
    index: int


def is_standard(node: ir.Node) -> bool:
    """Whether the node's operator is of the ONNX standard."""
    return node.domain in STANDARD


class Flow:
    """The subgraph borders of a model: If, Loop and Scan pass values in and out by position."""

    def __init__(self, model: ir.Model) -> None:
        self._owner: dict[int, ir.Node] = {}
        for node in model.graph.all_nodes():
            for graph in subgraphs(node):
                self._owner[id(graph)] = node

    def uses(self, value: ir.Value) -> Iterator[Use]:
        """Every node that reads ``value``."""
        for usage in value.uses():
            yield Use(usage.node, usage.idx)

    def aliases(self, value: ir.Value) -> Iterator[ir.Value]:
        """The values across a subgraph border that receive ``value``."""
        for use in self.uses(value):
            yield from _into_bodies(use)
        if value.is_graph_output():
            yield from self._out_of_body(value)

    def _out_of_body(self, value: ir.Value) -> Iterator[ir.Value]:
        graph = value.graph
        owner = self._owner.get(id(graph))
        if owner is None or not isinstance(graph, ir.Graph):
            return
        for index, output in enumerate(graph.outputs):
            if output is not value:
                continue
            position = index - 1 if owner.op_type == "Loop" else index
            if 0 <= position < len(owner.outputs):
                yield owner.outputs[position]
            # A carried value also comes back into the next iteration.
            if owner.op_type == "Loop" and index + 1 < len(graph.inputs):
                yield graph.inputs[index + 1]

    def sources(self, value: ir.Value) -> Iterator[ir.Value]:
        """The values across a subgraph border that ``value`` receives; empty for a plain node output."""
        node = value.producer()
        if node is not None:
            yield from _body_results(node, value)
            return
        owner = self._owner.get(id(value.graph))
        if owner is None or not isinstance(value.graph, ir.Graph) or owner.op_type not in ("Loop", "Scan"):
            return
        for index, parameter in enumerate(value.graph.inputs):
            if parameter is value and index < len(owner.inputs):
                source = owner.inputs[index]
                if source is not None:
                    yield source


def _into_bodies(use: Use) -> Iterator[ir.Value]:
    if use.node.op_type not in ("Loop", "Scan"):
        return
    for graph in subgraphs(use.node):
        if use.index < len(graph.inputs):
            yield graph.inputs[use.index]


def _body_results(node: ir.Node, value: ir.Value) -> Iterator[ir.Value]:
    index = node.outputs.index(value)
    if node.op_type == "Loop":
        index += 1
    for graph in subgraphs(node):
        if index < len(graph.outputs):
            yield graph.outputs[index]


def constant(value: ir.Value | None) -> ir.TensorProtocol | None:
    """The tensor a value always holds: an initializer that is no input, or the output of Constant."""
    if value is None:
        return None
    if value.const_value is not None and not value.is_graph_input():
        return value.const_value
    node = value.producer()
    if node is None or node.op_type != "Constant" or not is_standard(node):
        return None
    attr = node.attributes.get("value")
    if attr is not None and not attr.is_ref():
        return attr.as_tensor()
    return _constant_of_list(node)


def _constant_of_list(node: ir.Node) -> ir.TensorProtocol | None:
    for name in ("value_int", "value_ints", "value_float", "value_floats"):
        attr = node.attributes.get(name)
        if attr is not None and not attr.is_ref():
            dtype = ir.DataType.INT64 if "int" in name else ir.DataType.FLOAT
            return ir.tensor(attr.value, dtype=dtype)
    return None


def static_dims(value: ir.Value | None, depth: int = 4) -> tuple[int, ...] | None:
    """The dims of a value where every one is known; looks through Cast and DequantizeLinear."""
    if value is None:
        return None
    tensor = constant(value)
    if tensor is not None:
        return tuple(int(d) for d in tensor.shape.numpy())
    if value.shape is not None and value.shape.is_static():
        return tuple(int(d) for d in value.shape.numpy())
    node = value.producer()
    if (
        depth
        and node is not None
        and node.op_type in ("Cast", "Identity", "DequantizeLinear", "QuantizeLinear")
    ):
        return static_dims(node.inputs[0], depth - 1)
    return None


def attribute(node: ir.Node, name: str, default: int) -> int:
    """An integer attribute of a node."""
    attr = node.attributes.get(name)
    return default if attr is None or attr.is_ref() else int(attr.as_int())


def number(value: ir.Value | None) -> float | None:
    """The single number a constant holds, or None."""
    tensor = constant(value)
    if tensor is None or tensor.size != 1 or tensor.dtype == ir.DataType.STRING:
        return None
    return float(tensor.numpy().reshape(-1)[0])
