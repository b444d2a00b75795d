"""EliminateNoopCast: a cast to the type a value already has."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.dims import FLOATS, INTEGERS
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.rule import Refusal, Rule

_DTYPES = tuple(sorted(FLOATS | INTEGERS | {ir.DataType.BOOL}))


def _same_type(match: Match) -> str | None:
    wanted = match.attr_int("to") if "like" not in match else match.dtype("like")
    if wanted is None or match.dtype("x") is None:
        return "the element type of its input is unknown"
    return None if match.dtype("x") == wanted else ""


def _draw(draw: Draw) -> None:
    draw.input("x", "N", 3)
    draw.input("like", 2)
    draw.attribute("to", int(draw.dtype))
    draw.attribute("attrs", {})


def _draw_other(draw: Draw) -> None:
    other = ir.DataType.INT16 if draw.dtype != ir.DataType.INT16 else ir.DataType.FLOAT
    _draw(draw)
    draw.input("like", 2, dtype=other)
    draw.attribute("to", int(other))


RULES = (
    Rule(
        "cast",
        before="y = Cast <to = @to, **attrs> (x)",
        after="y = x",
        guard=_same_type,
        min_opset=6,
        dtypes=_DTYPES,
        draw=_draw,
        refusals=(Refusal(_draw_other),),
    ),
    Rule(
        "cast-like",
        before="y = CastLike <**attrs> (x, like)",
        after="y = x",
        guard=_same_type,
        min_opset=15,
        dtypes=_DTYPES,
        draw=_draw,
        refusals=(Refusal(_draw_other),),
    ),
)


@dataclass(frozen=True)
class EliminateNoopCast(Pass):
    """Drop a Cast or CastLike to the type its input has.

    Before: ``y = Cast<to=float>(x)`` with x of float.
    After:  x in place of y.
    Needs:  the element type of the input.
    Keeps:  the names of graph outputs.
    Skips:  every cast that converts.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
