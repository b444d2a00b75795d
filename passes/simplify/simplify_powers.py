"""SimplifyPowers: powers that a cheaper operator computes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.dims import FLOATS
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.rule import Refusal, Rule


def _is_float(match: Match) -> str | None:
    """Powers of integers go through floating point in some runtimes: they stay."""
    return None if match.dtype("x") in FLOATS else "its base is not of a floating-point type"


def _draw(draw: Draw) -> None:
    """Bases away from zero: the reciprocal of tiny numbers has any size."""
    x = draw.input("x", "N", 3)
    draw.feeds["x"] = (np.abs(x.astype(np.float64)) + 0.5).astype(x.dtype)


def _draw_integer(draw: Draw) -> None:
    draw.input("x", "N", 3, dtype=ir.DataType.INT64)


def _rule(name: str, exponent: str, after: str, draw: Callable[[Draw], None] = _draw) -> Rule:
    return Rule(
        name,
        before=f"y = Pow (x, {exponent})",
        after=after,
        guard=_is_float,
        exact=False,
        draw=draw,
        # A fraction is no exponent of an integer: there is nothing to refuse.
        refusals=(Refusal(_draw_integer, "floating-point"),) if float(exponent).is_integer() else (),
    )


def _draw_any(draw: Draw) -> None:
    draw.input("x", "N", 3)


RULES = (
    _rule("square", "2.0", "y = Mul (x, x)", _draw_any),
    _rule("first-power", "1.0", "y = x", _draw_any),
    _rule("square-root", "0.5", "y = Sqrt (x)"),
    _rule("reciprocal", "-1.0", "y = Reciprocal (x)"),
    _rule("reciprocal-root", "-0.5", "r = Sqrt (x); y = Reciprocal (r)"),
)


@dataclass(frozen=True)
class SimplifyPowers(Pass):
    """Write powers with the exponents 2, 1, 1/2, -1 and -1/2 as products, roots and reciprocals.

    Before: ``y = Pow(x, 2)``.
    After:  ``y = Mul(x, x)``.
    Needs:  a constant exponent of one element.
    Keeps:  the element type and the shape.
    Skips:  integers, and every other exponent.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
