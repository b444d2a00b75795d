"""Constants in a lower precision: whether one survives it, and the copy."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx_ir as ir

PRECISIONS = {"float16": ir.DataType.FLOAT16, "bfloat16": ir.DataType.BFLOAT16}
"""The lower precisions, as options of passes spell them."""

_LOST = 2.0
"""A constant whose rms error is more than this many ε of its rms has lost digits that it had."""

_CHUNK = 1 << 18


def largest(to: ir.DataType) -> float:
    """The largest finite value of ``to``."""
    return float(ml_dtypes.finfo(to.numpy()).max)  # type: ignore[no-untyped-call]


_known: WeakKeyDictionary[ir.TensorProtocol, dict[ir.DataType, str]] = WeakKeyDictionary()
"""What ``damage`` found: conversions of one model that keep different nodes ask for the same tensors."""


def is_endless(tensor: ir.TensorProtocol, to: ir.DataType) -> bool:
    """Whether a single number is beyond the range of ``to``: as a bound, it bounds nothing."""
    return tensor.size == 1 and abs(float(tensor.numpy().item())) > largest(to)


def damage(tensor: ir.TensorProtocol, to: ir.DataType) -> str:
    """Why ``tensor`` may not be rounded to ``to``, or an empty string.

    A value may not become infinite, and no more may be lost below the smallest than rounding costs: an
    epsilon of 1e-12 would be none.
    """
    known = _known.setdefault(tensor, {})
    if to not in known:
        known[to] = _damage(tensor, to)
    return known[to]


def _damage(tensor: ir.TensorProtocol, to: ir.DataType) -> str:
    eps = float(ml_dtypes.finfo(to.numpy()).eps)  # type: ignore[no-untyped-call]
    flat = tensor.numpy().reshape(-1)
    error, power = 0.0, 0.0
    for start in range(0, flat.size, _CHUNK):
        exact = flat[start : start + _CHUNK].astype(np.float64)
        rounded = _round(flat[start : start + _CHUNK], to).astype(np.float64)
        finite = np.isfinite(exact)
        if not np.isfinite(rounded[finite]).all():
            return f"it holds {np.abs(exact[finite]).max():.3g}, the largest is {largest(to):.5g}"
        exact, rounded = exact[finite], rounded[finite]
        error += float(np.dot(exact - rounded, exact - rounded))
        power += float(np.dot(exact, exact))
    if error > (_LOST * eps) ** 2 * power:
        lost = np.sqrt(error / power)
        return f"rounded, {lost:.2g} of it would be lost" if lost < 1 else "it would vanish"
    return ""


def converted(tensor: ir.TensorProtocol, to: ir.DataType, name: str) -> ir.TensorProtocol:
    """A copy of a float32 tensor rounded to ``to``; what is beyond the range becomes the largest."""
    array = tensor.numpy()
    rounded = _round(array, to)
    beyond = np.isinf(rounded) & np.isfinite(array)
    if beyond.any():
        rounded = np.where(beyond, np.where(array > 0, largest(to), -largest(to)).astype(to.numpy()), rounded)
    return ir.Tensor(rounded, dtype=to, name=name)


def _round(array: npt.NDArray[np.generic], to: ir.DataType) -> npt.NDArray[np.generic]:
    with np.errstate(over="ignore"):
        return np.asarray(array.astype(to.numpy()))
