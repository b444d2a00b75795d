"""FuseMaskedSoftmax: a choice by a mask and the softmax of it as one operator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.ops.masked_fill_softmax import MASKED_FILL_SOFTMAX
from graphopt.ops.masked_softmax import MASKED_SOFTMAX
from graphopt.ops.op import NamedOp
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, RightSide, Rule


def _guard(match: Match) -> str | None:
    fill = match.constant("fill")
    if fill is None or fill.size != 1:
        return "what the mask puts in place of scores is no constant number"
    rank, own, axis = match.rank("x"), match.rank("fill"), match.attr_int("axis")
    if axis is None or (axis != -1 and (rank is None or axis != rank - 1)):
        return "softmax is not taken over the last axis"
    if own and (rank is None or own > rank):
        return "the number may enlarge the scores"
    number = float(fill.astype(np.float64).reshape(()))
    return None if number < 0 else "what the mask puts in place of scores is not negative"


def _after(op: NamedOp) -> RightSide:
    def after(match: Match) -> Replacement:
        fill = match.constant("fill")
        assert fill is not None, "the guard has seen to it"
        return Replacement(
            f"y = graphopt.{op.name} <fill = @number> (x, mask)",
            attributes={"number": float(fill.astype(np.float64).reshape(()))},
        )

    return after


def _draw(draw: Draw) -> None:
    draw.input("x", "N", 3, 4)
    draw.input("mask", *draw.choice((3, 4), ("N", 3, 4), ("N", 1, 4)), dtype=ir.DataType.BOOL)
    lowest = float(np.finfo(draw.dtype.numpy()).min) if draw.dtype != ir.DataType.DOUBLE else -1e9
    fill = draw.choice(lowest, -10000.0)
    draw.constant("fill", np.asarray(fill).reshape(draw.choice((), (1,))).astype(draw.dtype.numpy()))
    draw.attribute("axis", draw.choice(-1, 2, None))


def _draw_zero(draw: Draw) -> None:
    _draw(draw)
    draw.constant("fill", 0.0)


def _draw_middle(draw: Draw) -> None:
    _draw(draw)
    draw.attribute("axis", 1)


def _draw_wide(draw: Draw) -> None:
    _draw(draw)
    draw.constant("fill", np.full((1, 1, 1, 1), -10000.0).astype(draw.dtype.numpy()))


def _rule(name: str, choice: str, op: NamedOp) -> Rule:
    return Rule(
        name,
        before=f"k = {choice}; y = Softmax <axis = @axis> (k)",
        after=_after(op),
        guard=_guard,
        types={"x": "float", "mask": "bool"},
        functions=(op.function,),
        min_opset=op.min_opset,
        exact=False,
        draw=_draw,
        refusals=(
            Refusal(_draw_zero, "is not negative"),
            Refusal(_draw_wide, "may enlarge"),
            Refusal(_draw_middle, "not taken over the last axis"),
        ),
    )


RULES = (
    _rule("keep", "Where (mask, x, fill)", MASKED_SOFTMAX),
    _rule("fill", "Where (mask, fill, x)", MASKED_FILL_SOFTMAX),
)


@dataclass(frozen=True)
class FuseMaskedSoftmax(Pass):
    """Put a choice between scores and a negative number and its softmax into one operator.

    Before: ``Softmax(Where(mask, x, -inf))``, or with the mask the other way round.
    After:  ``graphopt.MaskedSoftmax(x, mask)``; ``graphopt.MaskedFillSoftmax(x, mask)``.
    Needs:  last of all: attention is recognised by its choice and its softmax.
    Keeps:  the number, -inf or not: it decides what a row without any score becomes.
    Skips:  numbers that are computed, not negative, or of more axes than the scores; axes before the last.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
