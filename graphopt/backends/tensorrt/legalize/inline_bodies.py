"""InlineBodies: calls of local functions are spelled by their bodies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.infer import infer_untyped
from graphopt.rewrite.inline import inline_functions


@dataclass(frozen=True)
class InlineBodies(Pass):
    """Put the bodies of local functions in the place of their calls.

    The parser inlines functions too, but refusals then name nodes nobody has seen, and the passes that follow
    see operators, not calls.

    Before: ``y = graphopt.MaskedSoftmax(x, m)`` with the function ``MaskedSoftmax`` in the model.
    After:  the nodes of the function, with the types and shapes of what they compute.
    Needs:  a function of the model's own opset.
    Keeps:  the names of the results.
    Skips:  functions of another opset, which would change their meaning.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Inline, then say what the new values are."""
        calls = sum(node.op_identifier() in model.functions for node in model.graph.all_nodes())
        if not inline_functions(model):
            return False
        infer_untyped(model)
        ctx.applied(self.name(), None, f"{calls} calls inlined")
        return True
