"""EliminateIdentity: a copy of a value is the value."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.dims import FLOATS, INTEGERS
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.rule import Rule


def _draw(draw: Draw) -> None:
    draw.input("x", "N", 3)


RULES = (
    Rule(
        "identity",
        before="y = Identity (x)",
        after="y = x",
        min_opset=1,
        dtypes=tuple(sorted(FLOATS | INTEGERS | {ir.DataType.BOOL})),
        draw=_draw,
    ),
)


@dataclass(frozen=True)
class EliminateIdentity(Pass):
    """Let the readers of a copy read the original.

    Before: ``y = Identity(x); z = Relu(y)``.
    After:  ``z = Relu(x)``.
    Needs:  nothing.
    Keeps:  the names of graph outputs.
    Skips:  an Identity that names a graph input, an initializer or another output as a graph output.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, RULES, self.name(), ctx)
