"""Follow one input through the graph, as long as its values arrive unchanged, or nearly."""

from __future__ import annotations

import math
from collections.abc import Iterator

import onnx_ir as ir

from graphopt.equality.facts import Facts, Track
from graphopt.equality.flow import Flow, Use, constant, is_standard, number, words
from graphopt.equality.learn import learn

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
            learn(facts, track, use, flow)
            todo += _follow(track, use)
    return facts


def _follow(track: Track, use: Use) -> Iterator[Track]:
    """The outputs of a node that still hold the input's values."""
    node = use.node
    if not is_standard(node):
        return
    if node.op_type in ("Add", "Sub") and use.index == 0:
        if constant(node.inputs[1]) is not None:
            sign = 1 if node.op_type == "Add" else -1
            yield Track(node.outputs[0], track.offset + sign * _whole(node.inputs[1]), track.axes)
        return
    if node.op_type == "Add" and constant(node.inputs[0]) is not None:
        yield Track(node.outputs[0], track.offset + _whole(node.inputs[0]), track.axes)
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


def _whole(value: ir.Value | None) -> int:
    """The integer a constant adds; 0 where it is a vector or no finite number."""
    found = number(value)
    return int(found) if found is not None and math.isfinite(found) else 0


def _axes_after(track: Track, node: ir.Node) -> tuple[int, ...] | None:
    if node.op_type in _KEEPS_AXES:
        return track.axes
    if node.op_type == "Transpose" and track.axes is not None:
        perm = node.attributes.get("perm")
        order = range(len(track.axes))[::-1] if perm is None else perm.as_ints()
        return tuple(track.axes[i] for i in order)
    return None
