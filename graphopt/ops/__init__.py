"""Operators of graphopt's own, one file each; a test checks that every file is in the tuple."""

from graphopt.ops.bias_mat_mul_integer_to_float import BIAS_MAT_MUL_INTEGER_TO_FLOAT
from graphopt.ops.conv_integer_to_float import CONV_INTEGER_TO_FLOAT
from graphopt.ops.embed_layer_normalization import EMBED_LAYER_NORMALIZATION
from graphopt.ops.masked_fill_softmax import MASKED_FILL_SOFTMAX
from graphopt.ops.masked_softmax import MASKED_SOFTMAX
from graphopt.ops.mat_mul_integer_to_float import MAT_MUL_INTEGER_TO_FLOAT
from graphopt.ops.op import NamedOp
from graphopt.ops.quick_gelu import QUICK_GELU
from graphopt.ops.silu import SILU
from graphopt.ops.skip_layer_normalization import SKIP_LAYER_NORMALIZATION
from graphopt.ops.skip_rms_normalization import SKIP_RMS_NORMALIZATION

ALL_OPS: tuple[NamedOp, ...] = (
    SILU,
    QUICK_GELU,
    SKIP_LAYER_NORMALIZATION,
    SKIP_RMS_NORMALIZATION,
    EMBED_LAYER_NORMALIZATION,
    MASKED_SOFTMAX,
    MASKED_FILL_SOFTMAX,
    MAT_MUL_INTEGER_TO_FLOAT,
    BIAS_MAT_MUL_INTEGER_TO_FLOAT,
    CONV_INTEGER_TO_FLOAT,
)
