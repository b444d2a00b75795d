"""Scales and zero points of quantisers as they broadcast, and integers as TensorRT stores them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.rewrite.match import Match

Array = npt.NDArray[np.generic]

RANGES = {
    ir.DataType.INT8: (-128, 127),
    ir.DataType.UINT8: (0, 255),
    ir.DataType.INT4: (-8, 7),
    ir.DataType.UINT4: (0, 15),
    ir.DataType.INT16: (-(2**15), 2**15 - 1),
    ir.DataType.UINT16: (0, 2**16 - 1),
    ir.DataType.INT32: (-(2**31), 2**31 - 1),
    ir.DataType.INT64: (-(2**63), 2**63 - 1),
    ir.DataType.BOOL: (0, 1),
}
"""The least and the largest number of each integer type."""

SIGNED = {
    ir.DataType.INT8: ir.DataType.INT8,
    ir.DataType.UINT8: ir.DataType.INT8,
    ir.DataType.INT4: ir.DataType.INT4,
    ir.DataType.UINT4: ir.DataType.INT4,
}
"""The type TensorRT has for the numbers of each small type."""


def shift_of(kind: ir.DataType) -> int:
    """What is taken from a number of an unsigned type to make it one of the signed type of the same size."""
    return -RANGES[SIGNED[kind]][0] if RANGES[kind][0] == 0 else 0


def is_zero(match: Match, name: str) -> bool:
    """Whether a zero point is left out, or is a constant of nothing but zeros."""
    if name not in match:
        return True
    zero = match.constant(name)
    return zero is not None and not np.any(zero.astype(np.int64))


def axis_of(match: Match, value: str) -> int | None:
    """The axis that scales run along, from the front; None where the rank is not known."""
    rank, axis = match.rank(value), match.attr_int("axis")
    if rank is None or axis is None or not -rank <= axis < rank:
        return None
    return axis % rank


def layout(match: Match, value: str, scale: str) -> str | None:
    """How ``scale`` lies along ``value``: ``one``, ``axis`` or ``blocks``; None where that is not known."""
    shape, block = match.shape(scale), match.attr_int("block")
    if shape is None:
        return None
    if block:
        return "blocks"
    if len(shape) == 0 or match.static_shape(scale) == (1,):
        return "one"
    return "axis" if len(shape) == 1 and axis_of(match, value) is not None else None


def broadcast(array: Array, match: Match, value: str) -> Array:
    """A constant scale or zero point, one number or one for each slice, in a shape that broadcasts."""
    if array.size == 1 and array.ndim <= 1:
        return array.reshape(())
    rank, axis = match.rank(value), axis_of(match, value)
    assert rank is not None, "the layout was asked for"
    assert axis is not None, "the layout was asked for"
    return array.reshape((-1, *(1,) * (rank - axis - 1)))


def spread(array: Array, match: Match, value: str) -> Array:
    """A constant scale or zero point of any layout, with one number for each element of ``value``."""
    block, axis = match.attr_int("block"), axis_of(match, value)
    shape = match.static_shape(value)
    if not block or axis is None or shape is None:
        return broadcast(array, match, value)
    return np.repeat(array, block, axis=axis)[tuple(slice(size) for size in shape)]
