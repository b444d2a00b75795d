"""How TensorRT takes things and likes them spelled, one pass per file, in running order."""

from graphopt.pipeline.pass_base import Pass

LEGALIZE_PASSES: tuple[type[Pass], ...] = ()
