"""How TensorRT takes things and likes them spelled, one pass per file, in running order.

- Bodies of functions first: the passes after it see operators, not calls.
- What quantises comes before what only computes: it leaves products and activations behind.
- Activations last: the passes before them make no new ones.
"""

from graphopt.backends.tensorrt.legalize.carry_bytes_as_floats import CarryBytesAsFloats
from graphopt.backends.tensorrt.legalize.complete_operands import CompleteOperands
from graphopt.backends.tensorrt.legalize.distinguish_dims import DistinguishDims
from graphopt.backends.tensorrt.legalize.drop_ceil_mode import DropCeilMode
from graphopt.backends.tensorrt.legalize.drop_integer_casts import DropIntegerCasts
from graphopt.backends.tensorrt.legalize.expand_quantized_lstm import ExpandQuantizedLstm
from graphopt.backends.tensorrt.legalize.expand_standard_functions import ExpandStandardFunctions
from graphopt.backends.tensorrt.legalize.fold_integer_bias import FoldIntegerBias
from graphopt.backends.tensorrt.legalize.inline_bodies import InlineBodies
from graphopt.backends.tensorrt.legalize.multiply_as_integers import MultiplyAsIntegers
from graphopt.backends.tensorrt.legalize.raise_ranks import RaiseRanks
from graphopt.backends.tensorrt.legalize.shield_recurrent_input import ShieldRecurrentInput
from graphopt.backends.tensorrt.legalize.spell_affine_grid import SpellAffineGrid
from graphopt.backends.tensorrt.legalize.spell_attention import SpellAttention
from graphopt.backends.tensorrt.legalize.spell_block_products import SpellBlockProducts
from graphopt.backends.tensorrt.legalize.spell_col2im import SpellCol2im
from graphopt.backends.tensorrt.legalize.spell_contrib_attention import SpellContribAttention
from graphopt.backends.tensorrt.legalize.spell_dequantize_linear import SpellDequantizeLinear
from graphopt.backends.tensorrt.legalize.spell_dft import SpellDft
from graphopt.backends.tensorrt.legalize.spell_dynamic_quantization import SpellDynamicQuantization
from graphopt.backends.tensorrt.legalize.spell_fused_products import SpellFusedProducts
from graphopt.backends.tensorrt.legalize.spell_integer_convs import SpellIntegerConvs
from graphopt.backends.tensorrt.legalize.spell_integer_matmuls import SpellIntegerMatmuls
from graphopt.backends.tensorrt.legalize.spell_integer_steps import SpellIntegerSteps
from graphopt.backends.tensorrt.legalize.spell_quantize_linear import SpellQuantizeLinear
from graphopt.backends.tensorrt.legalize.spell_quantized_products import SpellQuantizedProducts
from graphopt.backends.tensorrt.legalize.spell_quantized_steps import SpellQuantizedSteps
from graphopt.backends.tensorrt.legalize.spell_quantized_sums import SpellQuantizedSums
from graphopt.backends.tensorrt.legalize.spell_recurrent_layout import SpellRecurrentLayout
from graphopt.backends.tensorrt.legalize.spell_resize import SpellResize
from graphopt.backends.tensorrt.legalize.spell_scatter_reduction import SpellScatterReduction
from graphopt.backends.tensorrt.legalize.spell_silu import SpellSilu
from graphopt.backends.tensorrt.legalize.spell_statistics import SpellStatistics
from graphopt.backends.tensorrt.legalize.widen_ragged_recurrence import WidenRaggedRecurrence
from graphopt.pipeline.pass_base import Pass

LEGALIZE_PASSES: tuple[type[Pass], ...] = (
    InlineBodies,
    ExpandStandardFunctions,
    ExpandQuantizedLstm,
    SpellQuantizedProducts,
    SpellQuantizedSteps,
    SpellQuantizedSums,
    SpellBlockProducts,
    FoldIntegerBias,
    MultiplyAsIntegers,
    SpellDynamicQuantization,
    SpellQuantizeLinear,
    SpellDequantizeLinear,
    SpellIntegerMatmuls,
    SpellIntegerConvs,
    CarryBytesAsFloats,
    DropIntegerCasts,
    SpellFusedProducts,
    SpellContribAttention,
    SpellAttention,
    SpellStatistics,
    SpellAffineGrid,
    SpellDft,
    SpellCol2im,
    SpellScatterReduction,
    SpellResize,
    SpellRecurrentLayout,
    WidenRaggedRecurrence,
    ShieldRecurrentInput,
    SpellIntegerSteps,
    DropCeilMode,
    RaiseRanks,
    CompleteOperands,
    SpellSilu,
    DistinguishDims,
)
