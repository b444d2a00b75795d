"""A pass of one's own: a Relu of a Relu is one Relu."""

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.driver import apply
from graphopt.rewrite.rule import Rule

RULES = (
    Rule(
        "relu-of-relu",
        before="t = Relu (x); y = Relu (t)",
        after="y = Relu (x)",
        draw=lambda draw: draw.input("x", "N", 3),
    ),
)


@dataclass(frozen=True)
class DropRepeatedRelu(Pass):
    """Apply Relu once where it is applied twice."""

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, RULES, self.name(), ctx)
