"""A float32 model as an exporter writes it for float16."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnx.defs
import onnx.helper
import onnx.numpy_helper

_FLOAT, _HALF = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
_LARGEST = float(np.finfo(np.float16).max)
_SMALLEST = 1e-7
"""An ε of 1e-12 would become 0: converters round it up to this."""


def to_float16(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """``model`` in float16; None where an operator takes only float32 on its way."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    keep = _float32_only(made)
    if keep is None or any(v.type.tensor_type.elem_type == onnx.TensorProto.DOUBLE for v in made.graph.input):
        return None
    _convert(made.graph, keep)
    return made


def to_half(array: np.ndarray) -> np.ndarray:
    """Values of float32 within the range of float16."""
    clipped = np.where(np.isinf(array), array, np.clip(array, -_LARGEST, _LARGEST))
    tiny = (clipped != 0) & (np.abs(clipped) < _SMALLEST)
    return np.asarray(np.where(tiny, np.sign(clipped) * _SMALLEST, clipped), np.float16)


def _float32_only(model: onnx.ModelProto) -> set[str] | None:
    """Constants that must stay float32 (scales of Resize); None when a computed value must."""
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    constants = {t.name for t in model.graph.initializer}
    constants |= {n.output[0] for n in model.graph.node if n.op_type == "Constant"}
    keep: set[str] = set()
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx"):
            return None
        schema = onnx.defs.get_schema(node.op_type, opset)
        types = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
        for port in schema.outputs:
            if _only_float32(types.get(port.type_str, [port.type_str])):
                return None
        for index, name in enumerate(node.input):
            port = schema.inputs[min(index, len(schema.inputs) - 1)]
            if not _only_float32(types.get(port.type_str, [port.type_str])):
                continue
            if name and name not in constants:
                return None
            keep.add(name)
    return keep


def _only_float32(types: Sequence[str]) -> bool:
    return "tensor(float)" in types and "tensor(float16)" not in types


def _convert(graph: onnx.GraphProto, keep: set[str]) -> None:
    for value in [*graph.input, *graph.output, *graph.value_info]:
        if value.type.tensor_type.elem_type == _FLOAT and value.name not in keep:
            value.type.tensor_type.elem_type = _HALF
    for tensor in graph.initializer:
        if tensor.name not in keep:
            _halve(tensor)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                _convert(attribute.g, keep)
            elif attribute.type == onnx.AttributeProto.TENSOR and node.output[0] not in keep:
                _halve(attribute.t)
            elif attribute.name in ("to", "dtype") and attribute.i == _FLOAT:
                attribute.i = _HALF
        if node.op_type == "Constant" and node.output[0] not in keep:
            _tensor_form(node)


def _halve(tensor: onnx.TensorProto) -> None:
    if tensor.data_type == _FLOAT:
        tensor.CopyFrom(
            onnx.numpy_helper.from_array(to_half(onnx.numpy_helper.to_array(tensor)), tensor.name)
        )


def _tensor_form(node: onnx.NodeProto) -> None:
    """``value_float`` is always float32: written as a tensor it can be float16."""
    attribute = node.attribute[0]
    if attribute.name in ("value_float", "value_floats"):
        value = np.asarray(onnx.helper.get_attribute_value(attribute), np.float32)
        del node.attribute[:]
        node.attribute.append(
            onnx.helper.make_attribute("value", onnx.numpy_helper.from_array(to_half(value)))
        )
