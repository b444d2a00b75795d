"""Which operators may compute in a lower precision, and which of their operands then change type."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import onnx
import onnx_ir as ir

from graphopt.ops import ALL_OPS
from graphopt.rewrite import opfacts

_WIDE_ONLY_WORDS = """
    Bernoulli BlackmanWindow ConvInteger DFT DequantizeLinear Det DynamicQuantizeLinear EyeLike
    HammingWindow HannWindow If LRN Loop LpNormalization LpPool MatMulInteger MeanVarianceNormalization
    MelWeightMatrix Multinomial NonMaxSuppression Optional QLinearConv QLinearMatMul QuantizeLinear
    RandomNormal RandomNormalLike RandomUniform RandomUniformLike Range ReduceL2 ReduceLogSum
    ReduceLogSumExp ReduceSumSquare STFT Scan
"""
WIDE_ONLY = frozenset(_WIDE_ONLY_WORDS.split())
"""Standard operators that stay in float32: scales of quantisation keep every digit, positions count
further than float16 does, sums of squares and of exponentials leave its range, random numbers would be
others, and what crosses the border of a subgraph keeps its type."""

_MOVERS_WORDS = """
    ArgMax ArgMin Compress DepthToSpace Expand Flatten Gather GatherElements GatherND Identity Reshape
    Slice SpaceToDepth Split Squeeze Tile TopK Transpose Trilu Unsqueeze
"""
MOVERS = frozenset(_MOVERS_WORDS.split())
"""Operators that only move or pick values: the same in either precision, so they go with their neighbours."""

_ONLY_DATA = {"Resize": 1, "CastLike": 2, "GridSample": 2}
"""Operators of which only the first inputs change type, however far the schema would let the rest go."""

_STATISTICS = {"LayerNormalization": 1}
"""Operators whose results after the first ones are of the type they compute in, whatever the operands'."""

_CALLS = frozenset(op.name for op in ALL_OPS if not op.standard_ops & WIDE_ONLY)
"""graphopt's own operators whose body works at any precision."""

_VARIADIC = onnx.defs.OpSchema.FormalParameterOption.Variadic


@dataclass(frozen=True)
class Places:
    """The operands of one node that change type when it computes in the lower precision."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def places(node: ir.Node, opset: int, to: ir.DataType) -> Places | None:
    """The float32 operands of ``node`` that become ``to``; None when the node stays as it is.

    It does where no operand is float32, where the operator has no form in ``to`` at this opset and where
    it is one of ``WIDE_ONLY``.
    """
    if node.domain == "graphopt":
        return _all_floats(node) if node.op_type in _CALLS else None
    if node.domain != "" or node.op_type in WIDE_ONLY or _is_cast_between_floats(node, to):
        return None
    allowed = _allowed(node.op_type, opset, to)
    if allowed is None:
        return None
    inputs = [
        index
        for index, value in enumerate(node.inputs)
        if _is_float(value) and allowed.takes(index) and index < _ONLY_DATA.get(node.op_type, index + 1)
    ]
    results = node.outputs[: _STATISTICS.get(node.op_type)]
    outputs = [index for index, value in enumerate(results) if _is_float(value)]
    if not all(allowed.gives(index) for index in outputs):
        return None
    return Places(tuple(inputs), tuple(outputs)) if inputs or outputs else None


def _all_floats(node: ir.Node) -> Places:
    return Places(
        tuple(i for i, value in enumerate(node.inputs) if _is_float(value)),
        tuple(i for i, value in enumerate(node.outputs) if _is_float(value)),
    )


def _is_cast_between_floats(node: ir.Node, to: ir.DataType) -> bool:
    """Whether the model itself leaves the lower precision here: it stays where it does."""
    return node.op_type == "Cast" and node.inputs[0] is not None and node.inputs[0].dtype == to


def _is_float(value: ir.Value | None) -> bool:
    return value is not None and value.dtype == ir.DataType.FLOAT


@dataclass(frozen=True)
class _Allowed:
    """Per formal parameter, whether it may be of the lower precision; the last one may repeat."""

    inputs: tuple[bool, ...]
    outputs: tuple[bool, ...]
    repeats: bool
    fans_out: bool

    def takes(self, index: int) -> bool:
        return self._at(self.inputs, index, self.repeats)

    def gives(self, index: int) -> bool:
        return self._at(self.outputs, index, self.fans_out)

    @staticmethod
    def _at(entries: tuple[bool, ...], index: int, repeats: bool) -> bool:
        if index < len(entries):
            return entries[index]
        return repeats and entries[-1]


@lru_cache(maxsize=1024)
def _allowed(op_type: str, opset: int, to: ir.DataType) -> _Allowed | None:
    schema = opfacts.schema("", op_type, opset)
    if schema is None:
        return None
    wanted = f"tensor({to.name.lower()})"
    types = {entry.type_param_str: entry.allowed_type_strs for entry in schema.type_constraints}

    def may(formal: onnx.defs.OpSchema.FormalParameter) -> bool:
        return wanted in types.get(formal.type_str, ())

    return _Allowed(
        tuple(map(may, schema.inputs)),
        tuple(map(may, schema.outputs)),
        bool(schema.inputs) and schema.inputs[-1].option == _VARIADIC,
        bool(schema.outputs) and schema.outputs[-1].option == _VARIADIC,
    )
