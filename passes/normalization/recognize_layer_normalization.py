"""RecognizeLayerNormalization: mean and variance over the last axes as one operator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.passes.normalization._moments import (
    CENTRED,
    QUOTIENT,
    SINGLES,
    UNCENTRED,
    draw_moments,
    last_axes_miss,
    number,
    over_last_axes,
    static,
    trailing,
)
from graphopt.passes.normalization._vectors import Place
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule


def _guard(match: Match) -> str | None:
    return last_axes_miss(match, "LayerNormalization", "axes_m", "axes_v")


def _with_ones(match: Match) -> Replacement:
    return over_last_axes(match, "LayerNormalization", "axes_m", "axes_v")


def _scaled_guard(match: Match) -> str | None:
    reason = _guard(match)
    if reason is not None:
        return reason
    return None if _vectors(match) is not None else "scale or bias does not lie along the normalised axes"


def _vectors(match: Match) -> dict[str, np.ndarray] | None:
    """Scale and, where there is one, bias as constants of the normalised shape."""
    count, shape = trailing(match, "axes_m", "axes_v"), match.shape("x") or ()
    assert isinstance(count, int), "the guard has seen to it"
    place = Place(len(shape), len(shape) - count, static(shape[-count:]) or ())
    found = {}
    for name in filter(match.__contains__, ("gamma", "beta")):
        array = match.constant(name)
        vector = None if array is None else place.vector(array)
        if vector is None:
            return None
        found[name] = vector
    return found


def _with_vectors(match: Match) -> Replacement:
    vectors = _vectors(match) or {}
    count = trailing(match, "axes_m", "axes_v")
    assert isinstance(count, int), "the guard has seen to it"
    return Replacement(
        f"y = LayerNormalization <axis = @axis, epsilon = @epsilon> (x, {', '.join(vectors)})",
        constants=vectors,
        attributes={"axis": -count, "epsilon": number(match, "epsilon") or 0.0},
    )


def _draw(draw: Draw) -> None:
    draw_moments(draw, ("N", 3, 6), draw.choice((2,), (1, 2)))


def _draw_scaled(draw: Draw) -> None:
    draw_moments(draw, ("N", 3, 6), (2,))
    for name in ("gamma", "beta"):
        draw.constant(name, draw.array(*draw.choice((6,), (1, 6), (1, 1, 1))))


def _draw_first(draw: Draw) -> None:
    draw_moments(draw, ("N", 3, 6), (1,))


def _draw_dynamic(draw: Draw) -> None:
    draw_moments(draw, ("N", 3, "C"), (2,))


def _draw_column(draw: Draw) -> None:
    _draw_scaled(draw)
    draw.constant("gamma", draw.array(3, 1))


_ENDS = {
    "mean-last": "k = Mul (r, gamma); a = Mul (x, k); b = Mul (m, k); c = Sub (beta, b); y = Add (a, c)",
    "scale-first": "k = Mul (r, gamma); y = Mul (d, k)",
}
"""Spellings in which the reciprocal of the deviation takes up the scale."""


def _rules(kind: str, variance: str, ends: tuple[str, ...]) -> tuple[Rule, ...]:
    scaled = tuple(
        Rule(
            f"{kind}{name}",
            before=f"{variance}; {_ENDS[name]}",
            after=_with_vectors,
            guard=_scaled_guard,
            min_opset=18,
            exact=False,
            dtypes=SINGLES,
            draw=_draw_scaled,
            refusals=(Refusal(_draw_column, "does not lie along"),),
        )
        for name in ends
    )
    plain = Rule(
        f"{kind}quotient",
        before=f"{variance}; {QUOTIENT}",
        after=_with_ones,
        guard=_guard,
        min_opset=18,
        exact=False,
        dtypes=SINGLES,
        draw=_draw,
        refusals=(
            Refusal(_draw_first, "are not the last ones"),
            Refusal(_draw_dynamic, "the size of the normalised axes is unknown"),
        ),
    )
    return (*scaled, plain)


RULES = (
    *_rules("", CENTRED, ("mean-last", "scale-first")),
    *_rules("uncentred-", UNCENTRED, ("scale-first",)),
)


@dataclass(frozen=True)
class RecognizeLayerNormalization(Pass):
    """Recognise LayerNormalization in its pieces.

    Before: ``d = x - mean(x); n = d/√(mean(d²) + ε)`` over the last axes, the square as Mul or Pow, the
        root divided by or its reciprocal multiplied with, scaled or not; the variance also as
        ``mean(x²) - mean(x)²``.
    After:  ``LayerNormalization(x, ones)``; ``fuse-normalization-scale`` puts scale and bias in place of
        the ones.
    Needs:  opset 18; the size of the normalised axes.
    Keeps:  the element type; the sums are taken in float32 and centred, so errors become no larger.
    Skips:  float64; axes that are not the last ones; inner values with other readers.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
