"""ConvolveFrames: overlapping frames times a matrix are a convolution with a stride."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule

_FEWEST = 2
"""Frames: one is no convolution."""


def _hop(match: Match) -> int | str:
    """By how much one frame begins after the other, or why they are no frames of the whole signal."""
    indices, shape = match.constant("i"), match.shape("x")
    if indices is None or indices.ndim != 2 or shape is None or len(shape) != 2:
        return ""
    if match.attr_int("axis") not in (1, -1) or indices.shape[0] < _FEWEST or indices.shape[1] < 1:
        return ""
    hop = int(indices[1, 0] - indices[0, 0])
    frames, size = indices.shape
    if hop < 1 or not np.array_equal(indices, hop * np.arange(frames)[:, None] + np.arange(size)[None]):
        return "its indices are no frames"
    length = shape[1]
    if not isinstance(length, int) or (length - size) // hop + 1 != frames:
        return "its frames do not cover the signal"
    return hop


def _may_convolve(match: Match) -> str | None:
    hop, matrix, indices = _hop(match), match.constant("w"), match.constant("i")
    if isinstance(hop, str):
        return hop
    if matrix is None or indices is None or matrix.ndim != 2 or len(matrix) != indices.shape[1]:
        return "its frames are not multiplied by a constant matrix"
    if len(match.value("w").uses()) != 1:
        return "its matrix is used elsewhere too"
    window = match.constant("v") if "v" in match else np.ones((), matrix.dtype)
    if window is None or window.shape not in (
        (),
        (1,),
        (len(matrix),),
        (1, len(matrix)),
        (1, 1, len(matrix)),
    ):
        return "its window is computed, or differs from frame to frame"
    return None


def _convolved(match: Match) -> Replacement:
    hop, matrix = _hop(match), match.constant("w")
    assert isinstance(hop, int), "the guard let only frames through"
    assert matrix is not None, "the guard let only constants through"
    window = match.constant("v") if "v" in match else None
    wide = matrix.astype(np.float64)
    if window is not None:
        wide = wide * np.broadcast_to(window.reshape(-1).astype(np.float64), (len(matrix),))[:, None]
    return Replacement(
        """
            signal = Unsqueeze (x, one)
            columns = Conv <strides = @hop> (signal, kernels)
            y = Transpose <perm = [0, 2, 1]> (columns)
        """,
        constants={
            "one": np.ones(1, np.int64),
            "kernels": np.ascontiguousarray(wide.T[:, None].astype(matrix.dtype)),
        },
        attributes={"hop": (hop,)},
    )


def _draw(draw: Draw) -> None:
    hop, size, frames = draw.choice((2, 4, 5), (3, 3, 4), (1, 6, 3))
    draw.input("x", "N", hop * (frames - 1) + size + draw.choice(0, hop - 1))
    draw.constant("i", hop * np.arange(frames)[:, None] + np.arange(size)[None])
    draw.constant("v", draw.array(*draw.choice((), (size,), (1, 1, size))))
    draw.constant("w", draw.array(size, 5))
    draw.attribute("axis", draw.choice(1, -1))


def _draw_shuffled(draw: Draw) -> None:
    _draw(draw)
    draw.constant("i", draw.constants["i"][:, ::-1].copy())


def _draw_part(draw: Draw) -> None:
    """A signal that goes on behind the last frame."""
    _draw(draw)
    draw.input("x", "N", 40)


RULES = (
    Rule(
        "frames",
        before="f = Gather <axis = @axis> (x, i); g = Mul (f, v) | f; y = MatMul (g, w)",
        after=_convolved,
        guard=_may_convolve,
        types={"x": "T", "w": "T"},
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw,
        refusals=(Refusal(_draw_shuffled), Refusal(_draw_part, because="cover")),
    ),
)


@dataclass(frozen=True)
class ConvolveFrames(Pass):
    """Transform overlapping frames of a signal without cutting it into frames.

    Before: ``f = Gather<axis=1>(x, [[0, 1, …], [h, h + 1, …], …]); y = MatMul(Mul(f, window), w)``, the
            short-time Fourier transform where w holds cosines and sines.
    After:  ``y = Transpose(Conv<strides=[h]>(Unsqueeze(x, [1]), kernels))``, the kernels being the columns of
            w times the window.
    Needs:  constants, and a signal whose length is known.
    Keeps:  the size of the model.
    Skips:  frames that leave out some of the end of the signal, or differ in length.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, RULES, self.name(), ctx)
