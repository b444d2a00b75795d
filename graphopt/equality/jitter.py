"""Move floating-point values by one unit in the last place, of their own precision or of a lower one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from graphopt.equality.arrays import Array, bits
from graphopt.equality.tolerance import is_float, largest, mantissa_bits

_CHUNK = 1 << 16
"""Elements at a time: the temporaries stay in the cache."""


def jitter(
    source: Array,
    rng: np.random.Generator,
    out: Array | None = None,
    precision: npt.DTypeLike | None = None,
) -> Array:
    """``source`` with every value moved by ±1 ulp; zeros, infinities, NaN and the extremes stay.

    Args:
        source: of a floating-point dtype, any shape; never modified.
        rng: decides the directions.
        out: a C-contiguous array of the same dtype and shape to write into; None makes one.
        precision: the dtype whose ulp is meant, None for the array's own. Its exponent is taken to have
            no end: what vanishes below the smallest float16 is moved as little as it is large.
    """
    if out is None:
        out = np.empty(source.shape, source.dtype)
    before, after = bits(source).reshape(-1), out.view(f"i{out.dtype.itemsize}").reshape(-1)
    # The largest finite magnitude may not become infinite: it often stands for minus infinity.
    extreme = bits(np.array([largest(source.dtype)], source.dtype))[0]
    ulp = 1 << (0 if precision is None else max(mantissa_bits(source.dtype) - mantissa_bits(precision), 0))
    for start in range(0, before.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        _move(before[part], after[part], extreme, ulp, rng)
    return out


def _move(
    before: npt.NDArray[Any], after: npt.NDArray[Any], extreme: Any, ulp: int, rng: np.random.Generator
) -> None:
    """Bit patterns grow with the magnitude, so one ulp is one step of the integer (2ⁿ of a shorter type)."""
    up = np.unpackbits(rng.integers(0, 256, (before.size + 7) // 8, np.uint8), count=before.size)
    step = up.astype(before.dtype)
    step *= 2
    step -= 1
    step *= ulp
    magnitude = before & np.iinfo(before.dtype).max
    step *= (magnitude >= ulp) & (magnitude <= extreme - ulp)
    np.add(before, step, out=after)


def holds_exact_values(array: Array, *, is_input: bool) -> bool:
    """Whether the values mean themselves and no measurement: masks, one-hot rows, counts, positions.

    A mask of zeros and ones enters graphs as ``(1 - mask) * -3.4e38``, where an ulp would make 2e31.
    So arrays of integers stay: always for an input, and for a weight when some of them are zero.
    """
    if not is_float(array.dtype) or array.size == 0:
        return True
    flat = array.reshape(-1)
    for start in range(0, flat.size, _CHUNK):
        part = flat[start : start + _CHUNK].astype(np.float64)
        finite = part[np.isfinite(part)]
        if not np.array_equal(finite, np.rint(finite)):
            return False
    return is_input or bool(np.any(flat == 0))
