"""RecognizeSilu: x·sigmoid(x) as one operator."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.ops.op import DOMAIN
from graphopt.ops.quick_gelu import QUICK_GELU
from graphopt.ops.silu import SILU
from graphopt.passes.activation._forms import Form, recognize
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.attributes import effective
from graphopt.rewrite.dims import FLOATS
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rewriter import Rewriter, anchors

FORMS = (
    Form(
        "sigmoid",
        function="Sigmoid",
        argument={1: 1.0},
        result={(1, 1): 1.0},
        after="y = graphopt.Silu (x)",
        min_opset=SILU.min_opset,
        functions=(SILU.function,),
        dtypes=FLOATS,
    ),
)


def _rewrite_swish(model: ir.Model, pass_name: str, ctx: PassContext) -> bool:
    """Turn the Swish of opset 24 into the operators of older opsets."""
    rewriter = Rewriter(model, pass_name, ctx)
    for node in anchors(model, frozenset({"Swish"}), DOMAIN):
        opset = rewriter.opset(node)
        alpha = effective(node, "alpha", opset)
        if node.inputs[0] is None or alpha is None or alpha.is_ref():
            continue
        made = SILU if alpha.as_float() == 1.0 else QUICK_GELU
        attributes = "" if made is SILU else "<alpha = @alpha> "
        match = Match(
            node,
            (node,),
            {"x": node.inputs[0], "y": node.outputs[0]},
            {"alpha": alpha.as_float()},
            opset,
        )
        right = Replacement(f"y = graphopt.{made.name} {attributes}(x)")
        rewriter.replace(match, ("y",), right, "swish", (made.function,))
    return rewriter.count > 0


@dataclass(frozen=True)
class RecognizeSilu(Pass):
    """Recognise x·sigmoid(x), also known as Swish.

    Before: ``x·sigmoid(x)``; ``Swish(x)`` of opset 24.
    After:  ``graphopt.Silu(x)``; ``graphopt.QuickGelu(x)`` for a Swish of another alpha than 1.
    Needs:  Sigmoid in one node (``recognize-sigmoid``).
    Keeps:  the element type; every bit.
    Skips:  a Sigmoid that something else reads too.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Recognise it everywhere."""
        changed = _rewrite_swish(model, self.name(), ctx)
        return recognize(model, FORMS, self.name(), ctx) or changed
