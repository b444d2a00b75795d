"""Which nodes TensorRT may be given.

The parser itself says which operators it knows. What it says yes to and then cannot build, or takes for
something else, stands in the tables here; everything else is found out by building.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import onnx_ir as ir

from graphopt.backends.base import Claim
from graphopt.backends.tensorrt.building.parse import new_parser
from graphopt.backends.tensorrt.module import TITLES, Library
from graphopt.ir.walk import subgraphs

LEGALIZED: frozenset[str] = frozenset(
    {
        "Attention",
        "DynamicQuantizeLinear",
        "MatMulInteger",
        "ConvInteger",
        "QLinearMatMul",
        "QLinearConv",
        "com.microsoft::DynamicQuantizeLSTM",
        "com.microsoft::DynamicQuantizeMatMul",
        "com.microsoft::MatMulIntegerToFloat",
        "com.microsoft::QGemm",
        "com.microsoft::QLinearAdd",
        "com.microsoft::QLinearMul",
        "com.microsoft::QLinearSigmoid",
        "com.microsoft::QLinearLeakyRelu",
        "com.microsoft::QLinearSoftmax",
        "com.microsoft::QLinearGlobalAveragePool",
        "com.microsoft::QLinearAveragePool",
        "com.microsoft::QLinearConcat",
        "com.microsoft::QuantizeLinear",
        "com.microsoft::DequantizeLinear",
        "com.microsoft::MatMulNBits",
        "com.microsoft::Attention",
        "com.microsoft::FusedConv",
        "com.microsoft::FusedMatMul",
        "com.microsoft::MultiHeadAttention",
        "AffineGrid",
        "BitwiseNot",
        "CenterCropPad",
        "Col2Im",
        "DFT",
        "NegativeLogLikelihoodLoss",
        "SoftmaxCrossEntropyLoss",
        "SwiGLU",
        # By their ONNX bodies where the parser is too old for them.
        "GroupNormalization",
        "Gelu",
        "Mish",
        "RMSNormalization",
        "RotaryEmbedding",
        "Swish",
    }
)
"""Operators the parser lacks and this backend's own passes rewrite ("domain::Op" outside the standard)."""

UNBUILDABLE: dict[str, frozenset[str]] = {
    # Its plugins are not part of the library, and it has no kernel of its own.
    "tensorrt_rtx": frozenset({"NonMaxSuppression", "NonZero"}),
    "tensorrt": frozenset(),
}
"""Library → operators its parser takes and its builder cannot build."""

_PRODUCTS = frozenset({"MatMul", "Gemm", "Einsum", "LSTM", "GRU", "RNN", "Attention"})
_STANDARD = ("", "ai.onnx")
_DTYPES = frozenset(
    {
        ir.DataType.FLOAT,
        ir.DataType.FLOAT16,
        ir.DataType.BFLOAT16,
        ir.DataType.INT8,
        ir.DataType.UINT8,
        ir.DataType.INT32,
        ir.DataType.INT64,
        ir.DataType.BOOL,
        ir.DataType.INT4,
        ir.DataType.FLOAT8E4M3FN,
        ir.DataType.FLOAT4E2M1,
    }
)
"""What TensorRT's tensors may hold, here or there."""

_QUANTISED = frozenset({ir.DataType.UINT16, ir.DataType.INT16, ir.DataType.UINT4})
"""What floats take the place of between quantisers, and weights of int4 or int8 in front of one."""

_CARRYING = frozenset(
    {"QuantizeLinear", "DequantizeLinear", "Concat", "Max", "Min", "MaxPool", "Pad"}
    | {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Expand", "Tile", "Gather"}
    | {"DepthToSpace", "SpaceToDepth"}
)
"""Operators at which they do."""


def claim(node: ir.Node, library: Library, architectures: Sequence[str]) -> Claim:
    """Whether ``library`` knows the node's operator, and every dtype at it, on all the architectures."""
    title = TITLES[library.name]
    name = node.op_type if node.domain in _STANDARD else f"{node.domain}::{node.op_type}"
    if name not in LEGALIZED:
        if node.domain not in _STANDARD or not parser_knows(library, node.op_type):
            return Claim(False, f"{title}'s parser has no {name}")
        if name in UNBUILDABLE[library.name]:
            return Claim(False, f"{title} has no implementation of {name}")
    for value in (*node.inputs, *node.outputs):
        if value is None or value.type is None:
            continue
        if not isinstance(value.type, ir.TensorType):
            return Claim(False, f"TensorRT has tensors only, '{value.name}' is {value.type}")
        if value.dtype in _QUANTISED and node.op_type in _CARRYING:
            continue
        if value.dtype is not None and value.dtype not in _DTYPES:
            return Claim(False, f"TensorRT has no {value.dtype.name.lower()}")
    if library.name == "tensorrt_rtx" and "sm_75" in architectures and (reason := _not_on_turing(node)):
        return Claim(False, f"{title} has no {reason} on sm_75; --precision fp16 has them")
    return Claim(True)


def _not_on_turing(node: ir.Node) -> str:
    """What TensorRT-RTX lacks on Turing of what a node computes, which its builder finds one by one."""
    dtypes = {value.dtype for value in node.inputs if value is not None}
    if ir.DataType.BFLOAT16 in dtypes:
        return "bfloat16"
    return "float32 matrix products" if node.op_type in _PRODUCTS and ir.DataType.FLOAT in dtypes else ""


def misread(region: ir.Model) -> dict[str, str]:
    """Name of a node of a legalised region → how TensorRT's parser would misunderstand it.

    uint8 quantisation is read as int8, which is another number above 127, with no more than a warning; a
    zero point that is not a constant is taken for 0 without a word.
    """
    reasons = ((node, _misreading(inner)) for node in region.graph for inner in _with_inner(node))
    return {str(node.name): reason for node, reason in reasons if reason}


def _misreading(node: ir.Node) -> str:
    if node.op_type == "SpaceToDepth" and node.attributes.get_string("mode", "DCR") != "DCR":
        return "TensorRT takes every mode of SpaceToDepth for DCR"
    if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
        return ""
    if _quantised(node) == ir.DataType.UINT8:
        return f"TensorRT takes uint8 in {node.op_type} for int8"
    if not _is_constant(node.inputs[2] if len(node.inputs) > 2 else None):
        return f"TensorRT takes a zero point it does not know in {node.op_type} for 0"
    return ""


def _is_constant(value: ir.Value | None) -> bool:
    """Whether an operand is left out or known when the engine is built."""
    if value is None or value.const_value is not None:
        return True
    maker = value.producer()
    return maker is not None and maker.op_type == "Constant"


def _with_inner(node: ir.Node) -> Iterator[ir.Node]:
    yield node
    for graph in subgraphs(node):
        yield from graph.all_nodes()


def _quantised(node: ir.Node) -> ir.DataType | None:
    """The dtype on the integer side of a (de)quantisation; uint8 where nothing says so, as ONNX defines."""
    if node.op_type == "DequantizeLinear":
        return node.inputs[0].dtype if node.inputs[0] is not None else None
    zero_point = node.inputs[2] if len(node.inputs) > 2 else None
    if zero_point is not None and zero_point.dtype is not None:
        return zero_point.dtype
    stated = node.attributes.get_int("output_dtype", 0)
    return ir.DataType(stated) if stated else node.outputs[0].dtype or ir.DataType.UINT8


@cache
def parser_knows(library: Library, op_type: str) -> bool:
    """Whether the parser has an importer for an operator of the standard."""
    return bool(new_parser(library).parser.supports_operator(op_type))
