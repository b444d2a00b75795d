"""Text that is not UTF-8: protobuf lets it in, hands it out as bytes, and refuses to write it again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import onnx

_FIELDS: dict[str, tuple[str, ...]] = {
    "ModelProto": ("producer_name", "producer_version", "domain", "doc_string"),
    "GraphProto": ("name", "doc_string"),
    "FunctionProto": ("name", "domain", "overload", "doc_string"),
    "NodeProto": ("name", "op_type", "domain", "overload", "doc_string"),
    "AttributeProto": ("name", "ref_attr_name", "doc_string"),
    "TensorProto": ("name", "doc_string"),
    "ValueInfoProto": ("name", "doc_string"),
    "StringStringEntryProto": ("key", "value"),
    "OperatorSetIdProto": ("domain",),
    "TensorAnnotation": ("tensor_name",),
    "Dimension": ("dim_param", "denotation"),
    "TypeProto": ("denotation",),
}
_LISTS: dict[str, tuple[str, ...]] = {
    "NodeProto": ("input", "output"),
    "FunctionProto": ("input", "output", "attribute"),
}
_CHILDREN: dict[str, tuple[str, ...]] = {
    "ModelProto": ("opset_import", "metadata_props", "functions"),
    "GraphProto": (
        "node", "initializer", "input", "output", "value_info", "quantization_annotation", "metadata_props",
    ),
    "FunctionProto": ("node", "attribute_proto", "opset_import", "value_info", "metadata_props"),
    "NodeProto": ("attribute", "metadata_props"),
    "AttributeProto": ("tensors", "graphs"),
    "TensorProto": ("external_data", "metadata_props"),
    "ValueInfoProto": ("metadata_props",),
    "TensorAnnotation": ("quant_parameter_tensor_names",),
}  # fmt: skip


def repair_text(model: onnx.ModelProto) -> None:
    r"""Replace every byte that is no UTF-8 by ``\xNN``, in place: names stay different and writable.

    Contents of string tensors and string attributes are data, not text, and stay as they are.
    """
    _repair(model)
    _repair(model.graph)


def _repair(message: Any) -> None:
    kind = type(message).__name__
    for field in _FIELDS.get(kind, ()):
        value = getattr(message, field)
        if isinstance(value, bytes):
            setattr(message, field, value.decode("utf-8", "backslashreplace"))
    for field in _LISTS.get(kind, ()):
        texts = getattr(message, field)
        for index, value in enumerate(texts):
            if isinstance(value, bytes):
                texts[index] = value.decode("utf-8", "backslashreplace")
    for field in _CHILDREN.get(kind, ()):
        _repair_all(getattr(message, field))
    if kind == "ValueInfoProto" and message.HasField("type"):
        _repair_type(message.type)
    elif kind == "AttributeProto":
        for field in ("t", "g"):
            if message.HasField(field):
                _repair(getattr(message, field))
        if message.HasField("tp"):
            _repair_type(message.tp)
        for type_ in message.type_protos:
            _repair_type(type_)


def _repair_all(messages: Iterable[Any]) -> None:
    for message in messages:
        _repair(message)


def _repair_type(type_: onnx.TypeProto) -> None:
    _repair(type_)
    kind = type_.WhichOneof("value")
    if kind in ("sequence_type", "optional_type"):
        _repair_type(getattr(type_, kind).elem_type)
    elif kind in ("tensor_type", "sparse_tensor_type"):
        _repair_all(getattr(type_, kind).shape.dim)
