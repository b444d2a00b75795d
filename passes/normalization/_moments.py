"""What the passes that recognise normalisations share: their pieces as text, and what guards ask of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.rewrite.draw import Draw
from graphopt.rewrite.match import Dim, Match
from graphopt.rewrite.replacement import Replacement

SINGLES = (ir.DataType.FLOAT16, ir.DataType.FLOAT)
"""Types that the standard normalisations compute in float32 or better: float64 would lose digits."""

LARGEST = 1 << 14
"""Elements of a neutral scale: where more would have to be stored, the pieces stay."""

_MEAN = """
    m = ReduceMean <noop_with_empty_axes = @noop_m> (x, axes_m)
    d = Sub (x, m)
"""
_ROOT = """
    e = Add (v, epsilon)
    q = Sqrt (e)
    r = Reciprocal (q) | Div (1.0, q)
"""
CENTRED = f"""
    {_MEAN}
    s = Mul (d, d) | Pow (d, 2.0)
    v = ReduceMean <noop_with_empty_axes = @noop_v> (s, axes_v)
    {_ROOT}
"""
"""Mean, distance from it, mean of its square, the root of that."""

UNCENTRED = f"""
    {_MEAN}
    p = Mul (x, x)
    f = ReduceMean <noop_with_empty_axes = @noop_v> (p, axes_v)
    t = Mul (m, m)
    u = Sub (f, t)
    v = Relu (u) | u
    {_ROOT}
"""
"""The same with the variance as the mean of squares less the square of the mean, which cancels more."""

QUOTIENT = "n = Mul (d, r) | Div (d, q)"
"""The distance from the mean in units of the deviation."""


def trailing(match: Match, *axes: str) -> int | str:
    """How many trailing axes of x all the named constants reduce over, or why that cannot be said."""
    rank = match.rank("x")
    if rank is None:
        return "the rank of its operand is unknown"
    found = {_normal(match.ints(name), rank) for name in axes}
    if len(found) != 1 or None in found:
        return "mean and variance are taken over different or unknown axes"
    (only,) = found
    assert only is not None
    if not only or only != tuple(range(rank - len(only), rank)):
        return f"the axes {list(only)} of {rank} are not the last ones"
    return len(only)


def _normal(axes: tuple[int, ...] | None, rank: int) -> tuple[int, ...] | None:
    return None if axes is None else tuple(sorted({axis % rank for axis in axes}))


def static(dims: Sequence[Dim]) -> tuple[int, ...] | None:
    """The dims when every one is a number."""
    return tuple(d for d in dims if isinstance(d, int)) if all(isinstance(d, int) for d in dims) else None


def number(match: Match, name: str) -> float | None:
    """The number that a constant of one element holds."""
    array = match.constant(name)
    return float(np.asarray(array, np.float64).reshape(())) if array is not None and array.size == 1 else None


def filled(shape: Sequence[int], value: float, like: ir.DataType | None) -> npt.NDArray[np.generic]:
    """A constant of one number."""
    kind = (like or ir.DataType.FLOAT).numpy()
    return np.full(shape, value).astype(kind)


def epsilon_miss(match: Match) -> str | None:
    """Why ε is not a number that an attribute can hold, or None."""
    epsilon = number(match, "epsilon")
    if epsilon is None:
        return "the number that is added to the variance is computed"
    return None if 0 <= epsilon < np.inf else f"{epsilon} is no ε"


def last_axes_miss(match: Match, op: str, *axes: str) -> str | None:
    """Why a normalisation over ``axes`` cannot be ``op`` with a scale of ones over the last axes, or None."""
    if match.dtype("x") not in SINGLES:
        return f"{op} computes in float32"
    count = trailing(match, *axes)
    if isinstance(count, str):
        return count
    dims = static((match.shape("x") or ())[-count:])
    if dims is None:
        return "the size of the normalised axes is unknown"
    if math.prod(dims) > LARGEST:
        return f"a scale of {math.prod(dims)} ones would have to be stored"
    return epsilon_miss(match)


def over_last_axes(match: Match, op: str, *axes: str) -> Replacement:
    """``n`` as ``op`` of x over the last axes, with a scale of ones."""
    count = trailing(match, *axes)
    assert isinstance(count, int), "the guard has seen to it"
    dims = static((match.shape("x") or ())[-count:]) or ()
    return Replacement(
        f"n = {op} <axis = @axis, epsilon = @epsilon> (x, scale)",
        constants={"scale": filled(dims, 1.0, match.dtype("x"))},
        attributes={"axis": -count, "epsilon": number(match, "epsilon") or 0.0},
    )


def draw_moments(draw: Draw, shape: Sequence[int | str], axes: Sequence[int], epsilon: float = 1e-3) -> None:
    """Draws what ``NORMAL`` needs: x, the axes of both means, ε."""
    draw.input("x", *shape)
    for name in ("axes_m", "axes_v"):
        signed = [axis - len(shape) if draw.flag() else axis for axis in axes]
        draw.constant(name, np.asarray(signed, np.int64))
    for name in ("noop_m", "noop_v"):
        draw.attribute(name, draw.choice(0, 1))
    draw.constant("epsilon", np.asarray(epsilon).reshape(draw.choice((), (1,))).astype(draw.dtype.numpy()))
