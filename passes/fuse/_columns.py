"""Constants with one number per column of a product: stretched to all columns, and set side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.rewrite.constants import constant_array, constant_tensor

Array = npt.NDArray[np.generic]


def is_per_column(value: ir.Value | None, columns: int, rank: int | None, axis: int = -1) -> bool:
    """Whether ``value`` is a constant that is one number, or one number per column, and enlarges nothing.

    Args:
        value: the constant.
        columns: the size of the axis of what it is combined with that holds the columns.
        rank: the rank of that; None where no axis before is certain.
        axis: where the columns are, counted from the end.
    """
    tensor = constant_tensor(value)
    if tensor is None:
        return False
    dims = dict(enumerate(tensor.shape.numpy(), start=-len(tensor.shape)))
    if len(dims) > (-axis if rank is None else rank):
        return False
    return all(dim == 1 or (index == axis and dim == columns) for index, dim in dims.items())


def side_by_side(values: Sequence[ir.Value], columns: Sequence[int], axis: int = -1) -> Array:
    """The constants of several products as one: a scalar where they all are the same number.

    Every value passed ``is_per_column`` with ``axis``; their element types are equal.
    """
    arrays = [_array(value).reshape(-1) for value in values]
    first = arrays[0]
    if all(array.size == 1 and array.tobytes() == first.tobytes() for array in arrays):
        return first.reshape(())
    stretched = [np.broadcast_to(array, (width,)) for array, width in zip(arrays, columns, strict=True)]
    return np.ascontiguousarray(np.concatenate(stretched)).reshape(-1, *(1,) * (-1 - axis))


def joined(values: Sequence[ir.Value], axis: int) -> Array:
    """Weights one beside the other along ``axis``."""
    return np.ascontiguousarray(np.concatenate([_array(value) for value in values], axis=axis))


def _array(value: ir.Value) -> Array:
    array = constant_array(value)
    assert array is not None, "only constants are set side by side"
    return array
