"""SpellActivationsByExp: Softplus, Mish and Elu from the one transcendental kernel that is vectorised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.rule import Refusal, Rule

_SMALLEST = 1024
"""Elements from which on several vectorised nodes win over one that is not."""


def _large(match: Match) -> str | None:
    shape = match.shape("x")
    count = 1
    for dim in shape or ():
        if not isinstance(dim, int):
            return None
        count *= dim
    return None if shape is None or count >= _SMALLEST else f"it has only {count} elements"


def _draw(draw: Draw) -> None:
    draw.input("x", "N", 7, 300)
    draw.feeds["x"] = draw.feeds["x"] * draw.dtype.numpy().type(20)
    draw.attribute("alpha", draw.choice(1.0, 0.5))


def _draw_small(draw: Draw) -> None:
    draw.input("x", 2, 3)
    draw.attribute("alpha", 1.0)


def _rule(name: str, before: str, after: str, min_opset: int = 13) -> Rule:
    return Rule(
        name,
        before=before,
        after=after,
        guard=_large,
        min_opset=min_opset,
        exact=False,
        types={"x": "FLOAT"},
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw,
        refusals=(Refusal(_draw_small, because="only 6 elements"),),
    )


# exp(20)·(exp(20) + 2) + 2 is exp(20)·(exp(20) + 2) in float32, as tanh(softplus(20)) is 1.
_MISH = """
    bounded = Min (x, 20.0)
    e = Exp (bounded)
    sum = Add (e, 2.0)
    upper = Mul (e, sum)
    lower = Add (upper, 2.0)
    gate = Div (upper, lower)
    y = Mul (x, gate)
"""

# log(1 + e) for small e: what the sum rounded off is put back, so that softplus(-20) is exp(-20), not 0.
_SOFTPLUS = """
    positive = Relu (x)
    size = Abs (x)
    minus = Neg (size)
    e = Exp (minus)
    sum = Add (e, 1.0)
    coarse = Log (sum)
    kept = Sub (sum, 1.0)
    lost = Sub (e, kept)
    fine = Div (lost, sum)
    rest = Add (coarse, fine)
    y = Add (positive, rest)
"""
_ELU = """
    positive = Relu (x)
    negative = Min (x, 0.0)
    e = Exp (negative)
    rest = Add (e, -1.0)
    y = Add (positive, rest)
"""

RULES = (
    _rule("mish", "y = Mish (x)", _MISH, 18),
    _rule("softplus", "y = Softplus (x)", _SOFTPLUS),
    _rule("elu-of-one", "y = Elu <alpha = 1.0> (x)", _ELU),
)


@dataclass(frozen=True)
class SpellActivationsByExp(Pass):
    """Write Softplus, Mish and Elu with Exp.

    ONNX Runtime's Exp takes 0.1 ns an element, its Softplus and the Mish made of it 10 ns, its Elu 1.5 ns.

    Before: ``y = Mish(x)``, which is ``x * tanh(softplus(x))``.
    After:  ``e = Exp(Min(x, 20)); n = e * (e + 2); y = x * (n / (n + 2))``; for Softplus ``Relu(x) + Log(1 +
            Exp(-Abs(x)))`` with the rounding error of the sum put back, for Elu ``Relu(x) + (Exp(Min(x, 0))
            - 1)``.
    Needs:  float32.
    Keeps:  the value to a rounding relative to itself, where the kernels do.
    Skips:  few elements, and an Elu whose alpha is not 1.
    """

    backend: ClassVar[str] = "onnxruntime"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
