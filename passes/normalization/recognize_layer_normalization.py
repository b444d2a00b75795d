"""RecognizeLayerNormalization: mean and variance over the last axes as one operator."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.passes.normalization._moments import (
    CENTRED,
    LARGEST,
    NORMAL,
    SINGLES,
    draw_moments,
    epsilon_miss,
    filled,
    number,
    static,
    trailing,
)
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule


def _guard(match: Match) -> str | None:
    if match.dtype("x") not in SINGLES:
        return "LayerNormalization computes in float32"
    count = trailing(match, "axes_m", "axes_v")
    if isinstance(count, str):
        return count
    dims = static((match.shape("x") or ())[-count:])
    if dims is None:
        return "the size of the normalised axes is unknown"
    if math.prod(dims) > LARGEST:
        return f"a scale of {math.prod(dims)} ones would have to be stored"
    return epsilon_miss(match)


def _with_ones(match: Match) -> Replacement:
    count = trailing(match, "axes_m", "axes_v")
    assert isinstance(count, int), "the guard has seen to it"
    dims = static((match.shape("x") or ())[-count:]) or ()
    return Replacement(
        "n = LayerNormalization <axis = @axis, epsilon = @epsilon> (x, scale)",
        constants={"scale": filled(dims, 1.0, match.dtype("x"))},
        attributes={"axis": -count, "epsilon": number(match, "epsilon") or 0.0},
    )


def _folded_guard(match: Match) -> str | None:
    reason = _guard(match)
    if reason is not None:
        return reason
    return None if _vectors(match) is not None else "scale or bias does not lie along the normalised axes"


def _vectors(match: Match) -> list[np.ndarray] | None:
    """Scale and bias as constants of the normalised shape."""
    count = trailing(match, "axes_m", "axes_v")
    assert isinstance(count, int), "the guard has seen to it"
    dims = static((match.shape("x") or ())[-count:]) or ()
    found = []
    for name in ("gamma", "beta"):
        array = match.constant(name)
        if array is None or math.prod(array.shape[:-count]) != 1:
            return None
        array = array.reshape(array.shape[-count:])
        if any(have not in (1, want) for have, want in zip(array.shape[::-1], dims[::-1], strict=False)):
            return None
        found.append(np.broadcast_to(array, dims))
    return found


def _with_vectors(match: Match) -> Replacement:
    scale, bias = _vectors(match) or ()
    count = trailing(match, "axes_m", "axes_v")
    assert isinstance(count, int), "the guard has seen to it"
    return Replacement(
        "y = LayerNormalization <axis = @axis, epsilon = @epsilon> (x, scale, bias)",
        constants={"scale": np.array(scale), "bias": np.array(bias)},
        attributes={"axis": -count, "epsilon": number(match, "epsilon") or 0.0},
    )


def _draw(draw: Draw) -> None:
    draw_moments(draw, ("N", 3, 6), draw.choice((2,), (1, 2)))


def _draw_folded(draw: Draw) -> None:
    draw_moments(draw, ("N", 3, 6), (2,))
    for name in ("gamma", "beta"):
        draw.constant(name, draw.array(*draw.choice((6,), (1, 6), (1, 1, 1))))


def _draw_first(draw: Draw) -> None:
    draw_moments(draw, ("N", 3, 6), (1,))


def _draw_dynamic(draw: Draw) -> None:
    draw_moments(draw, ("N", 3, "C"), (2,))


def _draw_column(draw: Draw) -> None:
    _draw_folded(draw)
    draw.constant("gamma", draw.array(3, 1))


RULES = (
    Rule(
        "scale-first",
        before=CENTRED
        + """
            r = Reciprocal (q) | Div (1.0, q)
            k = Mul (r, gamma)
            a = Mul (x, k)
            b = Mul (m, k)
            c = Sub (beta, b)
            y = Add (a, c)
        """,
        after=_with_vectors,
        guard=_folded_guard,
        min_opset=18,
        exact=False,
        dtypes=SINGLES,
        draw=_draw_folded,
        refusals=(Refusal(_draw_column, "does not lie along"),),
    ),
    Rule(
        "pieces",
        before=NORMAL,
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
    ),
)


@dataclass(frozen=True)
class RecognizeLayerNormalization(Pass):
    """Recognise LayerNormalization in its pieces.

    Before: ``d = x - mean(x); n = d/√(mean(d²) + ε)`` over the last axes, the square as Mul or Pow, the
        root divided by or its reciprocal multiplied with; or with the scale folded into the reciprocal.
    After:  ``LayerNormalization(x, ones)``; ``fuse-normalization-scale`` puts scale and bias in place of
        the ones.
    Needs:  opset 18; the size of the normalised axes.
    Keeps:  the element type; the sums are taken in float32 and centred, so errors become no larger.
    Skips:  float64; axes that are not the last ones; inner values with other readers.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
