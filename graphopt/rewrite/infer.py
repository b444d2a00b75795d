"""Types and shapes of a new node's outputs, from its inputs."""

from __future__ import annotations

import onnx
import onnx.shape_inference
import onnx_ir as ir

from graphopt.ir import walk
from graphopt.rewrite import opfacts
from graphopt.rewrite.constants import constant_tensor

_SMALL = 1024
"""Elements: larger constants are data, not shapes, and are not shown to the inference."""

_LIKE_THE_FIRST = frozenset({"GroupNormalization"})
"""Operators for which ONNX has no inference: the result is of the type and shape of the first operand."""


def infer_outputs(node: ir.Node, opset: int) -> None:
    """Set the type and shape of every output that ONNX's inference knows; leave the others alone."""
    schema = opfacts.schema(node.domain, node.op_type, opset)
    given = [value for value in node.inputs if value is not None]
    if node.domain == "" and node.op_type in _LIKE_THE_FIRST and given:
        node.outputs[0].type = given[0].type
        node.outputs[0].shape = None if given[0].shape is None else given[0].shape.copy()
        return
    if schema is None or any(value.type is None for value in given):
        return
    # The results of a rule get their names last, and its own nodes may read them before that.
    named = [value for value in dict.fromkeys((*given, *node.outputs)) if not value.name]
    for index, value in enumerate(named):
        value.name = f"unnamed_{index}"
    try:
        found = onnx.shape_inference.infer_node_outputs(
            schema,
            ir.serde.serialize_node(node),
            {str(value.name): ir.serde.serialize_value(value).type for value in given},
            {str(value.name): tensor for value in given if (tensor := _small(value)) is not None},
            opset_imports=[onnx.helper.make_opsetid(node.domain, opset)],
        )
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError, RuntimeError):
        return
    finally:
        names = [value.name for value in node.outputs]
        for value in named:
            value.name = None
    for name, value in zip(names, node.outputs, strict=True):
        if name in found:
            value.type = ir.serde.deserialize_type_proto_for_type(found[name])
            value.shape = ir.serde.deserialize_type_proto_for_shape(found[name])


def infer_untyped(model: ir.Model, *, unshaped: bool = False) -> None:
    """``infer_outputs`` of every node with an output of unknown type, in running order.

    Args:
        model: topologically sorted; changed in place.
        unshaped: also of nodes with an output of unknown shape.
    """
    for node in walk.nodes(model):
        if any(value.type is None or (unshaped and value.shape is None) for value in node.outputs):
            infer_outputs(node, model.opset_imports.get(node.domain, 1))


def _small(value: ir.Value) -> onnx.TensorProto | None:
    tensor = constant_tensor(value)
    return None if tensor is None or tensor.size > _SMALL else ir.serde.serialize_tensor(tensor)
