"""RecognizeQuickGelu: x·sigmoid(alpha·x) as one operator."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.ops.quick_gelu import QUICK_GELU
from graphopt.passes.activation._forms import Form, recognize
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.dims import FLOATS

FORMS = (
    Form(
        "scaled-sigmoid",
        function="Sigmoid",
        argument={1: "alpha"},
        result={(1, 1): 1.0},
        after="y = graphopt.QuickGelu <alpha = @alpha> (x)",
        min_opset=QUICK_GELU.min_opset,
        functions=(QUICK_GELU.function,),
        dtypes=FLOATS,
    ),
)


@dataclass(frozen=True)
class RecognizeQuickGelu(Pass):
    """Recognise x·sigmoid(alpha·x) for any number alpha but 1.

    Before: ``x·sigmoid(1.702·x)``, in any order of steps, operands and constants.
    After:  ``graphopt.QuickGelu(x)``.
    Needs:  ``recognize-silu`` before it, which takes the case alpha = 1.
    Keeps:  the element type; a value that something else reads too.
    Skips:  inner values with other readers.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Recognise it everywhere."""
        return recognize(model, FORMS, self.name(), ctx)
