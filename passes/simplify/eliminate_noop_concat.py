"""EliminateNoopConcat: a concatenation of one."""

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
    draw.attribute("axis", draw.choice(0, 1, -1))


RULES = (Rule("concat", before="y = Concat <axis = @axis> (x)", after="y = x", min_opset=4, draw=_draw),)


@dataclass(frozen=True)
class EliminateNoopConcat(Pass):
    """Drop a Concat of a single input.

    Before: ``y = Concat<axis=0>(x)``.
    After:  x in place of y.
    Needs:  nothing.
    Keeps:  the names of graph outputs.
    Skips:  a Concat of several inputs, even when all but one are empty.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, RULES, self.name(), ctx)
