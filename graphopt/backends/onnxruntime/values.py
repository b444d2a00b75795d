"""Inputs and outputs of dtypes numpy has not: bfloat16 and the 8-bit floats. Imports no compiler room."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphopt.backends.executable import Array, TensorInfo
from graphopt.backends.onnxruntime.session import import_onnxruntime

Run = Callable[[Sequence[str], Mapping[str, Array], None], Sequence[Array]]

FOREIGN = {
    "bfloat16": (16, "bfloat16"),
    "float8e4m3fn": (17, "float8_e4m3fn"),
    "float8e4m3fnuz": (18, "float8_e4m3fnuz"),
    "float8e5m2": (19, "float8_e5m2"),
    "float8e5m2fnuz": (20, "float8_e5m2fnuz"),
}
"""ONNX Runtime's name → (TensorProto.DataType, name in ml_dtypes)."""

_CODES = {name: code for code, name in FOREIGN.values()}


def element_type(dtype: np.dtype[np.generic]) -> Any:
    """A dtype as ONNX Runtime takes it where memory is bound: numpy's type, or ONNX's number for it."""
    return _CODES.get(dtype.name, dtype.type)


def numpy_dtype(name: str) -> np.dtype[np.generic]:
    """The dtype behind ONNX Runtime's name."""
    if name not in FOREIGN:
        return np.dtype(name)
    import ml_dtypes

    found: np.dtype[np.generic] = np.dtype(getattr(ml_dtypes, FOREIGN[name][1]))
    return found


def to_ort(array: Array) -> Any:
    """An array of the host as a value of ONNX Runtime's (its Python object), which may share its memory."""
    ort_value = import_onnxruntime().OrtValue
    array = np.require(array, requirements="C")
    code = _CODES.get(array.dtype.name)
    if code is None:
        return ort_value.ortvalue_from_numpy(array)
    return ort_value.ortvalue_from_numpy_with_onnx_type(array, code)


def run_function(session: Any, inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo]) -> Run:
    """The session's own ``run``, or one that also carries dtypes numpy has not (as ml_dtypes has them)."""
    if not any(info.dtype in FOREIGN for info in (*inputs, *outputs)):
        return session.run  # type: ignore[no-any-return]
    codes = {info.name: FOREIGN[info.dtype] for info in (*inputs, *outputs) if info.dtype in FOREIGN}

    def run(names: Sequence[str], feeds: Mapping[str, Array], options: None) -> list[Array]:
        arrays = {name: np.asarray(array, order="C") for name, array in feeds.items()}
        values = {name: _to_ort(array, codes.get(name)) for name, array in arrays.items()}
        results = session.run_with_ort_values(values, list(names), options)
        return [_from_ort(value, codes.get(name)) for name, value in zip(names, results, strict=True)]

    return run


def _to_ort(array: Array, code: tuple[int, str] | None) -> Any:
    ort_value = import_onnxruntime().OrtValue
    if code is None:
        return ort_value.ortvalue_from_numpy(array)._get_c_value()
    return ort_value.ortvalue_from_numpy_with_onnx_type(array, code[0])._get_c_value()


def _from_ort(value: Any, code: tuple[int, str] | None) -> Array:
    if code is None:
        array: Array = value.numpy()
        return array
    import ml_dtypes

    dtype = np.dtype(getattr(ml_dtypes, code[1]))
    # The memory belongs to the value, which dies with this call: copy it.
    data = ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes())
    return np.frombuffer(bytearray(data), dtype).reshape(value.shape())
