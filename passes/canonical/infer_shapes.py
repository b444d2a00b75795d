"""InferShapes: types and shapes of every value, as far as they can be told."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.ir.shapes import infer_shapes
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass


@dataclass(frozen=True)
class InferShapes(Pass):
    """Derive each value's type and shape from the inputs, the constants and the operators.

    Before: ``y = MatMul(x, w)`` with nothing known of y.
    After:  y is ``FLOAT[batch, 384]``.
    Needs:  graphs in topological order.
    Keeps:  what inputs declare; declared numbers that inference cannot confirm but does not contradict.
    Skips:  values of operators nobody knows.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Infer; says nothing when nothing new came out."""
        changed = infer_shapes(model)
        if changed:
            ctx.applied(self.name(), None, "shapes inferred")
        return changed
