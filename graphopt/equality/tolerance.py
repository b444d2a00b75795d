"""Every tolerance of graphopt, and nothing else.

The limits are not absolute: they are multiples of the noise floor of the model itself (``floor.py``),
which is what one rounding error in each weight and input does to each output.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from graphopt.errors import UsageError

FACTORS = {"default": 8.0, "relaxed": 32.0}
"""How many noise floors a rounding difference may reach, per mode."""

MIN_JITTERS = 5
"""Fewer jittered runs than this underestimate the floor."""

QUANTISED_JITTERS = 12
"""Where activations are quantised a rounding error rarely shows, but then it jumps: look more often."""

SMALL_CONSTANT = 8
"""Weights of up to this many elements are not jittered: they are epsilons, scales and exponents."""

PEAK_EPS = 2.0
"""The floor of max|d| is at least this many ε of the largest output."""

RMS_EPS = 1.0
"""The floor of rms d is at least this many ε of the output's rms."""

BIMODAL = 16.0
"""Noise whose largest run is this many times its smallest, on one feed, is bimodal."""

WEAK_FLOOR = 0.01
"""A floor above this share of the largest output can hide a real difference: the check is weak."""


@dataclass(frozen=True)
class Limits:
    """What a difference may reach and still be rounding.

    Attributes:
        factor: multiples of the floor, of max|d| and of rms d alike, and of the rate at which the
            labels of the jittered original flip.
    """

    factor: float

    def ratio(self, value: float, floor: float) -> float:
        """``value`` in units of its floor; 0 when both are 0, infinite when only the floor is."""
        if value == 0.0:
            return 0.0
        return value / floor if floor > 0.0 else float("inf")


def limits(mode: str) -> Limits:
    """The limits of an equality mode.

    Raises:
        UsageError: an unknown mode.
    """
    if mode not in FACTORS:
        raise UsageError(f"unknown equality mode '{mode}'", f"one of: {', '.join(FACTORS)}")
    return Limits(FACTORS[mode])


def eps(dtype: npt.DTypeLike) -> float:
    """The relative spacing of a floating-point dtype, numpy's or ml_dtypes'."""
    return float(_finfo(dtype).eps)


def mantissa_bits(dtype: npt.DTypeLike) -> int:
    """The bits behind the point of a floating-point dtype: 23 of float32, 10 of float16, 7 of bfloat16."""
    return int(_finfo(dtype).nmant)


def largest(dtype: npt.DTypeLike) -> float:
    """The largest finite value of a floating-point dtype."""
    return float(_finfo(dtype).max)


def smallest_normal(dtype: npt.DTypeLike) -> float:
    """The smallest magnitude of a floating-point dtype that has all its digits."""
    return float(_finfo(dtype).smallest_normal)


def is_float(dtype: npt.DTypeLike) -> bool:
    """Whether values of ``dtype`` are rounded: IEEE floats, bfloat16 and the 8-bit floats."""
    try:
        _finfo(dtype)
    except ValueError:
        return False
    return True


def _finfo(dtype: npt.DTypeLike) -> Any:
    kind: Any = np.dtype(dtype)
    if kind.kind == "f":
        return np.finfo(kind)
    return ml_dtypes.finfo(kind)  # type: ignore[no-untyped-call]
