"""The two layouts of a value: plain, [N, C, spatial…] as ONNX has it, and channels-last, [N, spatial…, C]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import onnx_ir as ir

from graphopt.backends.native.plan import Dim, Value

T = TypeVar("T")


def axes_last(rank: int) -> tuple[int, ...]:
    """The permutation to channels-last: axis of the plain value at each place."""
    return (0, *range(2, rank), 1)


def axes_first(rank: int) -> tuple[int, ...]:
    """The permutation back: axis of the channels-last value at each place."""
    return (0, rank - 1, *range(1, rank - 1))


def to_last(items: Sequence[T]) -> tuple[T, ...]:
    """One item per plain axis in channels-last order."""
    return tuple(items[axis] for axis in axes_last(len(items)))


def place_of(axis: int, rank: int) -> int:
    """Where a plain axis, which may be negative, is in a channels-last value."""
    return axes_first(rank)[axis % rank]


def transposed(value: Value, perm: Sequence[int]) -> Value:
    """A constant in another order of its axes."""
    assert value.tensor is not None, "only constants are rearranged"
    assert value.dims is not None
    array = np.ascontiguousarray(np.transpose(value.tensor.numpy(), perm))
    tensor = ir.Tensor(array, dtype=value.tensor.dtype, name=value.name)
    return Value(value.name, value.dtype, tuple(value.dims[axis] for axis in perm), tensor)


def reshaped(value: Value, dims: Sequence[int]) -> Value:
    """A constant under other dims."""
    assert value.tensor is not None
    array = np.ascontiguousarray(value.tensor.numpy()).reshape(tuple(dims))
    return Value(
        value.name, value.dtype, tuple(dims), ir.Tensor(array, dtype=value.tensor.dtype, name=value.name)
    )


def bytes_of(value: Value) -> int:
    """About how many bytes a value has; unknown batches count as one, other unknown dims as 64."""
    count = 4 if value.dtype is None else max(value.dtype.bitwidth // 8, 1)
    for axis, dim in enumerate(value.dims or ()):
        count *= dim if isinstance(dim, int) else 1 if axis == 0 else 64
    return count


def turns_for_free(dims: Sequence[Dim]) -> bool:
    """Whether both layouts are the same bytes: one channel, or one pixel."""
    return dims[1] == 1 or all(dim == 1 for dim in dims[2:])
