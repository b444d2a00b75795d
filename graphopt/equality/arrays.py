"""What the arrays of one run look like: floating-point or not, and runs flattened to named arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from graphopt.equality.tolerance import is_float

Array = npt.NDArray[np.generic]
Float64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

KEYS = "[keys]"
"""What the name of a flattened map's keys ends with."""


def flatten_outputs(outputs: Mapping[str, object]) -> dict[str, Array]:
    """The outputs of one run as named arrays.

    A sequence becomes ``name[0]``, ``name[1]`` …, a map ``name[keys]`` and ``name[values]``, and a
    sequence of maps the same per element; an optional without a value is left out.
    """
    flat: dict[str, Array] = {}
    for name, value in outputs.items():
        _flatten(name, value, flat)
    return flat


def _flatten(name: str, value: object, into: dict[str, Array]) -> None:
    if value is None:
        return
    if isinstance(value, Mapping):
        into[f"{name}{KEYS}"] = np.asarray(list(value))
        into[f"{name}[values]"] = np.asarray(list(value.values()))
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for index, item in enumerate(value):
            _flatten(f"{name}[{index}]", item, into)
    else:
        into[name] = np.asarray(value)


def same_bits(a: Array, b: Array) -> bool:
    """Whether two arrays agree in dtype, shape and every bit; any NaN equals any NaN, -0 is not +0."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if not is_float(a.dtype):
        return bool(np.array_equal(a, b))
    x, y = bits(a), bits(b)
    if np.array_equal(x, y):
        return True
    return bool(np.all((x == y) | (np.isnan(a) & np.isnan(b))))


def bits(array: Array) -> Array:
    """The array's bit patterns as signed integers of the same size; a view where possible."""
    return np.ascontiguousarray(array).view(f"i{array.dtype.itemsize}")
