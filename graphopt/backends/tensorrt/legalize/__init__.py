"""How TensorRT takes things and likes them spelled, one pass per file, in running order."""

from graphopt.backends.tensorrt.legalize.spell_attention import SpellAttention
from graphopt.pipeline.pass_base import Pass

LEGALIZE_PASSES: tuple[type[Pass], ...] = (SpellAttention,)
