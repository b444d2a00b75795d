"""Initializers that a session takes from mapped memory: the table in a region's options. Light."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from graphopt.backends.executable import Array
from graphopt.backends.onnxruntime.session import import_onnxruntime
from graphopt.errors import ArtifactError

# ONNX's TensorProto.DataType → a numpy dtype of the same width; 4-bit types stay in the protobuf.
_STORAGE = {
    code: dtype
    for dtype, codes in {
        "?": (9,),
        "u1": (2, 17, 18, 19, 20),
        "i1": (3,),
        "<u2": (4, 16),
        "<i2": (5,),
        "<f2": (10,),
        "<i4": (6,),
        "<u4": (12,),
        "<f4": (1,),
        "<i8": (7,),
        "<u8": (13,),
        "<f8": (11,),
        "<c8": (14,),
        "<c16": (15,),
    }.items()
    for code in codes
}


def attach_weights(options: Any, table: object, weights: memoryview | None) -> Sequence[Array]:
    """Make sessions opened with ``options`` read initializers where they lie; nothing is copied.

    Args:
        options: onnxruntime.SessionOptions.
        table: ``{name: [onnx data type, offset in bytes, [dims]]}``; untrusted.
        weights: the mapped weights file.

    Returns:
        The arrays: they must outlive the session.

    Raises:
        ArtifactError: the table is malformed or points outside the file.
    """
    if not isinstance(table, dict):
        raise ArtifactError("a region's table of initializers is not an object")
    if not table:
        return []
    arrays = [_view(name, row, weights) for name, row in table.items()]
    make = import_onnxruntime().OrtValue.ortvalue_from_numpy_with_onnx_type
    values = [make(array, row[0]) for array, row in zip(arrays, table.values(), strict=True)]
    options.add_external_initializers(list(table), values)
    return arrays


def can_attach(onnx_type: int) -> bool:
    """Whether ``attach_weights`` can hand over initializers of this TensorProto.DataType."""
    return onnx_type in _STORAGE


def _view(name: str, row: object, weights: memoryview | None) -> Array:
    match row:
        case [int(kind), int(offset), list(dims)] if kind in _STORAGE and offset >= 0:
            pass
        case _:
            raise ArtifactError(f"the table entry of initializer '{name}' is malformed")
    if not all(isinstance(d, int) and 0 <= d < 1 << 48 for d in dims):
        raise ArtifactError(f"the table entry of initializer '{name}' has an impossible shape")
    dtype = np.dtype(_STORAGE[kind])
    size = prod(dims) * dtype.itemsize
    if weights is None or offset + size > weights.nbytes or offset % dtype.itemsize:
        raise ArtifactError(f"initializer '{name}' lies outside the weights file")
    return np.frombuffer(weights, dtype, prod(dims), offset).reshape(dims)
