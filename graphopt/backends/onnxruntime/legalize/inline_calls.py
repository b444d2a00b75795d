"""InlineCalls: what no pass had a spelling for is spelled by its body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.backends.onnxruntime.domains import DOMAINS
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.infer import infer_untyped
from graphopt.rewrite.inline import inline_functions


@dataclass(frozen=True)
class InlineCalls(Pass):
    """Put the bodies of local functions in the place of their calls.

    ONNX Runtime does so itself, in time quadratic in the number of calls, and fuses what comes to light
    only in part: it does not know the shapes inside.

    Before: ``y = graphopt.Silu(x)`` with the function ``Silu`` in the model.
    After:  ``g = Sigmoid(x); y = Mul(x, g)`` with the types and shapes of both.
    Needs:  a function of the model's own opset.
    Keeps:  the names of the results.
    Skips:  calls of operators that ONNX Runtime has a kernel for.
    """

    backend: ClassVar[str] = "onnxruntime"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Inline, then say what the new values are."""
        calls = [node for node in model.graph.all_nodes() if node.op_identifier() in model.functions]
        if not inline_functions(model, lambda call: call.domain not in DOMAINS):
            return False
        infer_untyped(model)
        ctx.applied(self.name(), None, f"{len(calls)} calls inlined")
        return True
