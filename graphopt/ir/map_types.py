"""Outputs that are maps, as scikit-learn's classifiers give them.

The graph container has no class for a map. Such an output keeps its declared type as text beside it
while the compiler works, and gets it back when the model is written.
"""

from __future__ import annotations

import base64

import onnx
import onnx_ir as ir

_KEY = "graphopt.type"


def has_map(type_: onnx.TypeProto) -> bool:
    """Whether a type is a map, or a sequence or optional of maps, or opaque."""
    kind = type_.WhichOneof("value")
    if kind in ("sequence_type", "optional_type"):
        return has_map(getattr(type_, kind).elem_type)
    return kind in ("map_type", "opaque_type")


def set_aside(value: onnx.ValueInfoProto) -> None:
    """Take the type off a value about to be imported."""
    text = base64.b64encode(value.type.SerializeToString()).decode("ascii")
    value.metadata_props.add(key=_KEY, value=text)
    value.ClearField("type")


def put_back(graph: onnx.GraphProto) -> None:
    """Give the outputs of a graph about to be written the types that were set aside."""
    for value in graph.output:
        for index, entry in reversed(list(enumerate(value.metadata_props))):
            if entry.key == _KEY:
                value.type.ParseFromString(base64.b64decode(entry.value))
                del value.metadata_props[index]


def map_text(value: ir.Value) -> str | None:
    """``seq(map(int64, float32))`` and the like for a value whose type was set aside, else None."""
    text = value.metadata_props.get(_KEY)
    if text is None:
        return None
    type_ = onnx.TypeProto()
    type_.ParseFromString(base64.b64decode(text))
    return _text(type_)


def _text(type_: onnx.TypeProto) -> str:
    match type_.WhichOneof("value"):
        case "sequence_type":
            return f"seq({_text(type_.sequence_type.elem_type)})"
        case "optional_type":
            return f"optional({_text(type_.optional_type.elem_type)})"
        case "map_type":
            return f"map({_dtype(type_.map_type.key_type)}, {_text(type_.map_type.value_type)})"
        case "tensor_type":
            return _dtype(type_.tensor_type.elem_type)
        case _:
            return "opaque"


def _dtype(code: int) -> str:
    """The name a numpy user knows."""
    name = ir.DataType(code).name.lower()
    return {"float": "float32", "double": "float64"}.get(name, name)
