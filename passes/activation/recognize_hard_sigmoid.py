"""RecognizeHardSigmoid: clip(ax + b, 0, 1) as one HardSigmoid."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.passes.activation._forms import RAMP, Form, recognize
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass

FORMS = (
    Form(
        "ramp",
        function=RAMP,
        argument={1: "alpha", 0: "beta"},
        result={(0, 1): 1.0},
        after="y = HardSigmoid <alpha = @alpha, beta = @beta> (x)",
        min_opset=6,
        scalable=False,
    ),
)


@dataclass(frozen=True)
class RecognizeHardSigmoid(Pass):
    """Recognise HardSigmoid in its pieces.

    Before: ``clip(x + 3, 0, 6)/6``, ``clip(0.2·x + 0.5, 0, 1)`` or any other ramp from 0 to 1.
    After:  ``HardSigmoid(x)`` with its slope and offset.
    Needs:  ``recognize-hard-swish`` before it; the clipping as Clip (``recognize-clip``).
    Keeps:  the element type; a value that something else reads too.
    Skips:  a Clip alone; a ramp that does not end at 1; inner values with other readers.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Recognise it everywhere."""
        return recognize(model, FORMS, self.name(), ctx)
