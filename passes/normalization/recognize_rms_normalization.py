"""RecognizeRMSNormalization: division by the root mean square over the last axes as one operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.passes.normalization._moments import (
    SINGLES,
    last_axes_miss,
    over_last_axes,
)
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule


def _guard(match: Match) -> str | None:
    return last_axes_miss(match, "RMSNormalization", "axes")


def _with_ones(match: Match) -> Replacement:
    return over_last_axes(match, "RMSNormalization", "axes")


def _draw_of(shape: tuple[int | str, ...], axes: tuple[int, ...]) -> Callable[[Draw], None]:
    def draw_case(draw: Draw) -> None:
        draw.input("x", *shape)
        draw.constant("axes", np.asarray(axes, np.int64))
        draw.attribute("noop", draw.choice(0, 1))
        draw.constant("epsilon", np.asarray(1e-3).reshape(draw.choice((), (1,))).astype(draw.dtype.numpy()))

    return draw_case


def _draw(draw: Draw) -> None:
    _draw_of(("N", 3, 6), draw.choice((2,), (-1,), (1, 2)))(draw)


RULES = (
    Rule(
        "pieces",
        before="""
            s = Mul (x, x) | Pow (x, 2.0)
            v = ReduceMean <noop_with_empty_axes = @noop> (s, axes)
            e = Add (v, epsilon)
            q = Sqrt (e)
            r = Reciprocal (q) | Div (1.0, q)
            n = Mul (x, r) | Div (x, q)
        """,
        after=_with_ones,
        guard=_guard,
        min_opset=23,
        exact=False,
        dtypes=SINGLES,
        draw=_draw,
        refusals=(
            Refusal(_draw_of(("N", 3, 6), (1,)), "are not the last ones"),
            Refusal(_draw_of(("N", 3, "C"), (2,)), "is unknown"),
        ),
    ),
)


@dataclass(frozen=True)
class RecognizeRMSNormalization(Pass):
    """Recognise RMSNormalization in its pieces.

    Before: ``x/√(mean(x²) + ε)`` over the last axes, the square as Mul or Pow, the root divided by or its
        reciprocal multiplied with.
    After:  ``RMSNormalization(x, ones)``; ``fuse-normalization-scale`` puts the scale in place of the ones.
    Needs:  opset 23; the size of the normalised axes.
    Keeps:  the element type; the mean is taken in float32, so errors become no larger.
    Skips:  float64; axes that are not the last ones; inner values with other readers.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
