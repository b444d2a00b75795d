"""How far one array is from another: the raw figures, without a judgement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from graphopt.equality.arrays import Array, Bools, Float64
from graphopt.equality.tolerance import is_float

_CHUNK = 1 << 18


@dataclass(frozen=True)
class Spread:
    """The difference of two floating-point arrays of one shape, over the places finite in both.

    Attributes:
        max_abs: the largest |a - b|.
        rms: the root mean square of a - b.
        moved: places where one of the two is NaN or infinite and the other is not the same; None
            when there are none.
    """

    max_abs: float
    rms: float
    moved: Bools | None = None


@dataclass(frozen=True)
class Size:
    """How large the finite values of an array are.

    Attributes:
        peak: the largest |a|.
        rms: the root mean square of a.
        finite: how many values are finite.
    """

    peak: float
    rms: float
    finite: int


def spread(a: Array, b: Array) -> Spread:
    """The difference of two floating-point arrays of one shape."""
    peak, squares, count, moved = 0.0, 0.0, 0, False
    for x, y in zip(_chunks(a), _chunks(b), strict=True):
        with np.errstate(invalid="ignore", over="ignore"):
            d = x - y
        finite = np.isfinite(d)
        if not finite.all():
            moved = moved or not _same_nonfinite(x, y)
            d = d[finite]
        if d.size:
            peak = max(peak, float(np.max(np.abs(d))))
            squares += float(np.dot(d, d))
            count += d.size
    rms = float(np.sqrt(squares / count)) if count else 0.0
    return Spread(peak, rms, _moved_places(a, b) if moved else None)


def size(a: Array) -> Size:
    """The magnitude of a floating-point array."""
    peak, squares, count = 0.0, 0.0, 0
    for x in _chunks(a):
        finite = x[np.isfinite(x)]
        if finite.size:
            peak = max(peak, float(np.max(np.abs(finite))))
            squares += float(np.dot(finite, finite))
            count += finite.size
    return Size(peak, float(np.sqrt(squares / count)) if count else 0.0, count)


def mismatches(a: Array, b: Array) -> Bools:
    """Where two arrays of integers, booleans or strings of one shape differ."""
    return np.asarray(a != b, np.bool_)


def comparable(a: Array, b: Array) -> str:
    """Why ``a`` and ``b`` cannot be compared element by element, or an empty string."""
    if a.shape != b.shape:
        return f"shape {list(b.shape)} instead of {list(a.shape)}"
    if a.dtype != b.dtype and not (a.dtype.kind in "OSU" and b.dtype.kind in "OSU"):
        return f"dtype {b.dtype} instead of {a.dtype}"
    return ""


def _chunks(a: Array) -> Iterator[Float64]:
    """The values in order, a piece at a time, in float64: a whole copy could exceed memory."""
    flat = a.reshape(-1)
    for start in range(0, flat.size, _CHUNK):
        yield flat[start : start + _CHUNK].astype(np.float64)


def _same_nonfinite(x: Float64, y: Float64) -> bool:
    odd = ~(np.isfinite(x) & np.isfinite(y))
    return bool(np.array_equal(x[odd], y[odd], equal_nan=True))


def _moved_places(a: Array, b: Array) -> Bools:
    assert is_float(a.dtype)
    x, y = a.astype(np.float64), b.astype(np.float64)
    odd = ~(np.isfinite(x) & np.isfinite(y))
    same = (x == y) | (np.isnan(x) & np.isnan(y))
    return np.asarray(odd & ~same, np.bool_)
