"""RecognizeSoftplus: log(1 + exp(x)) as one Softplus."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.constants import constant_array
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.rule import Refusal, Rule

_SINGLES = (ir.DataType.FLOAT16, ir.DataType.FLOAT)


def _negligible(match: Match) -> str | None:
    """Guards a threshold beyond which x stands for softplus(x): the difference must vanish in rounding."""
    array, dtype = constant_array(match.values.get("threshold")), match.dtype("x")  # type: ignore[arg-type]
    if array is None or array.size != 1 or array.ndim > (match.rank("x") or 0):
        return "the threshold is no constant number"
    threshold = float(array.astype(np.float64).reshape(()))
    if dtype not in _SINGLES:
        return "Softplus is for float16 and float32"
    if threshold <= 0 or math.log1p(math.exp(-threshold)) > float(np.finfo(dtype.numpy()).eps) * threshold:
        return f"beyond the threshold {threshold:g} the difference is no rounding error"
    return None


def _draw(draw: Draw) -> None:
    draw.input("x", "N", 3)


def _draw_threshold(draw: Draw) -> None:
    values = draw.input("x", "N", 3)
    draw.feeds["x"] = (values * 20).astype(values.dtype)
    draw.constant("threshold", 20.0)


def _draw_near(draw: Draw) -> None:
    draw.input("x", "N", 3)
    draw.constant("threshold", 2.0)


RULES = (
    Rule(
        "logarithm",
        before="e = Exp (x); a = Add (e, 1.0); y = Log (a)",
        after="y = Softplus (x)",
        types={"x": "float"},
        exact=False,
        dtypes=_SINGLES,
        draw=_draw,
    ),
    Rule(
        "stable",
        before="m = Abs (x); n = Neg (m); l = Softplus (n); r = Relu (x); y = Add (r, l)",
        after="y = Softplus (x)",
        exact=False,
        dtypes=_SINGLES,
        draw=_draw,
    ),
    Rule(
        "threshold",
        before="s = Softplus (x); g = Greater (x, threshold); y = Where (g, x, s)",
        after="y = Softplus (x)",
        guard=_negligible,
        shared=("g",),
        exact=False,
        dtypes=_SINGLES,
        draw=_draw_threshold,
        refusals=(Refusal(_draw_near, "no rounding error"),),
    ),
)


@dataclass(frozen=True)
class RecognizeSoftplus(Pass):
    """Recognise Softplus in its pieces.

    Before: ``log(1 + exp(x))``, ``relu(x) + log(1 + exp(-|x|))``, and x in its place beyond a threshold.
    After:  ``Softplus(x)``, which does not overflow.
    Needs:  float16 or float32.
    Keeps:  the element type.
    Skips:  a threshold at which the difference shows; inner values with other readers.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
