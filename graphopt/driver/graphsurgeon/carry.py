"""What an onnx-graphsurgeon graph has no place for, taken off a model and put back after the edit.

Everything is matched by name: a value by its own, a node by its first output, else by its node name,
and only while its operator is the same. What a person removed stays removed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import onnx
from onnx import AttributeProto, TypeProto

EMPTY_LIST = "graphopt.empty_list"
"""Stands as ``ref_attr_name`` for an empty list, whose type graphsurgeon cannot infer."""

# The fields graphsurgeon writes itself; every other field of these messages is carried.
_HELD = {
    "ModelProto": ("ir_version", "opset_import", "producer_name", "producer_version", "graph", "functions"),
    "GraphProto": (
        "node", "name", "initializer", "sparse_initializer", "doc_string", "input", "output", "value_info",
    ),
    "NodeProto": ("input", "output", "name", "op_type", "domain", "attribute"),
    "FunctionProto": (
        "name", "input", "output", "attribute", "attribute_proto", "node", "doc_string", "opset_import",
        "domain",
    ),
    "ValueInfoProto": ("name", "type"),
    "AttributeProto": (
        "name", "ref_attr_name", "type", "f", "i", "s", "t", "g", "floats", "ints", "strings",
    ),
}  # fmt: skip

_HELD_ATTRIBUTES = (
    AttributeProto.FLOAT,
    AttributeProto.INT,
    AttributeProto.STRING,
    AttributeProto.TENSOR,
    AttributeProto.GRAPH,
    AttributeProto.FLOATS,
    AttributeProto.INTS,
    AttributeProto.STRINGS,
)

Key = tuple[str, str, str, str]


@dataclass(frozen=True)
class NodeCarry:
    """What one node has beside operator, name, inputs, outputs and plain attributes.

    Attributes:
        rest: its other fields: metadata_props, doc_string, overload.
        lost: attributes of kinds graphsurgeon leaves out.
        attributes: name → the attribute's type and other fields, without its value.
        bodies: attribute → what that subgraph has.
    """

    rest: onnx.NodeProto
    lost: tuple[AttributeProto, ...]
    attributes: Mapping[str, AttributeProto]
    bodies: Mapping[str, GraphCarry]


@dataclass(frozen=True)
class GraphCarry:
    """What one graph has beside nodes, initializers and typed inputs and outputs.

    Attributes:
        rest: its other fields: metadata_props, quantization_annotation.
        values: inputs, outputs and declared values by name.
        initializers: their names, for those that only subgraphs use.
        defaults: inputs that are initializers too, with their places among the inputs.
        nodes: by output and by name.
    """

    rest: onnx.GraphProto
    values: Mapping[str, onnx.ValueInfoProto]
    initializers: frozenset[str]
    defaults: tuple[tuple[int, onnx.ValueInfoProto], ...]
    nodes: Mapping[Key, NodeCarry]


@dataclass(frozen=True)
class FunctionCarry:
    """What one local function has.

    Attributes:
        key: its domain and name.
        rest: its other fields: metadata_props, overload, declared values.
        lost: defaults of attributes of kinds graphsurgeon leaves out.
        nodes: by output and by name.
    """

    key: tuple[str, str]
    rest: onnx.FunctionProto
    lost: tuple[AttributeProto, ...]
    nodes: Mapping[Key, NodeCarry]


@dataclass(frozen=True)
class ModelCarry:
    """What a whole model has.

    Attributes:
        rest: metadata_props, doc_string, domain, model_version and whatever else ONNX adds.
        graph: of the main graph.
        functions: of each local function, in order.
    """

    rest: onnx.ModelProto
    graph: GraphCarry
    functions: tuple[FunctionCarry, ...]


def take_off(model: onnx.ModelProto) -> ModelCarry:
    """Remember what graphsurgeon has no place for, and take out of ``model`` what its importer trips over."""
    return ModelCarry(
        rest_of(model),
        _take_graph(model.graph),
        tuple(
            FunctionCarry(
                (f.domain, f.name), rest_of(f), _take_attributes(f.attribute_proto), _take_nodes(f.node)
            )
            for f in model.functions
        ),
    )


def _take_graph(graph: onnx.GraphProto) -> GraphCarry:
    initializers = frozenset(tensor.name for tensor in graph.initializer)
    values: dict[str, onnx.ValueInfoProto] = {}
    for value in (*graph.value_info, *graph.output, *graph.input):
        values[value.name] = _copy(value)
    defaults = tuple((i, _copy(value)) for i, value in enumerate(graph.input) if value.name in initializers)
    carry = GraphCarry(rest_of(graph), values, initializers, defaults, _take_nodes(graph.node))
    for value in (*graph.value_info, *graph.output, *graph.input):
        if view(value.type) is None:
            value.ClearField("type")
    return carry


def _take_nodes(nodes: Iterable[onnx.NodeProto]) -> dict[Key, NodeCarry]:
    carries: dict[Key, NodeCarry] = {}
    names = Counter(node.name for node in nodes)
    for node in nodes:
        bodies = {a.name: _take_graph(a.g) for a in node.attribute if a.type == AttributeProto.GRAPH}
        kinds = {attribute.name: rest_of(attribute) for attribute in node.attribute}
        for attribute in node.attribute:
            kinds[attribute.name].type = attribute.type
        carry = NodeCarry(rest_of(node), _take_attributes(node.attribute), kinds, bodies)
        for key in keys(node):
            if key[0] == "output" or names[node.name] == 1:
                carries[key] = carry
    return carries


def _take_attributes(attributes: Any) -> tuple[AttributeProto, ...]:
    lost = [attribute for attribute in attributes if not _is_held(attribute)]
    copies = tuple(_copy(attribute) for attribute in lost)
    for attribute in lost:
        attributes.remove(attribute)
    return copies


def _is_held(attribute: AttributeProto) -> bool:
    texts = (attribute.s, *attribute.strings)
    return attribute.type in _HELD_ATTRIBUTES and all(_is_utf8(text) for text in texts)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def view(type_: TypeProto) -> tuple[object, ...] | None:
    """A type as far as graphsurgeon sees it; None where it sees nothing or would go wrong."""
    kind = type_.WhichOneof("value")
    if kind == "tensor_type":
        tensor = type_.tensor_type
        dims = [getattr(d, d.WhichOneof("value") or "", None) for d in tensor.shape.dim]
        return kind, tensor.elem_type, dims if tensor.HasField("shape") else None
    if kind == "sequence_type" and type_.sequence_type.elem_type.WhichOneof("value") == "tensor_type":
        return kind, type_.sequence_type.elem_type.tensor_type.elem_type
    return None


def keys(node: onnx.NodeProto) -> Iterator[Key]:
    """What a node is found by, the surest first."""
    output = next(filter(None, node.output), "")
    if output:
        yield "output", node.op_type, node.domain, output
    if node.name:
        yield "name", node.op_type, node.domain, node.name


def rest_of(message: Any) -> Any:
    """A copy without the fields graphsurgeon holds and without copying them first."""
    kind = type(message)
    held = _HELD[kind.__name__]
    rest = kind()
    copy_fields(message, rest, held)
    return rest


def copy_fields(source: Any, target: Any, left_out: Container[str]) -> None:
    """Set the fields of ``source`` in ``target``, a message of the same kind, but for those left out."""
    for descriptor, content in source.ListFields():
        if descriptor.name in left_out:
            continue
        if descriptor.is_repeated:
            getattr(target, descriptor.name).extend(content)
        elif hasattr(content, "CopyFrom"):
            getattr(target, descriptor.name).CopyFrom(content)
        else:
            setattr(target, descriptor.name, content)


def _copy(message: Any) -> Any:
    copy = type(message)()
    copy.CopyFrom(message)
    return copy
