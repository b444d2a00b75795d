"""RecognizeMish: x·tanh(softplus(x)) as one Mish."""

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


RULES = (
    Rule(
        "softplus",
        before="s = Softplus (x); t = Tanh (s); y = Mul (x, t)",
        after="y = Mish (x)",
        min_opset=18,
        exact=False,
        dtypes=(ir.DataType.FLOAT16, ir.DataType.FLOAT),
        draw=_draw,
    ),
)


@dataclass(frozen=True)
class RecognizeMish(Pass):
    """Recognise Mish in its pieces.

    Before: ``x·tanh(softplus(x))``.
    After:  ``Mish(x)``.
    Needs:  opset 18; Softplus in one node (``recognize-softplus``).
    Keeps:  the element type.
    Skips:  inner values with other readers.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, RULES, self.name(), ctx)
