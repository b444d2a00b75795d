"""Outlining: a set of nodes with one result becomes a model-local function and a call of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import onnx_ir as ir

from graphopt.ir.fingerprint import tensor_digest
from graphopt.ops.op import DOMAIN
from graphopt.rewrite.constants import constant_tensor

PREFIX = "Composite_"
"""What the names of composites begin with; a hash of the body follows."""

_INSIDE = 16
"""Elements up to which a constant is part of the body: a kernel can keep them in registers."""


def outline(model: ir.Model, nodes: Sequence[ir.Node]) -> ir.Node:
    """Replace ``nodes`` by one call of a function with that body.

    Args:
        model: gets the function, unless an equal one is there.
        nodes: of one graph, in topological order; only the last one's first output is read outside.

    Returns:
        The call.
    """
    root, graph = nodes[-1], nodes[-1].graph
    assert graph is not None, "a node to be outlined is in a graph"
    inside = {value for node in nodes for value in node.outputs}
    inputs = list(
        dict.fromkeys(
            value
            for node in nodes
            for value in node.inputs
            if value is not None and value not in inside and not _is_small_constant(value)
        )
    )
    function = _function(model, nodes, inputs)
    model.functions.setdefault(function.identifier(), function)
    model.opset_imports.setdefault(DOMAIN, 1)
    call = ir.Node(
        DOMAIN, function.name, inputs, num_outputs=1, name=root.name, metadata_props=dict(root.metadata_props)
    )
    result, old = call.outputs[0], root.outputs[0]
    result.type, result.shape = old.type, None if old.shape is None else old.shape.copy()
    result.metadata_props.update(old.metadata_props)
    graph.insert_after(root, call)
    name, old.name = old.name, None
    result.name = name
    old.replace_all_uses_with(result, replace_graph_outputs=True)
    graph.remove(list(nodes), safe=True)
    return call


def _is_small_constant(value: ir.Value) -> bool:
    tensor = constant_tensor(value)
    return tensor is not None and tensor.size <= _INSIDE and not value.is_graph_output()


def _function(model: ir.Model, nodes: Sequence[ir.Node], inputs: Sequence[ir.Value]) -> ir.Function:
    """The function with copies of ``nodes``; values are named by their place, so equal bodies are equal."""
    formals = [ir.Input(f"x{index}") for index in range(len(inputs))]
    inner: dict[ir.Value, ir.Value] = dict(zip(inputs, formals, strict=True))
    body: list[ir.Node] = []
    imports = {DOMAIN: 1} if any(node.domain == DOMAIN for node in nodes) else {}
    for number, node in enumerate(nodes):
        operands: list[ir.Value | None] = []
        for value in node.inputs:
            if value is not None and value not in inner:
                body.append(_constant(value, len(body)))
                inner[value] = body[-1].outputs[0]
            operands.append(None if value is None else inner[value])
        copy = ir.Node(
            node.domain,
            node.op_type,
            operands,
            [ir.Attr(a.name, a.type, a.value) for a in node.attributes.values()],
            num_outputs=len(node.outputs),
            name=f"{node.op_type}_{number}",
        )
        for index, (old, new) in enumerate(zip(node.outputs, copy.outputs, strict=True)):
            new.name = f"t{number}_{index}" if old.name else ""
            inner[old] = new
        imports[node.domain] = model.opset_imports[node.domain]
        body.append(copy)
    graph = ir.Graph(formals, [body[-1].outputs[0]], nodes=body, opset_imports=imports)
    return ir.Function(DOMAIN, f"{PREFIX}{_digest(graph)}", "", graph=graph, attributes={})


def _constant(value: ir.Value, number: int) -> ir.Node:
    tensor = constant_tensor(value)
    assert tensor is not None, "what is not an input of a composite is a constant"
    node = ir.Node("", "Constant", [], [ir.AttrTensor("value", tensor)], name=f"Constant_{number}")
    node.outputs[0].name = f"c{number}"
    node.outputs[0].type = ir.TensorType(tensor.dtype)
    node.outputs[0].shape = ir.Shape(tensor.shape.numpy())
    return node


def _digest(graph: ir.Graph) -> str:
    """16 hex digits of operators, attributes, constants, wiring and operator versions."""
    parts = [repr(sorted(graph.opset_imports.items())), repr([value.name for value in graph.inputs])]
    for node in graph:
        attributes = sorted((a.name, a.type.name, _attribute(a)) for a in node.attributes.values())
        operands = [None if value is None else value.name for value in node.inputs]
        parts.append(repr((node.domain, node.op_type, attributes, operands, [v.name for v in node.outputs])))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _attribute(attr: ir.Attr) -> str:
    if attr.type == ir.AttributeType.TENSOR:
        return tensor_digest(attr.as_tensor()).hex()
    return repr(attr.value)
