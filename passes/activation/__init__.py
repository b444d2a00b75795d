"""Passes that recognise activation functions in their pieces; in running order."""

from graphopt.passes.activation.recognize_gelu import RecognizeGelu
from graphopt.passes.activation.recognize_hard_sigmoid import RecognizeHardSigmoid
from graphopt.passes.activation.recognize_hard_swish import RecognizeHardSwish
from graphopt.passes.activation.recognize_quick_gelu import RecognizeQuickGelu
from graphopt.passes.activation.recognize_silu import RecognizeSilu
from graphopt.pipeline.pass_base import Pass

ACTIVATION_PASSES: tuple[type[Pass], ...] = (
    RecognizeHardSwish,
    RecognizeHardSigmoid,  # after HardSwish, which contains it
    RecognizeSilu,
    RecognizeQuickGelu,  # after Silu, which is its case alpha = 1
    RecognizeGelu,
)
