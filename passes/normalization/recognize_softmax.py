"""RecognizeSoftmax: exp(x) over its sum as one Softmax, its logarithm as one LogSoftmax."""

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
from graphopt.rewrite.rule import Guard, Refusal, RightSide, Rule


def _axis(match: Match, *names: str) -> int | str:
    """The one axis that is reduced, or why there is not one."""
    rank = match.rank("x")
    if rank is None:
        return "the rank of its operand is unknown"
    found = {match.ints(name) for name in names}
    axes = {axis % rank for each in found if each is not None for axis in each}
    if None in found or len(axes) != 1 or any(each is not None and len(each) != 1 for each in found):
        return "maximum and sum are not taken over one and the same axis"
    return next(iter(axes)) - rank


def _guard(*names: str) -> Guard:
    def guard(match: Match) -> str | None:
        found = _axis(match, *names)
        return found if isinstance(found, str) else None

    return guard


def _after(op: str, *names: str) -> RightSide:
    def after(match: Match) -> Replacement:
        axis = _axis(match, *names)
        assert isinstance(axis, int), "the guard has seen to it"
        return Replacement(f"y = {op} <axis = @axis> (x)", attributes={"axis": axis})

    return after


def _draw_of(draw: Draw, axis_m: int, *axes_s: int) -> None:
    draw.input("x", "N", 3, 4)
    draw.constant("axes_m", np.asarray([axis_m], np.int64))
    draw.constant("axes_s", np.asarray(axes_s, np.int64))
    for name in ("noop_m", "noop_s"):
        draw.attribute(name, draw.choice(0, 1))


def _draw(draw: Draw) -> None:
    _draw_of(draw, *draw.choice((-1, 2), (1, -2), (2, -1)))


def _draw_apart(draw: Draw) -> None:
    _draw_of(draw, 1, 2)


def _draw_two(draw: Draw) -> None:
    _draw_of(draw, 1, 1, 2)


_SHIFTED = "m = ReduceMax <noop_with_empty_axes = @noop_m> (x, axes_m); d = Sub (x, m); e = Exp (d)"
_SUM = "s = ReduceSum <noop_with_empty_axes = @noop_s> (e, axes_s)"
_SHARE = "r = Reciprocal (s); y = Mul (e, r) | Div (e, s)"


def _rule(name: str, before: str, op: str, *names: str) -> Rule:
    refusals = (_draw_apart, _draw_two) if len(names) == 2 else (_draw_two,)
    return Rule(
        name,
        before=before,
        after=_after(op, *names),
        guard=_guard(*names),
        types={"x": "float"},
        min_opset=18,
        exact=False,
        draw=_draw,
        refusals=tuple(Refusal(draw, "one and the same axis") for draw in refusals),
    )


def _draw_logarithm(draw: Draw) -> None:
    draw.input("x", "N", 3, 4)
    draw.attribute("axis", draw.choice(-1, 1))


RULES = (
    _rule("shifted", f"{_SHIFTED}; {_SUM}; {_SHARE}", "Softmax", "axes_m", "axes_s"),
    _rule("plain", f"e = Exp (x); {_SUM}; {_SHARE}", "Softmax", "axes_s"),
    _rule(
        "shifted-logarithm",
        f"{_SHIFTED}; {_SUM}; l = Log (s); y = Sub (d, l)",
        "LogSoftmax",
        "axes_m",
        "axes_s",
    ),
    Rule(
        "logarithm",
        before="p = Softmax <axis = @axis> (x); y = Log (p)",
        after="y = LogSoftmax <axis = @axis> (x)",
        exact=False,
        draw=_draw_logarithm,
    ),
)


@dataclass(frozen=True)
class RecognizeSoftmax(Pass):
    """Recognise Softmax and LogSoftmax in their pieces.

    Before: ``e = exp(x - max(x)); e/sum(e)``, with or without the maximum; ``log(Softmax(x))``.
    After:  ``Softmax(x)``, which does not overflow; ``LogSoftmax(x)``, which does not underflow.
    Needs:  opset 18; reductions that keep their axes (``keep-reduced-axes``).
    Keeps:  the element type.
    Skips:  sums over several axes; inner values with other readers.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
