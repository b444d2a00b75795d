"""Which values must not be jittered: those whose value decides a shape, an index or an integer.

A table of positions moved by one ulp changes 5.0 to 4.9999998 and a Cast to int makes it 4: that is
no rounding noise but another model. The walk goes from such places back to the weights and inputs,
and stops at operators that mix many values (a matrix product) or compare them (TopK): what lies
behind those is ordinary data whose noise is real.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx_ir as ir

from graphopt.equality.flow import Flow, is_standard, words

_SHAPE_OR_INDEX_INPUTS: dict[str, tuple[int, ...]] = {
    "AffineGrid": (1,),
    "BlackmanWindow": (0,),
    "CenterCropPad": (1,),
    "Col2Im": (1, 2),
    "ConstantOfShape": (0,),
    "DFT": (1, 2),
    "Expand": (1,),
    "Gather": (1,),
    "GatherElements": (1,),
    "GatherND": (1,),
    "GRU": (4,),
    "HammingWindow": (0,),
    "HannWindow": (0,),
    "Loop": (0,),
    "LSTM": (4,),
    "MaxUnpool": (1, 2),
    "MelWeightMatrix": (0, 1, 2),
    "NonMaxSuppression": (2,),
    "OneHot": (0, 1),
    "Pad": (1, 3),
    "Range": (0, 1, 2),
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "ReverseSequence": (1,),
    "RNN": (4,),
    "RoiAlign": (2,),
    "Scatter": (1,),
    "ScatterElements": (1,),
    "ScatterND": (1,),
    "SequenceAt": (1,),
    "SequenceErase": (1,),
    "SequenceInsert": (2,),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "SplitToSequence": (1,),
    "Squeeze": (1,),
    "STFT": (1, 3),
    "TensorScatter": (2,),
    "Tile": (1, 2),
    "TopK": (1,),
    "Trilu": (1,),
    "Unsqueeze": (1,),
    "Upsample": (1,),
}
_AXES_AS_INPUT = ("ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceL1", "ReduceL2",
                  "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare")  # fmt: skip
_WIDE_INTEGERS = (ir.DataType.INT32, ir.DataType.INT64, ir.DataType.UINT32, ir.DataType.UINT64)
"""Casts to narrower integers quantise or draw pixels: there a flip is honest noise."""

_MIXING = words(
    "Attention BatchNormalization Conv ConvInteger ConvTranspose DFT Einsum Gemm GRU GroupNormalization "
    "Hardmax InstanceNormalization LayerNormalization LogSoftmax LpNormalization LSTM MatMul MatMulInteger "
    "MeanVarianceNormalization QLinearConv QLinearMatMul RMSNormalization RNN Softmax STFT"
)
_COMPARING = words(
    "And ArgMax ArgMin Equal Greater GreaterOrEqual IsInf IsNaN Less LessOrEqual NonMaxSuppression NonZero "
    "Not Or Shape Size TopK Unique Xor"
)


def steady_values(model: ir.Model, flow: Flow) -> set[ir.Value]:
    """Every value that reaches a shape, an index or a Cast to int; ``model`` has no functions."""
    steady: set[ir.Value] = set()
    todo = [value for node in model.graph.all_nodes() for value in _deciding_inputs(node)]
    while todo:
        value = todo.pop()
        if value in steady:
            continue
        steady.add(value)
        todo.extend(flow.sources(value))
        node = value.producer()
        if node is not None and _passes_on(node):
            todo.extend(v for v in node.inputs if v is not None)
    return steady


def _passes_on(node: ir.Node) -> bool:
    return is_standard(node) and node.op_type not in _MIXING and node.op_type not in _COMPARING


def _deciding_inputs(node: ir.Node) -> Iterator[ir.Value]:
    if not is_standard(node):
        return
    for index in _deciding_indices(node):
        value = node.inputs[index] if index < len(node.inputs) else None
        if value is not None:
            yield value


def _deciding_indices(node: ir.Node) -> Iterable[int]:
    if node.op_type == "Cast":
        return (0,) if ir.DataType(node.attributes["to"].as_int()) in _WIDE_INTEGERS else ()
    if node.op_type in _AXES_AS_INPUT:
        return (1,)
    return _SHAPE_OR_INDEX_INPUTS.get(node.op_type, ())
