"""RecognizeSilu: x·sigmoid(x) as one operator."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.ops.silu import SILU
from graphopt.passes.activation._forms import Form, recognize
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.dims import FLOATS

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


@dataclass(frozen=True)
class RecognizeSilu(Pass):
    """Recognise x·sigmoid(x), also known as Swish.

    Before: ``x·sigmoid(x)``.
    After:  ``graphopt.Silu(x)``.
    Needs:  Sigmoid in one node (``recognize-sigmoid``).
    Keeps:  the element type; every bit.
    Skips:  a Sigmoid that something else reads too.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Recognise it everywhere."""
        return recognize(model, FORMS, self.name(), ctx)
