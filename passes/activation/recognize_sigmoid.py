"""RecognizeSigmoid: 1/(1 + exp(-x)) as one Sigmoid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from graphopt.passes.activation._forms import Form, recognize
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.dims import FLOATS
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.rule import Rule

FORMS = (
    Form(
        "tanh",
        function="Tanh",
        argument={1: 0.5},
        result={(0, 0): 0.5, (0, 1): 0.5},
        after="y = Sigmoid (x)",
        min_opset=13,
        scalable=False,
        dtypes=FLOATS,
    ),
)


def _draw(draw: Draw) -> None:
    draw.input("x", "N", 3)


def _draw_dividend(draw: Draw) -> None:
    draw.input("x", "N", 3)
    draw.input("z", *draw.choice(("N", 3), (3,), (2, "N", 3)))


def _rule(name: str, before: str, after: str, draw: Callable[[Draw], None] = _draw) -> Rule:
    return Rule(name, before, after, exact=False, draw=draw)


_MINUS = "n = Neg (x); e = Exp (n); a = Add (e, 1.0)"
_PLUS = "e = Exp (x); a = Add (e, 1.0)"

RULES = (
    _rule("reciprocal", f"{_MINUS}; y = Reciprocal (a) | Div (1.0, a)", "y = Sigmoid (x)"),
    _rule("share", f"{_PLUS}; y = Div (e, a)", "y = Sigmoid (x)"),
    _rule("rest", f"{_PLUS}; y = Reciprocal (a) | Div (1.0, a)", "n = Neg (x); y = Sigmoid (n)"),
    _rule("divisor", f"{_MINUS}; y = Div (z, a)", "s = Sigmoid (x); y = Mul (z, s)", _draw_dividend),
    _rule(
        "divisor-of-rest",
        f"{_PLUS}; y = Div (z, a)",
        "n = Neg (x); s = Sigmoid (n); y = Mul (z, s)",
        _draw_dividend,
    ),
)


@dataclass(frozen=True)
class RecognizeSigmoid(Pass):
    """Recognise Sigmoid in its pieces.

    Before: ``1/(1 + exp(-x))``, ``z/(1 + exp(-x))``, ``exp(x)/(1 + exp(x))``, ``0.5 + 0.5·tanh(0.5·x)``,
        ``1/(1 + exp(x))``.
    After:  ``Sigmoid(x)``, for the second ``z·Sigmoid(x)``, for the last ``Sigmoid(-x)``.
    Needs:  nothing.
    Keeps:  the element type.
    Skips:  inner values with other readers.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules, then look for the form with Tanh."""
        changed = apply(model, RULES, self.name(), ctx)
        return recognize(model, FORMS, self.name(), ctx) or changed
