"""Scales and biases of normalisations: which vector a broadcast operand stands for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.passes.normalization._moments import static
from graphopt.rewrite.match import Match

Array = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Place:
    """Where the vectors of a normalisation lie in its result.

    Attributes:
        rank: axes of the result.
        first: the first axis they lie along.
        dims: their shape.
    """

    rank: int
    first: int
    dims: tuple[int, ...]

    def vector(self, array: Array) -> Array | None:
        """``array``, broadcast against the result, as a vector here; None where it varies elsewhere."""
        if array.ndim > self.rank:
            return None
        padded = array.reshape((1,) * (self.rank - array.ndim) + array.shape)
        last = self.first + len(self.dims)
        if math.prod(padded.shape[: self.first]) != 1 or math.prod(padded.shape[last:]) != 1:
            return None
        inner = padded.shape[self.first : last]
        if any(have not in (1, want) for have, want in zip(inner, self.dims, strict=True)):
            return None
        return np.array(np.broadcast_to(padded.reshape(inner), self.dims))

    def is_vector(self, value: ir.Value) -> bool:
        """Whether ``value`` lies here as it stands: along the last axes, and of their size."""
        shape = None if value.shape is None else static(tuple(value.shape))
        return shape == self.dims and self.first + len(self.dims) == self.rank


def last_axes(match: Match) -> Place | None:
    """Where scale and bias of LayerNormalization and RMSNormalization lie."""
    shape, axis = match.shape("x"), match.attr_int("axis")
    if shape is None or axis is None:
        return None
    first = axis % len(shape)
    dims = static(shape[first:])
    return None if dims is None else Place(len(shape), first, dims)


def channels(match: Match) -> Place | None:
    """Where scale and bias of InstanceNormalization and GroupNormalization lie."""
    shape = match.shape("x")
    if shape is None or len(shape) < 2 or not isinstance(shape[1], int):
        return None
    return Place(len(shape), 1, (shape[1],))


def combined(a: Array, b: Array, like: Array, *, add: bool = False) -> Array | None:
    """a · b or a + b, rounded once to the type of ``like``; None where that would overflow."""
    wide = a.astype(np.float64) + b.astype(np.float64) if add else a.astype(np.float64) * b.astype(np.float64)
    with np.errstate(over="ignore"):
        made = wide.astype(like.dtype)
    return made if bool(np.all(np.isfinite(made.astype(np.float64)))) else None


def is_filled(array: Array | None, number: float) -> bool:
    """Whether every element is ``number``."""
    return array is not None and bool(np.all(array == number))


def fits(array: Array | None, dims: Sequence[int]) -> Array | None:
    """``array`` broadcast to ``dims``, or None."""
    if array is None or array.ndim > len(dims):
        return None
    try:
        return np.array(np.broadcast_to(array, tuple(dims)))
    except ValueError:
        return None
