"""Which formula counts which operator.

The convention: every arithmetic operation of the operator's definition counts as one, be it one of the four
basic operations, a minimum, maximum or comparison, a root, an exponential, logarithm, error or trigonometric
function; a multiply-add is two. Moving, selecting, casting and logic count as none. Integer operators
(MatMulInteger, …) count the same way.
"""

from __future__ import annotations

from graphopt.ir.analyses.formulas import attention, dense, recurrent, window
from graphopt.ir.analyses.formulas.call import Call, Formula


def zero(_call: Call) -> int:
    """No arithmetic: data is moved, selected, reinterpreted or compared as a whole."""
    return 0


def variadic(finish: int = 0) -> Formula:
    """n inputs combined pairwise, ``finish`` operations per output element at the end."""
    return lambda call: call.out_size() * (len(call.node.inputs) - 1 + finish)


def gelu(call: Call) -> int:
    """x·½·(1 + erf(x/√2)) has 5 operations; the tanh form 8."""
    return call.out_size() * (8 if call.string("approximate", "none") == "tanh" else 5)


def layer_norm(call: Call) -> int:
    """Mean, centre, square, variance, scale, gain, and offset when given: 6 or 7 per element."""
    return call.size(0) * (7 if call.has(2) else 6)


def skip_layer_norm(per_element: int, bias: int) -> Formula:
    """A residual addition (and a bias) before a normalisation of ``per_element``."""
    return lambda call: call.size(0) * (per_element + 1 + int(call.has(bias)))


def embed_layer_norm(call: Call) -> int:
    """com.microsoft EmbedLayerNormalization: up to three embeddings summed, then LayerNormalization."""
    return call.out_size() * (7 + (2 if call.has(1) else 1))


# Moves, selects, reshapes, casts or reasons about whole tensors.
_MOVES = """
    BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor And Or Xor Not Cast CastLike
    CenterCropPad Col2Im Compress Concat ConcatFromSequence Constant ConstantOfShape DepthToSpace
    Dropout Expand EyeLike Flatten Gather GatherElements GatherND Identity IsInf IsNaN NonZero
    OneHot Optional OptionalGetElement OptionalHasElement Pad Reshape ReverseSequence Scatter
    ScatterElements ScatterND SequenceAt SequenceConstruct SequenceEmpty SequenceErase
    SequenceInsert SequenceLength Shape Size Slice SpaceToDepth Split SplitToSequence Squeeze
    StringConcat StringNormalizer StringSplit TensorScatter Tile Transpose Trilu Unique Unsqueeze
    Where ImageDecoder RegexFullMatch MaxUnpool
"""

# Operations per element of the output.
_ELEMENTWISE = {
    1: "Abs Acos Add Asin Atan Ceil Cos Div Equal Erf Exp Floor Greater GreaterOrEqual Hardmax Less"
    " LessOrEqual Log Mod Mul Neg Pow PRelu Reciprocal Relu Round Sign Sin Sqrt Sub Tan Tanh",
    2: "BatchNormalization Clip LeakyRelu ThresholdedRelu Range Cosh Sinh Softsign Acosh Asinh Atanh"
    " Bernoulli RandomUniform RandomUniformLike DequantizeLinear Shrink",
    3: "Elu HardSigmoid Softplus LpNormalization RandomNormal RandomNormalLike QuantizeLinear Celu",
    4: "Sigmoid Selu HardSwish HannWindow HammingWindow",
    5: "Softmax LogSoftmax DynamicQuantizeLinear Swish MeanVarianceNormalization Mish",
    7: "InstanceNormalization GroupNormalization BlackmanWindow",
}

# (operations per input element, operations per output element)
_REDUCTIONS = {
    "ArgMax": (1, 0), "ArgMin": (1, 0), "CumSum": (1, 0), "CumProd": (1, 0), "ReduceL1": (2, 0),
    "ReduceL2": (2, 1), "ReduceLogSum": (1, 1), "ReduceLogSumExp": (4, 2),
    "ReduceMax": (1, 0), "ReduceMean": (1, 1),
    "ReduceMin": (1, 0), "ReduceProd": (1, 0), "ReduceSum": (1, 0), "ReduceSumSquare": (2, 0),
}  # fmt: skip

_ONNX: dict[str, Formula] = {
    **dict.fromkeys(_MOVES.split(), zero),
    **{name: window.per_output(count) for count, names in _ELEMENTWISE.items() for name in names.split()},
    **{name: window.reduction(*counts) for name, counts in _REDUCTIONS.items()},
    "Attention": attention.attention,
    "AveragePool": window.pool(1, 1),
    "CausalConvWithState": dense.causal_conv,
    "Conv": dense.conv(),
    "ConvInteger": dense.conv(bias=None),
    "ConvTranspose": dense.conv_transpose,
    "DFT": window.dft,
    "DeformConv": dense.deformable_conv,
    "Det": window.determinant,
    "Einsum": dense.einsum,
    "GRU": recurrent.recurrent("GRU"),
    "Gelu": gelu,
    "Gemm": dense.gemm,
    "GlobalAveragePool": window.global_pool(1, 1),
    "GlobalLpPool": window.global_pool(2, 3),
    "GlobalMaxPool": window.global_pool(1, 0),
    "GridSample": window.grid_sample,
    "LRN": window.local_response,
    "LSTM": recurrent.recurrent("LSTM"),
    "LayerNormalization": layer_norm,
    "LinearAttention": attention.linear_attention,
    "LpPool": window.pool(2, 3),
    "MatMul": dense.matmul(),
    "MatMulInteger": dense.matmul(),
    "Max": variadic(),
    "MaxPool": window.pool(1, 0),
    "Mean": variadic(1),
    "Min": variadic(),
    "NegativeLogLikelihoodLoss": window.per_input(1, 1),
    "QLinearConv": dense.conv(weight=3, bias=8, after=3),
    "QLinearMatMul": dense.matmul(0, 3, after=3),
    "RMSNormalization": window.per_input(4),
    "RNN": recurrent.recurrent("RNN"),
    "Resize": window.resize,
    "RoiAlign": window.roi_align,
    "RotaryEmbedding": attention.rotary_embedding,
    "STFT": window.stft,
    "SoftmaxCrossEntropyLoss": window.per_input(5),
    "Sum": variadic(),
    "SwiGLU": window.per_output(6),
    "TopK": window.top_k,
    "Upsample": window.resize,
}

_MICROSOFT: dict[str, Formula] = {
    "Attention": attention.packed_attention(weight=1, bias=2),
    "BiasAdd": window.per_output(2),
    "BiasGelu": window.per_output(6),
    "BiasSoftmax": window.per_output(6),
    "BiasSplitGelu": window.per_output(7),
    "DequantizeLinear": window.per_output(2),
    "DynamicQuantizeLSTM": recurrent.recurrent("LSTM", transposed_weights=True),
    "DynamicQuantizeMatMul": dense.matmul(after=2),
    "EmbedLayerNormalization": embed_layer_norm,
    "FastGelu": window.per_output(8),
    "FusedConv": dense.conv(after=1),
    "FusedGemm": dense.gemm,
    "FusedMatMul": dense.fused_matmul,
    "Gelu": window.per_output(5),
    "GemmFastGelu": dense.matmul(after=8),
    "GroupNorm": window.per_output(7),
    "GroupQueryAttention": attention.group_query_attention,
    "MatMulInteger16": dense.matmul(),
    "MatMulIntegerToFloat": dense.matmul(after=2),
    "MatMulNBits": dense.matmul_n_bits,
    "MultiHeadAttention": attention.multi_head_attention,
    "NhwcConv": dense.conv(),
    "NhwcFusedConv": dense.conv(after=1),
    "NhwcMaxPool": window.pool(1, 0),
    "QAttention": attention.packed_attention(weight=1, bias=2),
    "QGemm": dense.quantised_gemm,
    "QLinearAdd": window.per_output(8),
    "QLinearAveragePool": window.pool(1, 6),
    "QLinearConcat": zero,
    "QLinearConv": dense.conv(weight=3, bias=8, after=3),
    "QLinearGlobalAveragePool": window.global_pool(1, 6),
    "QLinearLeakyRelu": window.per_output(7),
    "QLinearMul": window.per_output(8),
    "QLinearSigmoid": window.per_output(9),
    "QLinearSoftmax": window.per_output(10),
    "QLinearWhere": zero,
    "QuantizeLinear": window.per_output(3),
    "QuickGelu": window.per_output(6),
    "RotaryEmbedding": attention.rotary_embedding,
    "SkipGroupNorm": window.per_output(8),
    "SkipLayerNormalization": skip_layer_norm(7, bias=4),
    "SkipSimplifiedLayerNormalization": skip_layer_norm(4, bias=3),
    "TransposeMatMul": dense.fused_matmul,
    **dict.fromkeys(("ExpandDims", "GatherND", "Pad", "Trilu", "Unique"), zero),
}

# ONNX Runtime registers these under the ONNX domain.
_ONNX["SimplifiedLayerNormalization"] = window.per_input(4)
_ONNX["FusedConv"] = _MICROSOFT["FusedConv"]

_BLOCKED: dict[str, Formula] = {
    **{name: _ONNX[name] for name in ("AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool")},
    "Conv": dense.conv(after=0),
    "ReorderInput": zero,
    "ReorderOutput": zero,
    "Upsample": window.resize,
}

FORMULAS: dict[str, dict[str, Formula]] = {
    "": _ONNX,
    "com.microsoft": _MICROSOFT,
    "com.microsoft.nchwc": _BLOCKED,
    "com.ms.internal.nhwc": {
        "Conv": dense.conv(),
        "MaxPool": _ONNX["MaxPool"],
        "AveragePool": _ONNX["AveragePool"],
    },
}
"""Domain → operator → formula."""


def formula_for(domain: str, op_type: str) -> Formula | None:
    """The formula of an operator, or None when graphopt has none."""
    return FORMULAS.get("" if domain == "ai.onnx" else domain, {}).get(op_type)
