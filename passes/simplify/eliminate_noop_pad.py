"""EliminateNoopPad: padding by nothing."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.rule import Refusal, Rule


def _pads_nothing(match: Match) -> str | None:
    pads = match.ints("pads")
    if pads is None:
        return "the padding is computed"
    return "" if any(pads) else None


def _draw(draw: Draw) -> None:
    draw.input("x", "N", 3)
    draw.attribute("mode", draw.choice("constant", "edge", "reflect"))
    draw.constant("pads", [0, 0, 0, 0])
    draw.omit("axes")
    if draw.flag():
        draw.omit("value")
    else:
        draw.constant("value", 1.0)


def _draw_axes(draw: Draw) -> None:
    _draw(draw)
    draw.missing.clear()
    draw.constant("value", 1.0)
    draw.constant("pads", [0, 1])
    draw.constant("axes", [1])


RULES = (
    Rule(
        "pad",
        before="y = Pad <mode = @mode> (x, pads, value?, axes?)",
        after="y = x",
        guard=_pads_nothing,
        min_opset=11,
        draw=_draw,
        refusals=(Refusal(_draw_axes),),
    ),
)


@dataclass(frozen=True)
class EliminateNoopPad(Pass):
    """Drop a Pad whose pads are all zero.

    Before: ``y = Pad(x, [0, 0, 0, 0])``.
    After:  x in place of y.
    Needs:  constant pads.
    Keeps:  the names of graph outputs.
    Skips:  computed pads.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, RULES, self.name(), ctx)
