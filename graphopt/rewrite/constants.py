"""Reading constants out of a graph, and comparing one with a number in its own precision."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx_ir as ir

if TYPE_CHECKING:
    from graphopt.rewrite.syntax import Literal

_SMALL = 4096
"""Elements: constants beyond this are never compared by value."""


def constant_tensor(value: ir.Value | None) -> ir.TensorProtocol | None:
    """The tensor ``value`` always holds, or None.

    A constant is an initializer that is not also a graph input (those can be overridden by the
    caller) or the output of a Constant node whose attribute is spelled out.
    """
    if value is None:
        return None
    node = value.producer()
    if node is None:
        return None if value.is_graph_input() else value.const_value
    if node.op_type != "Constant" or node.domain != "":
        return None
    attributes = list(node.attributes.values())
    if len(attributes) != 1 or attributes[0].is_ref():
        return None
    if attributes[0].name == "sparse_value":
        return None
    return ir.convenience.get_const_tensor(value)


def constant_array(value: ir.Value | None) -> npt.NDArray[np.generic] | None:
    """The elements of a constant, or None when ``value`` is not one."""
    tensor = constant_tensor(value)
    return None if tensor is None else np.asarray(tensor.numpy())


def equals(number: float | int, element: float | int, dtype: ir.DataType) -> bool:
    """Whether ``element`` is ``number`` as well as ``dtype`` can say it.

    Integers are compared exactly. A floating-point element may be the nearest value of its type or
    the one beside it, because exporters round √2 or 1/√d through other precisions on the way.
    """
    if not dtype.is_floating_point():
        return element == number
    kind = dtype.numpy()
    with np.errstate(over="ignore"):
        nearest = float(np.asarray(number).astype(kind))
    if math.isnan(nearest) or math.isinf(nearest) or nearest == 0:
        return element == nearest or (math.isnan(nearest) and math.isnan(element))
    return abs(element - nearest) <= _eps(kind) * abs(nearest)


def _eps(kind: npt.DTypeLike) -> float:
    """The relative spacing of a floating-point type, the small ones included."""
    finfo: Callable[[npt.DTypeLike], Any] = ml_dtypes.finfo
    return float(finfo(kind).eps)


def mismatch(literal: Literal, value: ir.Value | None, broadcast_rank: int | None) -> str | None:
    """Why ``value`` is not the constant ``literal``, or None when it is.

    Args:
        literal: the constant by value.
        value: what the graph has in its place.
        broadcast_rank: for an operator that broadcasts, the highest rank a one-element constant may
            have without enlarging the result; None where the rank itself means something.
    """
    tensor = constant_tensor(value)
    name = "nothing" if value is None else repr(value.name)
    if value is None or tensor is None:
        return f"{name} is not the constant {literal}"
    if literal.dtype is not None and tensor.dtype != literal.dtype:
        return f"{name} is {tensor.dtype.name}, not {literal.dtype.name}"
    rank = len(tensor.shape)
    allowed = 0 if literal.is_scalar and broadcast_rank is None else broadcast_rank
    if literal.is_scalar and (tensor.size != 1 or rank > (allowed or 0)):
        return f"{name} of shape {tensor.shape} is not the scalar {literal}"
    if not literal.is_scalar and (rank != 1 or tensor.size != len(literal.values)):
        return f"{name} of shape {tensor.shape} is not {literal}"
    if tensor.size > _SMALL or tensor.dtype == ir.DataType.STRING:
        return f"{name} is not {literal}"
    elements = np.asarray(tensor.numpy()).ravel().tolist()
    if all(equals(v, e, tensor.dtype) for v, e in zip(literal.values, elements, strict=True)):
        return None
    return f"{name} is {_short(elements)}, not {literal}"


def _short(elements: list[float]) -> str:
    shown = ", ".join(f"{e:.9g}" for e in elements[:4])
    return shown if len(elements) <= 4 else f"{shown}, …"
