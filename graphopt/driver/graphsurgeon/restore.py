"""Put back into an exported onnx-graphsurgeon graph what ``carry`` took off the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import onnx
from onnx import AttributeProto, TypeProto

from graphopt.driver.graphsurgeon.carry import (
    EMPTY_LIST,
    GraphCarry,
    Key,
    ModelCarry,
    NodeCarry,
    copy_fields,
    keys,
    rest_of,
    view,
)


def put_back(model: onnx.ModelProto, carry: ModelCarry | None) -> None:
    """Complete what graphsurgeon exported, in place; ``carry`` None: nothing is known of an original."""
    known = [] if carry is None else list(carry.functions)
    for function in model.functions:
        # Overloads have one name: the first of them in both models are the same, and so on.
        found = next((f for f in known if f.key == (function.domain, function.name)), None)
        if found is not None:
            known.remove(found)
            _fill(function, found.rest)
            _put_attributes(function.attribute_proto, found.lost, {}, without=frozenset(function.attribute))
        _put_nodes(function.node, {} if found is None else found.nodes)
    if carry is not None:
        _fill(model, carry.rest)
    _put_graph(model.graph, None if carry is None else carry.graph, frozenset())


def _put_graph(graph: onnx.GraphProto, carry: GraphCarry | None, outside: frozenset[str]) -> None:
    nodes = {} if carry is None else carry.nodes
    if carry is not None:
        _lift_initializers(graph, carry.initializers)
    here = frozenset(tensor.name for tensor in graph.initializer) | _computed(graph)
    _put_nodes(graph.node, nodes, outside | here)
    # graphsurgeon writes a constant or a type once more in every subgraph that reads it from outside.
    for values in (graph.initializer, graph.value_info):
        for index in reversed(range(len(values))):
            if values[index].name in outside:
                del values[index]
    if carry is None:
        return
    _fill(graph, carry.rest)
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.name in carry.values:
            _put_value(value, carry.values[value.name])
    declared = {value.name for value in (*graph.input, *graph.output, *graph.value_info)}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for name in sorted((_computed(graph) | constants.keys()) - declared):
        if name in carry.values and _says_the_same(carry.values[name].type, constants.get(name)):
            graph.value_info.append(carry.values[name])
    for index, value in carry.defaults:
        if value.name in constants and value.name not in {v.name for v in graph.input}:
            graph.input.insert(index, value)


def _says_the_same(type_: TypeProto, constant: onnx.TensorProto | None) -> bool:
    """Whether a declaration that graphsurgeon did not write still holds."""
    seen = view(type_)
    if constant is None or seen is None:
        return seen is None
    return seen == ("tensor_type", constant.data_type, list(constant.dims))


def _computed(graph: onnx.GraphProto) -> frozenset[str]:
    inputs = {value.name for value in graph.input}
    return frozenset(inputs | {name for node in graph.node for name in node.output if name})


def _lift_initializers(graph: onnx.GraphProto, names: frozenset[str]) -> None:
    """An initializer that only subgraphs read is exported into each of them: it becomes one again."""
    here = {tensor.name for tensor in graph.initializer}
    for body in _bodies(graph):
        for tensor in body.initializer:
            if tensor.name in names and tensor.name not in here:
                here.add(tensor.name)
                graph.initializer.append(tensor)


def _bodies(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield attribute.g
                yield from _bodies(attribute.g)


def _put_nodes(
    nodes: Iterable[onnx.NodeProto], carries: Mapping[Key, NodeCarry], outside: frozenset[str] = frozenset()
) -> None:
    for node in nodes:
        carry = next((carries[key] for key in keys(node) if key in carries), None)
        if carry is not None:
            _fill(node, carry.rest)
        _put_attributes(
            node.attribute,
            () if carry is None else carry.lost,
            _declared_types(node) | ({} if carry is None else dict(carry.attributes)),
        )
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH and attribute.HasField("g"):
                body = None if carry is None else carry.bodies.get(attribute.name)
                _put_graph(attribute.g, body, outside)


def _put_attributes(
    attributes: Any,
    lost: Iterable[AttributeProto],
    known: Mapping[str, AttributeProto],
    without: frozenset[str] = frozenset(),
) -> None:
    present = {attribute.name for attribute in attributes} | without
    attributes.extend(attribute for attribute in lost if attribute.name not in present)
    for attribute in attributes:
        carried = known.get(attribute.name)
        if attribute.ref_attr_name == EMPTY_LIST:
            attribute.ClearField("ref_attr_name")
            attribute.type = AttributeProto.INTS if carried is None else carried.type
        if carried is not None and carried.type == attribute.type:
            _fill(attribute, carried)


def _declared_types(node: onnx.NodeProto) -> dict[str, AttributeProto]:
    """What ONNX says the types of an operator's attributes are; nothing of operators it does not know."""
    if not onnx.defs.has(node.op_type, node.domain):
        return {}
    schema = onnx.defs.get_schema(node.op_type, node.domain)
    return {
        name: AttributeProto(name=name, type=int(attribute.type.value))  # type: ignore[arg-type, attr-defined]
        for name, attribute in schema.attributes.items()
    }


def _put_value(value: onnx.ValueInfoProto, carried: onnx.ValueInfoProto) -> None:
    before, exported = view(carried.type), view(value.type)
    untyped = value.type.WhichOneof("value") is None
    if (before is None and untyped) or (before is not None and before == exported):
        value.type.CopyFrom(carried.type)
    _fill(value, rest_of(carried))


def _fill(message: Any, rest: Any) -> None:
    """Set in ``message`` what ``rest`` has and ``message`` lacks."""
    copy_fields(rest, message, {descriptor.name for descriptor, _ in message.ListFields()})
