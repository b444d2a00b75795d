"""Which nodes TensorRT may be given."""

from __future__ import annotations

from functools import cache

import onnx_ir as ir

from graphopt.backends.base import Claim
from graphopt.backends.tensorrt.module import Library

LEGALIZED: frozenset[str] = frozenset(
    {"Attention", "DynamicQuantizeLinear", "MatMulInteger", "ConvInteger", "QLinearMatMul", "QLinearConv"}
)
"""Operators the parser lacks and this backend's own passes rewrite ("domain::Op" outside the standard)."""

_LACKING_DTYPES = frozenset(
    {
        ir.DataType.DOUBLE,
        ir.DataType.STRING,
        ir.DataType.UINT16,
        ir.DataType.UINT32,
        ir.DataType.UINT64,
        ir.DataType.INT16,
        ir.DataType.COMPLEX64,
        ir.DataType.COMPLEX128,
    }
)


def claim(node: ir.Node, library: Library) -> Claim:
    """Whether ``library`` knows the node's operator, and every dtype at it."""
    name = f"{node.domain}::{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type
    if name not in LEGALIZED and not (node.domain in ("", "ai.onnx") and _parser_knows(library, name)):
        return Claim(False, f"{library.title}'s parser has no {name}")
    for value in (*node.inputs, *node.outputs):
        if value is None or value.type is None:
            continue
        if not isinstance(value.type, ir.TensorType):
            return Claim(False, f"TensorRT has no {type(value.type).__name__} values")
        if value.dtype in _LACKING_DTYPES:
            return Claim(False, f"TensorRT has no {value.dtype.name.lower()}")
    return Claim(True)


@cache
def _parser_knows(library: Library, op_type: str) -> bool:
    from graphopt.backends.tensorrt.parse import new_parser

    return bool(new_parser(library).parser.supports_operator(op_type))
