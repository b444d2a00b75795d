"""What happens to one input inside the graph: the places its values reach unchanged, or nearly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from graphopt.equality.flow import Flow, Use, constant, is_standard, static_dims, words

_MOST_STEPS = 400
"""Values followed per input; what a graph does with an input shows within the first few."""

_KEEPS_VALUES = words(
    "Cast Clip Concat DequantizeLinear Expand Flatten Identity Max Min Pad QuantizeLinear Reshape "
    "Slice Split Squeeze Tile Transpose Unsqueeze"
)
_KEEPS_AXES = words("Cast Clip DequantizeLinear Identity QuantizeLinear")
_DATA_FIRST = words(
    "Clip DequantizeLinear Expand Pad QuantizeLinear Reshape Slice Split Squeeze Tile Unsqueeze"
)
_INDEXED: dict[str, tuple[int, int]] = {"Gather": (0, 1), "GatherElements": (0, 1)}
_COMPARISONS = ("Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual")
_LOGIC = words("And Cast Identity Not Or Reshape Squeeze Unsqueeze Xor")
_RAW_PIXELS = 255.0


@dataclass
class Facts:
    """What was found about one input.

    Attributes:
        bound: the values index a table with this many rows (an offset added on the way is taken off).
        compared: integer constants it is compared with.
        branches: such a comparison decides an If.
        masks: it is used as a mask: cast to bool, ``1 - x``, an attention mask.
        added: it is added to something before a Softmax.
        lengths: it counts elements of a sequence, or is a size or shape.
        states: it is the initial state of a recurrent operator.
        positive: it goes under a logarithm or a root, or divides.
        pooled_images: it meets a 2-D convolution, pooling or resizing.
        signals: it meets a 1-D convolution or a Fourier transform.
        peak: the size of typical values: 255 where it is divided by as much.
        words: strings it is looked up among.
        required: axis → the size the first weight on its way demands.
    """

    bound: int | None = None
    compared: list[int] = field(default_factory=list)
    branches: bool = False
    masks: bool = False
    added: bool = False
    lengths: bool = False
    states: bool = False
    positive: bool = False
    pooled_images: bool = False
    signals: bool = False
    peak: float = 1.0
    words: list[str] = field(default_factory=list)
    required: dict[int, int] = field(default_factory=dict)

    def index_below(self, rows: int) -> None:
        """Values must be below ``rows``."""
        self.bound = rows if self.bound is None else min(self.bound, rows)

    def require(self, axis: int | None, size: int | None) -> None:
        """The input's ``axis`` must have ``size``; None says it is not known which or how much."""
        if axis is not None and size is not None and size > 0:
            self.required.setdefault(axis, size)


@dataclass(frozen=True)
class Track:
    """A value that holds the input's values plus ``offset``; behind its axis i is the input's ``axes[i]``."""

    value: ir.Value
    offset: int = 0
    axes: tuple[int, ...] | None = None

    def axis(self, index: int) -> int | None:
        """The input's axis behind this value's axis ``index`` (negative counts from the end)."""
        if self.axes is None or not -len(self.axes) <= index < len(self.axes):
            return None
        return self.axes[index]


def gather_facts(value: ir.Value, flow: Flow) -> Facts:
    """Follow one input through the graph."""
    facts = Facts()
    rank = None if value.shape is None else len(value.shape)
    todo = [Track(value, axes=None if rank is None else tuple(range(rank)))]
    seen: set[ir.Value] = set()
    while todo and len(seen) < _MOST_STEPS:
        track = todo.pop(0)
        if track.value in seen:
            continue
        seen.add(track.value)
        todo += [Track(alias, track.offset, track.axes) for alias in flow.aliases(track.value)]
        for use in flow.uses(track.value):
            _learn(facts, track, use, flow)
            todo += _follow(track, use)
    return facts


def _follow(track: Track, use: Use) -> Iterator[Track]:
    """The outputs of a node that still hold the input's values."""
    node = use.node
    if not is_standard(node):
        return
    if node.op_type in ("Add", "Sub") and use.index == 0:
        number = _number(node.inputs[1])
        if number is not None:
            offset = int(number) if node.op_type == "Add" else -int(number)
            yield Track(node.outputs[0], track.offset + offset, track.axes)
        elif constant(node.inputs[1]) is not None:
            yield Track(node.outputs[0], track.offset, track.axes)
        return
    if node.op_type == "Add" and constant(node.inputs[0]) is not None:
        yield Track(node.outputs[0], track.offset + int(_number(node.inputs[0]) or 0), track.axes)
        return
    if node.op_type in ("Mul", "Div") and constant(node.inputs[1 - use.index]) is not None:
        yield Track(node.outputs[0], track.offset, track.axes)
        return
    holds = node.op_type in _KEEPS_VALUES and not (node.op_type in _DATA_FIRST and use.index)
    holds = (
        holds
        or (node.op_type == "Where" and use.index in (1, 2))
        or (node.op_type == "Gather" and use.index == 0)
    )
    if not holds:
        return
    axes = _axes_after(track, node)
    for output in node.outputs:
        yield Track(output, track.offset, axes)


def _axes_after(track: Track, node: ir.Node) -> tuple[int, ...] | None:
    if node.op_type in _KEEPS_AXES:
        return track.axes
    if node.op_type == "Transpose" and track.axes is not None:
        perm = node.attributes.get("perm")
        order = range(len(track.axes))[::-1] if perm is None else perm.as_ints()
        return tuple(track.axes[i] for i in order)
    return None


def _learn(facts: Facts, track: Track, use: Use, flow: Flow) -> None:
    node = use.node
    if node.op_type in _COMPARISONS:
        _learn_comparison(facts, track, use, flow)
    elif node.op_type in _INDEXED:
        data, index = _INDEXED[node.op_type]
        if use.index == index:
            _learn_index(facts, track, static_dims(node.inputs[data]), _attribute(node, "axis", 0))
    elif node.op_type == "EmbedLayerNormalization" and use.index in (0, 1):
        _learn_index(facts, track, static_dims(node.inputs[2 + use.index]), 0)
    elif node.op_type == "OneHot" and use.index == 0:
        depth = _number(node.inputs[1])
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
    number = _number(other)
    if number is None:
        _learn_one_hot(facts, track, use.node.op_type, other)
        return
    if number != int(number):
        return
    value = int(number) - track.offset
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
    facts.masks |= ir.DataType(_attribute(use.node, "to", 0)) == ir.DataType.BOOL


def _learn_subtraction(facts: Facts, _track: Track, use: Use) -> None:
    if use.index == 1 and _number(use.node.inputs[0]) == 1:
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
    groups = 1 if use.node.op_type == "ConvTranspose" else _attribute(use.node, "group", 1)
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
        transposed = _attribute(use.node, "transB" if use.index == 0 else "transA", 0)
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
    "Reshape": _learn_size,
    "Expand": _learn_size,
    "Tile": _learn_size,
    "ConstantOfShape": _learn_size,
    "Range": _learn_size,
    "TreeEnsembleClassifier": _learn_trees,
    "TreeEnsembleRegressor": _learn_trees,
    "Scaler": _learn_scaler,
}


def _attribute(node: ir.Node, name: str, default: int) -> int:
    attr = node.attributes.get(name)
    return default if attr is None or attr.is_ref() else int(attr.as_int())


def _number(value: ir.Value | None) -> float | None:
    """The single number a constant holds."""
    tensor = constant(value)
    if tensor is None or tensor.size != 1 or tensor.dtype == ir.DataType.STRING:
        return None
    return float(tensor.numpy().reshape(-1)[0])
