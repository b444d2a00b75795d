"""Passes that recognise normalisations in their pieces; in running order."""

from graphopt.passes.normalization.fuse_normalization_scale import FuseNormalizationScale
from graphopt.passes.normalization.keep_reduced_axes import KeepReducedAxes
from graphopt.passes.normalization.recognize_group_normalization import RecognizeGroupNormalization
from graphopt.passes.normalization.recognize_inner_layer_normalization import (
    RecognizeInnerLayerNormalization,
)
from graphopt.passes.normalization.recognize_instance_normalization import RecognizeInstanceNormalization
from graphopt.passes.normalization.recognize_layer_normalization import RecognizeLayerNormalization
from graphopt.passes.normalization.recognize_rms_normalization import RecognizeRMSNormalization
from graphopt.passes.normalization.recognize_softmax import RecognizeSoftmax
from graphopt.passes.normalization.standardize_normalizations import StandardizeNormalizations
from graphopt.pipeline.pass_base import Pass

NORMALIZATION_PASSES: tuple[type[Pass], ...] = (
    StandardizeNormalizations,
    KeepReducedAxes,  # before the forms: they are spelled with reductions that keep their axes
    RecognizeInstanceNormalization,  # before LayerNormalization, which would store ones for every pixel
    RecognizeGroupNormalization,  # is made of InstanceNormalization
    RecognizeLayerNormalization,
    RecognizeInnerLayerNormalization,
    RecognizeRMSNormalization,
    FuseNormalizationScale,  # after those that leave ones for it
    RecognizeSoftmax,
)
