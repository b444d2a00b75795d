"""RecognizeHardSwish: x·clip(x + 3, 0, 6)/6 as one HardSwish."""

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
        argument={1: 1 / 6, 0: 0.5},
        result={(1, 1): 1.0},
        after="y = HardSwish (x)",
        min_opset=14,
    ),
)


@dataclass(frozen=True)
class RecognizeHardSwish(Pass):
    """Recognise HardSwish in its pieces.

    Before: ``x·clip(x + 3, 0, 6)/6``, divided first, last or in between, or ``x·HardSigmoid(x)`` with
        alpha = 1/6 and beta = 1/2.
    After:  ``HardSwish(x)``.
    Needs:  opset 14; the clipping as Clip or HardSigmoid (``recognize-clip``).
    Keeps:  the element type; a value that something else reads too.
    Skips:  other bounds and slopes; inner values with other readers.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Recognise it everywhere."""
        return recognize(model, FORMS, self.name(), ctx)
