"""One random model per seed: a few inputs, then pieces that read what is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx

from tests.property import control, dense, elementwise, forms, lookups, quantised, shapes
from tests.property.builder import INT64, Array, Builder

Piece = Callable[[Builder], bool]

SUBJECTS: tuple[tuple[Piece, ...], ...] = (
    elementwise.PIECES,
    shapes.PIECES,
    dense.PIECES,
    forms.PIECES,
    control.PIECES,
    quantised.PIECES,
    lookups.PIECES,
)
_WEIGHTS = (0.2, 0.2, 0.21, 0.18, 0.08, 0.04, 0.09)


@dataclass(frozen=True)
class Random:
    """A model and feeds for it.

    Attributes:
        seed: makes the same model again.
        model: as an exporter would hand it over.
        feeds: two sets of one size; a third of other sizes, which not every model takes.
    """

    seed: int
    model: onnx.ModelProto
    feeds: tuple[dict[str, Array], ...]


def random_model(seed: int) -> Random:
    """The model of a seed: 2 to 12 pieces, mostly float32, mostly with dims left open."""
    rng = np.random.default_rng([20, seed])
    dtype = np.dtype(rng.choice(["float32", "float16", "float64"], p=[0.84, 0.1, 0.06]))
    opset = int(rng.choice([15, 17, 18, 21, 23]))
    if dtype == np.float64 and opset == 18:
        opset = 17  # by chance ONNX Runtime runs Elu, Mish… in float64 at this one opset only
    builder = Builder(rng, dtype, opset)
    _inputs(builder)
    for _ in range(int(rng.integers(2, 13))):
        subject = SUBJECTS[int(rng.choice(len(SUBJECTS), p=_WEIGHTS))]
        builder.one_of(subject)(builder)
    if len(builder.values) == len(builder.inputs):
        elementwise.unary(builder)
    return Random(seed, builder.model(), tuple(builder.feeds()))


def _inputs(b: Builder) -> None:
    """An image, tokens, rows, a vector or indices: one or two of them."""
    batch = b.dim(2, 3) if b.chance(0.6) else 2
    length = b.dim(5, 4) if b.chance(0.5) else 5
    for kind in b.rng.choice(5, b.number(1, 2), replace=False, p=[0.34, 0.24, 0.16, 0.12, 0.14]):
        if kind == 0:
            b.input((batch, b.one_of((1, 2, 4)), b.one_of((4, 6)), b.one_of((4, 6))))
        elif kind == 1:
            b.input((batch, length, b.one_of((4, 6, 8))))
        elif kind == 2:
            b.input((batch, b.one_of((4, 6, 8))))
        elif kind == 3:
            b.input((length, b.one_of((1, 3)), 4) if b.chance() else (6,))
        else:
            b.input((batch, length), INT64)
    if all(v.dtype != b.real for v in b.inputs):
        forms.embedding(b)
