"""How ONNX Runtime likes things spelled, one pass per file, in running order.

- Passes that know a spelling for a named operator come first, then inline-calls.
- lower-opset last: a spelling may need a newer opset.
"""

from graphopt.backends.onnxruntime.legalize.expand_attention_mask import ExpandAttentionMask
from graphopt.backends.onnxruntime.legalize.flatten_cropping_pad import FlattenCroppingPad
from graphopt.backends.onnxruntime.legalize.inline_calls import InlineCalls
from graphopt.backends.onnxruntime.legalize.keep_average_pool_float import KeepAveragePoolFloat
from graphopt.backends.onnxruntime.legalize.keep_softmax_float import KeepSoftmaxFloat
from graphopt.backends.onnxruntime.legalize.lift_conv_to_images import LiftConvToImages
from graphopt.backends.onnxruntime.legalize.lower_opset import LowerOpset
from graphopt.backends.onnxruntime.legalize.move_softmax_axis_last import MoveSoftmaxAxisLast
from graphopt.backends.onnxruntime.legalize.spell_activations_by_exp import SpellActivationsByExp
from graphopt.backends.onnxruntime.legalize.spell_affine_as_batch_norm import SpellAffineAsBatchNorm
from graphopt.backends.onnxruntime.legalize.spell_integer_products import SpellIntegerProducts
from graphopt.backends.onnxruntime.legalize.spell_lrn_as_conv import SpellLrnAsConv
from graphopt.backends.onnxruntime.legalize.spell_multi_head_attention import SpellMultiHeadAttention
from graphopt.backends.onnxruntime.legalize.spell_prelu_as_relus import SpellPreluAsRelus
from graphopt.backends.onnxruntime.legalize.split_conv_phases import SplitConvPhases
from graphopt.backends.onnxruntime.legalize.split_depth_to_space import SplitDepthToSpace
from graphopt.backends.onnxruntime.legalize.split_group_normalization import SplitGroupNormalization
from graphopt.backends.onnxruntime.legalize.split_skip_normalization import SplitSkipNormalization
from graphopt.backends.onnxruntime.legalize.split_transposed_conv_phases import SplitTransposedConvPhases
from graphopt.backends.onnxruntime.legalize.widen_half_attention import WidenHalfAttention
from graphopt.pipeline.pass_base import Pass

LEGALIZE_PASSES: tuple[type[Pass], ...] = (
    WidenHalfAttention,
    ExpandAttentionMask,
    SpellMultiHeadAttention,
    KeepSoftmaxFloat,
    KeepAveragePoolFloat,
    SpellIntegerProducts,
    InlineCalls,
    SplitSkipNormalization,
    SplitGroupNormalization,
    SplitTransposedConvPhases,
    LiftConvToImages,
    SplitConvPhases,
    SpellLrnAsConv,
    SpellActivationsByExp,
    SpellPreluAsRelus,
    SpellAffineAsBatchNorm,
    MoveSoftmaxAxisLast,
    SplitDepthToSpace,
    FlattenCroppingPad,
    LowerOpset,
)

NEEDED_PASSES: tuple[type[Pass], ...] = (
    WidenHalfAttention,
    ExpandAttentionMask,
    InlineCalls,
    SplitGroupNormalization,
    LowerOpset,
)
"""Those without which the runtime refuses a graph or loses digits; the others make it faster on CPUs."""
