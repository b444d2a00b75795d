"""Constants that scale or shift a value: read as a scalar or as one number per channel, in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.rewrite.constants import constant_array, constant_tensor
from graphopt.rewrite.dims import FLOATS
from graphopt.rewrite.match import Match

Array = npt.NDArray[np.generic]
Vector = npt.NDArray[np.float64]

_LARGEST = 1 << 20
"""Elements: a larger constant is a tensor of its own, no factor per channel."""

_HEADROOM = 64
"""How far above the smallest normal number the largest weight of a channel has to stay."""


def along(value: ir.Value, axis: int, rank: int | None) -> Vector | None:
    """The constant ``value`` as one number, or as one for each position of ``axis``.

    Args:
        value: what is broadcast against another tensor.
        axis: the axis of that tensor, counted from its end (negative).
        rank: the rank of that tensor; None where only ``-axis`` is certain.

    Returns:
        A vector of length 1 or of the constant's size there; None when ``value`` is no
        floating-point constant, varies along another axis, or might enlarge the tensor.
    """
    tensor = constant_tensor(value)
    if tensor is None or tensor.dtype not in FLOATS or tensor.size > _LARGEST:
        return None
    dims = tuple(tensor.shape.numpy())
    if len(dims) > (rank if rank is not None else -axis):
        return None
    if any(dim != 1 for index, dim in enumerate(dims, start=-len(dims)) if index != axis):
        return None
    return np.asarray(tensor.numpy()).astype(np.float64).reshape(-1)


def vector(match: Match, name: str) -> Vector:
    """The elements of the constant ``name`` in a row."""
    array = match.constant(name)
    assert array is not None, "the guard asked for a constant"
    return np.asarray(array).astype(np.float64).reshape(-1)


def is_only_here(value: ir.Value) -> bool:
    """Whether one node alone reads ``value``: a weight others share must not be written a second time."""
    return len(value.uses()) == 1 and not value.is_graph_output()


def weight(match: Match, name: str = "w") -> str | None:
    """Why the weight ``name`` cannot be written anew, or None; silent where it is no constant."""
    value = match.value(name)
    tensor = constant_tensor(value)
    if tensor is None or tensor.dtype not in FLOATS:
        return ""
    return None if is_only_here(value) else f"the weight {value.name!r} is shared"


def is_float_constant(match: Match, *names: str) -> bool:
    """Whether each of ``names`` is a floating-point constant."""
    tensors = [constant_tensor(match.value(name)) for name in names]
    return all(tensor is not None and tensor.dtype in FLOATS for tensor in tensors)


def fits(array: Vector, dtype: ir.DataType) -> bool:
    """Whether nothing in ``array`` overflows when it is rounded to ``dtype``."""
    peak = np.max(np.abs(array), initial=0.0)
    return bool(np.isfinite(peak) and peak <= float(_finfo(dtype).max))


def keeps_precision(before: Vector, after: Vector, dtype: ir.DataType, axes: Sequence[int]) -> bool:
    """Whether no channel of ``before`` sinks, as ``after``, to where the precision of ``dtype`` ends.

    Args:
        before: a weight.
        after: the weight that is to take its place.
        dtype: the type of both.
        axes: the axes that are summed over; each slice along the others is a channel.
    """
    least = _HEADROOM * float(_finfo(dtype).tiny)
    was, is_now = (np.max(np.abs(array), axis=tuple(axes), initial=0.0) for array in (before, after))
    return not np.any((was >= least) & (is_now < least) & (is_now > 0))


def _finfo(dtype: ir.DataType) -> Any:
    finfo: Callable[[npt.DTypeLike], Any] = ml_dtypes.finfo
    return finfo(dtype.numpy())


def rounded(array: Vector, dtype: ir.DataType) -> Array:
    """``array`` in ``dtype``, rounded once."""
    with np.errstate(under="ignore", over="ignore"):
        return np.ascontiguousarray(array.astype(dtype.numpy()))


def batch_norm(match: Match, epsilon: str = "epsilon") -> tuple[Vector, Vector]:
    """Factor and shift of a BatchNormalization whose inputs are bound as scale, bias, mean and var.

    ``y = scale · (x - mean) / √(var + ε) + bias``
    """
    with np.errstate(all="ignore"):
        factor = vector(match, "scale") / np.sqrt(vector(match, "var") + _number(match.attr(epsilon)))
        return factor, vector(match, "bias") - vector(match, "mean") * factor


def _number(attribute: object) -> float:
    assert isinstance(attribute, int | float)
    return float(np.float32(attribute))


def read(value: ir.Value) -> Vector:
    """A constant's elements in float64, in its own shape."""
    array = constant_array(value)
    assert array is not None, "the guard asked for a constant"
    return np.asarray(array).astype(np.float64)
