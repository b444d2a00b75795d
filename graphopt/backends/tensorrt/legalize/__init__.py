"""How TensorRT takes things and likes them spelled, one pass per file, in running order.

- Bodies of functions first: the passes after it see operators, not calls.
- What quantises comes before what only computes: it leaves products and activations behind.
- Activations last: the passes before them make no new ones.
"""

from graphopt.backends.tensorrt.legalize.inline_bodies import InlineBodies
from graphopt.backends.tensorrt.legalize.spell_attention import SpellAttention
from graphopt.backends.tensorrt.legalize.spell_silu import SpellSilu
from graphopt.pipeline.pass_base import Pass

LEGALIZE_PASSES: tuple[type[Pass], ...] = (
    InlineBodies,
    SpellAttention,
    SpellSilu,
)
