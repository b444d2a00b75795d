"""A model's inputs and outputs as a session shows them."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from graphopt.backends.executable import TensorInfo
from graphopt.ir.map_types import map_text
from graphopt.ir.signature import Dims, Signature, raw_dims, signature_of


def model_inputs(model: ir.Model) -> tuple[TensorInfo, ...]:
    """The inputs in the model's order; those with a default value are optional.

    Dims are those the model's author declared, where the compiler works with cleaned ones.
    """
    declared = _declared(model).inputs
    defaults = model.graph.initializers
    return tuple(
        tensor_info(value, declared, optional=value.name in defaults) for value in model.graph.inputs
    )


def model_outputs(model: ir.Model) -> tuple[TensorInfo, ...]:
    """The outputs in the model's order; dims as in ``model_inputs``."""
    declared = _declared(model).outputs
    return tuple(tensor_info(value, declared) for value in model.graph.outputs)


def _declared(model: ir.Model) -> Signature:
    return signature_of(model) or Signature({}, {})


def tensor_info(
    value: ir.Value, declared: Mapping[str, Dims | None] | None = None, *, optional: bool = False
) -> TensorInfo:
    """Name, dtype and shape of one value; ``declared`` dims by value name win over symbolic ones."""
    name = value.name or ""
    actual = raw_dims(value.shape)
    wanted = (declared or {}).get(name)
    if actual is not None and wanted is not None and len(actual) == len(wanted):
        actual = tuple(a if isinstance(a, int) else w for a, w in zip(actual, wanted, strict=True))
    shape = None if actual is None else tuple(None if d == -1 else d for d in actual)
    return TensorInfo(name, map_text(value) or _type_text(value.type), shape, optional)


def _type_text(kind: ir.TypeProtocol | None) -> str:
    """``float32`` for a tensor, ``seq(tensor(float32))`` and the like for the rest."""
    match kind:
        case None:
            return "undefined"
        case ir.TensorType():
            return dtype_name(kind.dtype)
        case ir.SequenceType():
            return f"seq({_inner_text(kind.elem_type)})"
        case ir.OptionalType():
            return f"optional({_inner_text(kind.elem_type)})"
        case _:
            return f"{type(kind).__name__}({dtype_name(kind.dtype)})"


def _inner_text(kind: ir.TypeProtocol) -> str:
    return f"tensor({dtype_name(kind.dtype)})" if isinstance(kind, ir.TensorType) else _type_text(kind)


_RENAMED = {"float": "float32", "double": "float64"}


def dtype_name(dtype: ir.DataType) -> str:
    """The name a numpy user knows: ``float32``, ``bool``, ``bfloat16`` …"""
    name = dtype.name.lower()
    return _RENAMED.get(name, name)
