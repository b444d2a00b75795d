"""RecognizeGelu: x·Φ(x), exact and in the approximation with Tanh, as one Gelu."""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx_ir as ir

from graphopt.passes.activation._forms import Form, recognize
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass

FORMS = (
    Form(
        "erf",
        function="Erf",
        argument={1: math.sqrt(0.5)},
        result={(1, 0): 0.5, (1, 1): 0.5},
        after="y = Gelu (x)",
        min_opset=20,
    ),
    Form(
        "tanh",
        function="Tanh",
        argument={1: math.sqrt(2 / math.pi), 3: math.sqrt(2 / math.pi) * 0.044715},
        result={(1, 0): 0.5, (1, 1): 0.5},
        after='y = Gelu <approximate = "tanh"> (x)',
        min_opset=20,
    ),
)


@dataclass(frozen=True)
class RecognizeGelu(Pass):
    """Recognise Gelu in its pieces.

    Before: ``0.5·x·(1 + erf(x/√2))`` or ``0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))``, in any order
        of steps, operands and constants.
    After:  ``Gelu(x)``, with ``approximate="tanh"`` for the second.
    Needs:  opset 20.
    Keeps:  the element type; a value that something else reads too.
    Skips:  constants further from the formula's than their rounding; inner values with other readers.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Recognise it everywhere."""
        return recognize(model, FORMS, self.name(), ctx)
