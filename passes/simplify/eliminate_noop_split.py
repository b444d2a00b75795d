"""EliminateNoopSplit: a split into one."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.rule import Rule


def _draw(draw: Draw) -> None:
    draw.input("x", "N", 3)
    if draw.flag():
        draw.attribute("attrs", {"axis": 1})
        draw.constant("split", [3])
    else:
        draw.attribute("attrs", {"axis": draw.choice(0, 1, -1), "num_outputs": 1})
        draw.omit("split")


RULES = (Rule("split", before="y = Split <**attrs> (x, split?)", after="y = x", min_opset=2, draw=_draw),)


@dataclass(frozen=True)
class EliminateNoopSplit(Pass):
    """Drop a Split into a single output.

    Before: ``y = Split<num_outputs=1>(x)``.
    After:  x in place of y.
    Needs:  nothing.
    Keeps:  the names of graph outputs.
    Skips:  a Split with several outputs, even when only one is used.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, RULES, self.name(), ctx)
