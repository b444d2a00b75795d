"""InlineModelFunctions: the model's own functions are put in the place of their calls."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from graphopt.ir.shapes import infer_shapes
from graphopt.ir.walk import nodes
from graphopt.ops.op import DOMAIN
from graphopt.passes.canonical.lift_constants import LiftConstants
from graphopt.passes.canonical.name_values import NameValues
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.inline import can_inline


@dataclass(frozen=True)
class InlineModelFunctions(Pass):
    """Replace calls of the functions a model brings along by their bodies.

    Their bodies are written for one element type, mostly, and nothing is known of the values inside.

    Before: ``y = my.Block(x, w)`` with the function ``my.Block``.
    After:  ``m = MatMul(x, w); y = Relu(m)`` with the types and shapes of both.
    Needs:  functions that do not call themselves.
    Keeps:  graphopt's own operators: their bodies work at any precision.
    Skips:  functions of another opset than the model's, and those of which a call omits a result.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Inline, lift the constants that come to light, say what the new values are."""
        wanted = {
            key
            for key, function in model.functions.items()
            if function.domain != DOMAIN and can_inline(function, model)
        }
        for node in nodes(model):
            if node.op_identifier() in wanted and not all(value.name for value in node.outputs):
                ctx.missed(self.name(), node, "it omits a result of the function")
                wanted.discard(node.op_identifier())
        calls = sum(node.op_identifier() in wanted for node in nodes(model))
        if not calls:
            return False
        InlinePass(criteria=lambda function: function.identifier() in wanted)(model)
        NameValues().run(model, PassContext())
        LiftConstants().run(model, PassContext())
        infer_shapes(model)
        ctx.applied(self.name(), None, f"{calls} calls inlined")
        return True
