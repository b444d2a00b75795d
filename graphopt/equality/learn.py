"""What each operator that reads an input says about the input."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import onnx_ir as ir

from graphopt.equality.facts import Facts, Track
from graphopt.equality.flow import Flow, Use, attribute, constant, number, static_dims, words

_INDEXED: dict[str, tuple[int, int]] = {"Gather": (0, 1), "GatherElements": (0, 1)}
_COMPARISONS = ("Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual")
_LOGIC = words("And Cast Identity Not Or Reshape Squeeze Unsqueeze Xor")
_RAW_PIXELS = 255.0


def learn(facts: Facts, track: Track, use: Use, flow: Flow) -> None:
    """Add what one node that reads the values says about them."""
    node = use.node
    if node.op_type in _COMPARISONS:
        _learn_comparison(facts, track, use, flow)
    elif node.op_type in _INDEXED:
        data, index = _INDEXED[node.op_type]
        if use.index == index:
            _learn_index(facts, track, static_dims(node.inputs[data]), attribute(node, "axis", 0))
    elif node.op_type == "EmbedLayerNormalization" and use.index in (0, 1):
        _learn_index(facts, track, static_dims(node.inputs[2 + use.index]), 0)
    elif node.op_type == "OneHot" and use.index == 0:
        depth = number(node.inputs[1])
        if depth is not None:
            facts.index_below(int(depth) - track.offset)
    elif node.op_type in _LEARNERS:
        _LEARNERS[node.op_type](facts, track, use)
    if node.op_type in ("LabelEncoder", "CategoryMapper", "StringNormalizer", "TfIdfVectorizer"):
        for name in ("keys_strings", "cats_strings", "pool_strings"):
            attr = node.attributes.get(name)
            if attr is not None:
                facts.words += list(attr.as_strings())


def _learn_index(facts: Facts, track: Track, dims: tuple[int, ...] | None, axis: int) -> None:
    if dims and -len(dims) <= axis < len(dims):
        facts.index_below(dims[axis] - track.offset)


def _learn_comparison(facts: Facts, track: Track, use: Use, flow: Flow) -> None:
    other = use.node.inputs[1 - use.index]
    found = number(other)
    if found is None:
        _learn_one_hot(facts, track, use.node.op_type, other)
        return
    if not found.is_integer():
        return
    value = int(found) - track.offset
    if value not in facts.compared:
        facts.compared.append(value)
    if _decides_branch(use.node.outputs[0], flow):
        facts.branches = True
    elif use.node.op_type == "Equal" and value == 0:
        facts.masks = True


def _learn_one_hot(facts: Facts, track: Track, op_type: str, other: ir.Value | None) -> None:
    """Comparing with every number of a range is a one-hot encoding: the range bounds the values."""
    node = None if other is None else other.producer()
    while (
        constant(other) is None
        and node is not None
        and node.op_type in ("Cast", "Expand", "Reshape", "Unsqueeze")
    ):
        other = node.inputs[0]
        node = None if other is None else other.producer()
    tensor = constant(other)
    if op_type != "Equal" or tensor is None or not tensor.dtype.is_integer() or tensor.size < 2:
        return
    facts.index_below(int(tensor.numpy().max()) + 1 - track.offset)


def _decides_branch(value: ir.Value, flow: Flow) -> bool:
    todo, seen = [value], set[ir.Value]()
    while todo:
        current = todo.pop()
        if current in seen:
            continue
        seen.add(current)
        todo += flow.aliases(current)
        for use in flow.uses(current):
            if use.node.op_type == "If" and use.index == 0:
                return True
            if use.node.op_type in _LOGIC:
                todo += use.node.outputs
    return False


def _learn_cast(facts: Facts, _track: Track, use: Use) -> None:
    facts.masks |= ir.DataType(attribute(use.node, "to", 0)) == ir.DataType.BOOL


def _learn_subtraction(facts: Facts, _track: Track, use: Use) -> None:
    if use.index == 1 and number(use.node.inputs[0]) == 1:
        facts.masks = True
    if use.index == 0:
        _learn_scale(facts, use)


def _learn_scale(facts: Facts, use: Use) -> None:
    """Subtracting a mean of 100 or dividing by 255 says that raw pixels come in."""
    tensor = constant(use.node.inputs[1 - use.index])
    if tensor is None or tensor.size > 64 or tensor.size == 0 or tensor.dtype == ir.DataType.STRING:
        return
    size = float(np.mean(np.abs(tensor.numpy().astype(np.float64))))
    small = use.node.op_type == "Mul" and 0 < size < 0.05
    if small or (use.node.op_type in ("Sub", "Div") and 20 < size < 1000):
        facts.peak = _RAW_PIXELS


def _learn_division(facts: Facts, _track: Track, use: Use) -> None:
    if use.index == 1:
        facts.positive = True
    else:
        _learn_scale(facts, use)


def _learn_positive(facts: Facts, _track: Track, use: Use) -> None:
    facts.positive |= use.index == 0


def _learn_addition(facts: Facts, _track: Track, use: Use) -> None:
    facts.added |= any(u.node.op_type == "Softmax" for u in _uses(use.node.outputs[0]))


def _uses(value: ir.Value) -> Iterator[Use]:
    for usage in value.uses():
        yield Use(usage.node, usage.idx)


def _learn_attention(facts: Facts, _track: Track, use: Use) -> None:
    facts.masks |= use.index == 3


def _learn_size(facts: Facts, _track: Track, use: Use) -> None:
    facts.lengths |= use.index > 0 or use.node.op_type in ("ConstantOfShape", "Range")


def _learn_convolution(facts: Facts, track: Track, use: Use) -> None:
    dims = static_dims(use.node.inputs[1])
    if use.index or dims is None:
        return
    facts.pooled_images |= len(dims) == 4
    facts.signals |= len(dims) == 3
    per_group = dims[0] if use.node.op_type == "ConvTranspose" else dims[1]
    groups = 1 if use.node.op_type == "ConvTranspose" else attribute(use.node, "group", 1)
    facts.require(track.axis(1), per_group * groups)


def _learn_image(facts: Facts, track: Track, use: Use) -> None:
    facts.pooled_images |= use.index == 0 and track.axes is not None and len(track.axes) == 4


def _learn_signal(facts: Facts, _track: Track, use: Use) -> None:
    facts.signals |= use.index == 0


def _learn_product(facts: Facts, track: Track, use: Use) -> None:
    other = static_dims(use.node.inputs[1 - use.index]) if use.index < 2 else None
    if other is None or not other:
        return
    if use.node.op_type == "Gemm":
        transposed = attribute(use.node, "transB" if use.index == 0 else "transA", 0)
        size = other[1 if transposed else 0] if use.index == 0 else other[0 if transposed else 1]
        facts.require(track.axis(1 if use.index == 0 else 0), size)
    elif len(other) >= 2 and use.index == 0:
        facts.require(track.axis(-1), other[-2])
    elif use.index == 1:
        facts.require(track.axis(-2), other[-1])


def _learn_normalization(facts: Facts, track: Track, use: Use) -> None:
    dims = static_dims(use.node.inputs[1]) if len(use.node.inputs) > 1 else None
    if use.index == 0 and dims is not None and len(dims) == 1:
        last = use.node.op_type in ("LayerNormalization", "RMSNormalization")
        facts.require(track.axis(-1 if last else 1), dims[0])


def _learn_recurrence(facts: Facts, track: Track, use: Use) -> None:
    facts.lengths |= use.index == 4
    if use.index in (5, 6):
        facts.states = True
        dims = static_dims(use.node.inputs[2])
        if dims is not None and len(dims) == 3:
            facts.require(track.axis(0), dims[0])
            facts.require(track.axis(2), dims[2])
    weights = static_dims(use.node.inputs[1])
    if use.index == 0 and weights is not None and len(weights) == 3:
        facts.require(track.axis(2), weights[2])


def _learn_region(facts: Facts, _track: Track, use: Use) -> None:
    """Regions name the image of the batch they lie in: the first is always there."""
    if use.index == 2:
        facts.index_below(1)


def _learn_trees(facts: Facts, track: Track, use: Use) -> None:
    columns = use.node.attributes.get("nodes_featureids")
    if columns is not None:
        facts.require(track.axis(-1), int(max(columns.as_ints())) + 1)
    thresholds = use.node.attributes.get("nodes_values")
    if thresholds is not None:
        facts.peak = max(1.0, float(np.percentile(np.abs(np.array(thresholds.as_floats())), 90)))


def _learn_scaler(facts: Facts, track: Track, use: Use) -> None:
    offset = use.node.attributes.get("offset")
    if offset is not None and len(offset.as_floats()) > 1:
        facts.require(track.axis(-1), len(offset.as_floats()))


_LEARNERS: dict[str, Callable[[Facts, Track, Use], None]] = {
    "Cast": _learn_cast,
    "Sub": _learn_subtraction,
    "Mul": lambda facts, _track, use: _learn_scale(facts, use),
    "Div": _learn_division,
    "Log": _learn_positive,
    "Sqrt": _learn_positive,
    "Reciprocal": _learn_positive,
    "Add": _learn_addition,
    "Attention": _learn_attention,
    "Conv": _learn_convolution,
    "ConvTranspose": _learn_convolution,
    "ConvInteger": _learn_convolution,
    "MaxPool": _learn_image,
    "AveragePool": _learn_image,
    "GlobalAveragePool": _learn_image,
    "Resize": _learn_image,
    "STFT": _learn_signal,
    "DFT": _learn_signal,
    "MatMul": _learn_product,
    "MatMulInteger": _learn_product,
    "Gemm": _learn_product,
    "LayerNormalization": _learn_normalization,
    "RMSNormalization": _learn_normalization,
    "BatchNormalization": _learn_normalization,
    "InstanceNormalization": _learn_normalization,
    "LSTM": _learn_recurrence,
    "GRU": _learn_recurrence,
    "RNN": _learn_recurrence,
    "RoiAlign": _learn_region,
    "Reshape": _learn_size,
    "Expand": _learn_size,
    "Tile": _learn_size,
    "ConstantOfShape": _learn_size,
    "Range": _learn_size,
    "TreeEnsembleClassifier": _learn_trees,
    "TreeEnsembleRegressor": _learn_trees,
    "Scaler": _learn_scaler,
}
