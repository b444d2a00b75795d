"""Passes that recognise activation functions in their pieces; in running order."""

from graphopt.passes.activation.recognize_clip import RecognizeClip
from graphopt.passes.activation.recognize_elu import RecognizeElu
from graphopt.passes.activation.recognize_gelu import RecognizeGelu
from graphopt.passes.activation.recognize_hard_sigmoid import RecognizeHardSigmoid
from graphopt.passes.activation.recognize_hard_swish import RecognizeHardSwish
from graphopt.passes.activation.recognize_leaky_relu import RecognizeLeakyRelu
from graphopt.passes.activation.recognize_mish import RecognizeMish
from graphopt.passes.activation.recognize_quick_gelu import RecognizeQuickGelu
from graphopt.passes.activation.recognize_sigmoid import RecognizeSigmoid
from graphopt.passes.activation.recognize_silu import RecognizeSilu
from graphopt.passes.activation.recognize_softplus import RecognizeSoftplus
from graphopt.passes.activation.standardize_activations import StandardizeActivations
from graphopt.pipeline.pass_base import Pass

ACTIVATION_PASSES: tuple[type[Pass], ...] = (
    StandardizeActivations,
    RecognizeLeakyRelu,  # before Clip, which takes Relu out of a choice
    RecognizeElu,
    RecognizeClip,
    RecognizeHardSwish,  # after Clip
    RecognizeHardSigmoid,  # after HardSwish, which contains it
    RecognizeSigmoid,
    RecognizeSilu,  # after Sigmoid
    RecognizeQuickGelu,  # after Silu, which is its case alpha = 1
    RecognizeGelu,
    RecognizeSoftplus,
    RecognizeMish,  # after Softplus
)
