"""Precision: what may be computed in float16 or bfloat16 is written so. No level runs these by itself."""

from graphopt.passes.precision.clamp_masks import ClampMasks
from graphopt.passes.precision.convert_precision import ConvertPrecision
from graphopt.passes.precision.inline_model_functions import InlineModelFunctions
from graphopt.pipeline.pass_base import Pass

PRECISION_PASSES: tuple[type[Pass], ...] = (
    InlineModelFunctions,  # before: what is inside takes part
    ClampMasks,  # before: what is out of range would stay wide, and attention with it
    ConvertPrecision,
)
