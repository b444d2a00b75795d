"""Values for one input: random, of the kind the graph expects, and different in each value set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from graphopt.equality.arrays import Array, Float64
from graphopt.equality.roles import Kind, Role

_WORDS = ("alpha", "beta", "gamma", "delta", "the quick brown fox", "Zürich", "")
_MINUS_INFINITY = -1e4
"""What additive masks hold for "do not look"; finite in float16."""


@dataclass(frozen=True)
class Draw:
    """What one array is drawn from.

    Attributes:
        role: what the input means.
        shape: of the array.
        rng: the source of randomness.
        variant: number of the value set: each looks at the model from another side.
        scale: factor on the size of float values, away from 1 when outputs were uninformative.
        longest: the length that counts of elements may reach.
    """

    role: Role
    shape: tuple[int, ...]
    rng: np.random.Generator
    variant: int = 0
    scale: float = 1.0
    longest: int = 1


def make_values(draw: Draw) -> Array:
    """An array for one input, of the input's dtype."""
    role = draw.role
    values = np.asarray(_MAKERS[role.kind](draw))
    dtype = role.port.numpy_dtype()
    if role.kind in _FLOATS:
        # Through float32 first: numpy cannot cast float64 to every 8-bit float.
        scaled = values.astype(np.float64) * (role.peak * draw.scale)
        # NumPy makes a product without axes a scalar, which is no array.
        return np.asarray(np.asarray(scaled, np.float32).astype(dtype))
    return values.astype(dtype)


def _indices(draw: Draw) -> Array:
    """Rows of a table: uniform, crowded towards its start, or a few rows again and again."""
    high, rng = draw.role.high, draw.rng
    if draw.variant % 3 == 1:
        return np.floor(high * rng.random(draw.shape) ** 4).astype(np.int64)
    if draw.variant % 3 == 2:
        return rng.choice(rng.integers(0, high, 6), draw.shape)
    return rng.integers(0, high, draw.shape)


def _integers(draw: Draw) -> Array:
    return draw.rng.integers(1, draw.role.high, draw.shape)


def _bytes(draw: Draw) -> Array:
    low = -128 if draw.role.port.dtype == ir.DataType.INT8 else 0
    return draw.rng.integers(low, low + 256, draw.shape)


def _lengths(draw: Draw) -> Array:
    return np.full(draw.shape, max(1, draw.longest - draw.variant % 2))


def _choices(draw: Draw) -> Array:
    return np.full(draw.shape, draw.role.choices[0])


def _mask(draw: Draw) -> Array:
    """Ones with zeros among them; the first of each row is a one, so that no row is empty.

    The first set pads each row at its end by a quarter, the second by another amount per row, the
    third strews holes.
    """
    if not draw.shape:
        return np.ones((), np.int64)
    length, rng = draw.shape[-1], draw.rng
    rows = int(np.prod(draw.shape[:-1], dtype=np.int64))
    position = np.arange(length)
    if draw.variant % 3 == 0:
        kept = np.broadcast_to(position < length - max(1, length // 4), (rows, length))
    elif draw.variant % 3 == 1:
        kept = position[None, :] < rng.integers(max(1, length // 2), length + 1, (rows, 1))
    else:
        kept = rng.random((rows, length)) < 0.75
    mask = kept.astype(np.int64)
    mask[:1, -1] = 0
    mask[:, :1] = 1
    return mask.reshape(draw.shape)


def _bias(draw: Draw) -> Array:
    return np.where(_mask(draw) == 1, 0.0, _MINUS_INFINITY)


def _text(draw: Draw) -> Array:
    words = np.array(draw.role.words or _WORDS, dtype=object)
    return words[draw.rng.integers(0, len(words), draw.shape)]


def _reals(draw: Draw) -> Float64:
    return draw.rng.standard_normal(draw.shape)


def _state(draw: Draw) -> Float64:
    return 0.3 * draw.rng.standard_normal(draw.shape)


def _positive(draw: Draw) -> Float64:
    return draw.rng.uniform(0.2, 1.5, draw.shape) * (1.0, 8.0, 0.3)[draw.variant % 3]


def _image(draw: Draw) -> Float64:
    """Noise, a page with dark marks, or a smooth gradient; within ±2, or 0 to 1 for raw pixels."""
    if draw.role.channels == 3 and len(draw.shape) == 4:
        planes = tuple(draw.shape[axis] for axis in (0, 3, 1, 2))
        first = replace(draw, shape=planes, role=replace(draw.role, channels=1))
        return np.moveaxis(_image(first), 1, 3)
    if len(draw.shape) < 2 or draw.variant % 3 == 0:
        picture = _reals(draw)
    elif draw.variant % 3 == 1:
        picture = _page(draw)
    else:
        picture = _gradient(draw)
    return np.clip(picture / 4 + 0.5, 0, 1) if draw.role.peak > 1 else picture


def _page(draw: Draw) -> Float64:
    (height, width), rng = draw.shape[-2:], draw.rng
    page = np.full((height, width), 1.0)
    for _ in range(12):
        top, left = rng.integers(0, height), rng.integers(0, width)
        rows, columns = 1 + rng.integers(0, max(1, height // 6)), 1 + rng.integers(0, max(1, width // 3))
        page[top : top + rows, left : left + columns] = rng.uniform(-1.8, 0.5)
    return page + 0.05 * _reals(draw)


def _gradient(draw: Draw) -> Float64:
    y = np.linspace(-1, 1, draw.shape[-2])[:, None]
    x = np.linspace(-1, 1, draw.shape[-1])[None, :]
    a, b, c = draw.rng.uniform(-1, 1, 3)
    waves: Float64 = np.sin(3 * (a * x + b * y) + c)
    return waves + 0.1 * _reals(draw)


def _audio(draw: Draw) -> Float64:
    """Noise, a chord, or bursts between silence, along the longest axis; within ±0.5."""
    noise, shape = _reals(draw), draw.shape
    if not shape or draw.variant % 3 == 0:
        return 0.1 * noise
    axis = int(np.argmax(shape))
    time = np.arange(shape[axis]).reshape([-1 if i == axis else 1 for i in range(len(shape))])
    if draw.variant % 3 == 1:
        pitches = draw.rng.uniform(0.005, 0.12, 3)
        chord = sum((np.sin(2 * np.pi * p * time) for p in pitches), np.zeros(time.shape))
        return 0.1 * chord + 0.01 * noise
    loud = np.sin(2 * np.pi * 4 * time / max(1, shape[axis])) > 0
    return np.where(loud, 0.2, 0.002) * noise


_FLOATS = (Kind.IMAGE, Kind.AUDIO, Kind.POSITIVE, Kind.STATE, Kind.REAL)
_MAKERS: dict[Kind, Callable[[Draw], Array] | Callable[[Draw], Float64]] = {
    Kind.INDEX: _indices,
    Kind.INTEGER: _integers,
    Kind.BYTES: _bytes,
    Kind.LENGTH: _lengths,
    Kind.CHOICE: _choices,
    Kind.MASK: _mask,
    Kind.BIAS: _bias,
    Kind.TEXT: _text,
    Kind.IMAGE: _image,
    Kind.AUDIO: _audio,
    Kind.POSITIVE: _positive,
    Kind.STATE: _state,
    Kind.REAL: _reals,
}
