"""Constants with one number per column of a product: stretched to all columns, and set side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.rewrite.constants import constant_array, constant_tensor

Array = npt.NDArray[np.generic]


def is_per_column(value: ir.Value | None, columns: int, rank: int | None) -> bool:
    """Whether ``value`` is a constant that is one number, or one number per column, and enlarges nothing.

    Args:
        value: the constant.
        columns: the size of the last axis of what it is combined with.
        rank: the rank of that; None where only the last axis is certain.
    """
    tensor = constant_tensor(value)
    if tensor is None:
        return False
    dims = tuple(tensor.shape.numpy())
    if len(dims) > (1 if rank is None else rank) or any(dim != 1 for dim in dims[:-1]):
        return False
    return not dims or dims[-1] in (1, columns)


def side_by_side(values: Sequence[ir.Value], columns: Sequence[int]) -> Array:
    """The constants of several products as one: a scalar where they all are the same number.

    Every value passed ``is_per_column``; their element types are equal.
    """
    arrays = [_array(value).reshape(-1) for value in values]
    first = arrays[0]
    if all(array.size == 1 and array.tobytes() == first.tobytes() for array in arrays):
        return first.reshape(())
    stretched = [np.broadcast_to(array, (width,)) for array, width in zip(arrays, columns, strict=True)]
    return np.ascontiguousarray(np.concatenate(stretched))


def joined(values: Sequence[ir.Value], axis: int) -> Array:
    """Weights one beside the other along ``axis``."""
    return np.ascontiguousarray(np.concatenate([_array(value) for value in values], axis=axis))


def _array(value: ir.Value) -> Array:
    array = constant_array(value)
    assert array is not None, "only constants are set side by side"
    return array
