"""RecognizeClip: a minimum or maximum with a number as Clip or Relu."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.constants import constant_tensor
from graphopt.rewrite.dims import FLOATS
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, RightSide, Rule


def _bound(match: Match) -> float | None:
    """The number x is compared with."""
    tensor = constant_tensor(match.value("c"))
    if tensor is None or tensor.size != 1 or tensor.dtype not in FLOATS:
        return None
    return float(np.asarray(tensor.numpy()).astype(np.float64).reshape(()))


def _guard(match: Match) -> str | None:
    number = _bound(match)
    if number is None or match.is_constant("x"):
        return ""
    if np.isnan(number):
        return "the bound is not a number"
    rank, own = match.rank("x"), match.rank("c")
    if own and (rank is None or own > rank):
        return "the bound may enlarge its operand"
    return None


def _side(name: str, nothing: float) -> RightSide:
    """Clip with one bound; Relu for the bound 0 from below; x itself for an infinite bound."""

    def after(match: Match) -> Replacement:
        number, dtype = _bound(match), match.dtype("c")
        assert number is not None, "the guard has seen to it"
        assert dtype is not None, "the guard has seen to it"
        if number == nothing:
            return Replacement("y = x")
        if name == "low" and number == 0.0:
            return Replacement("y = Relu (x)")
        bound = ir.tensor(np.asarray(number).astype(dtype.numpy()), dtype=dtype)
        return Replacement(f"y = Clip (x, {'low' if name == 'low' else ', high'})", constants={name: bound})

    return after


def _draw(nothing: float, *shapes: tuple[int, ...]) -> Callable[[Draw], None]:
    def draw_case(draw: Draw) -> None:
        draw.input("x", "N", 3)
        number = draw.choice(0.0, 0.5, -0.5, nothing)
        draw.constant("c", np.full(draw.choice(*shapes), number).astype(draw.dtype.numpy()))

    return draw_case


def _draw_x(draw: Draw) -> None:
    draw.input("x", "N", 3)


def _rule(name: str, op: str, side: str, nothing: float) -> Rule:
    return Rule(
        name,
        before=f"y = {op} (x, c)",
        after=_side(side, nothing),
        guard=_guard,
        exact=False,
        draw=_draw(nothing, (), (1,), (1, 1)),
        refusals=(Refusal(_draw(nothing, (1, 1, 1)), "may enlarge"), Refusal(_draw(nothing, (3,)))),
    )


RULES = (
    _rule("maximum", "Max", "low", -np.inf),
    _rule("minimum", "Min", "high", np.inf),
    Rule(
        "zero-where-negative",
        before="p = Less (x, 0.0) | LessOrEqual (x, 0.0); y = Where (p, 0.0, x)",
        after="y = Relu (x)",
        types={"x": "float"},
        shared=("p",),
        exact=False,
        draw=_draw_x,
    ),
    Rule(
        "itself-where-positive",
        before="p = Greater (x, 0.0) | GreaterOrEqual (x, 0.0); y = Where (p, x, 0.0)",
        after="y = Relu (x)",
        types={"x": "float"},
        shared=("p",),
        exact=False,
        draw=_draw_x,
    ),
)


@dataclass(frozen=True)
class RecognizeClip(Pass):
    """Turn minima and maxima with a number into Clip and Relu.

    Before: ``Min(Max(x, -1), 6)``, ``Max(x, 0)``, ``Where(x > 0, x, 0)``.
    After:  ``Clip(Clip(x, -1), , 6)``, which ``simplify-clamps`` makes one; ``Relu(x)``.
    Needs:  a floating-point type.
    Keeps:  the result; x itself where the number is infinite.
    Skips:  integers; a bound that is no single constant number or may enlarge x.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
