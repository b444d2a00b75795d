"""EliminateFullScatter: a ScatterND that overwrites every element is its updates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.ir.dims import same_dim
from graphopt.passes.simplify._broadcast import Dims, dims_of
from graphopt.passes.simplify._surgery import drop_if_dead, nodes_of, producer_of
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.constants import constant_array
from graphopt.rewrite.opfacts import opset_of

_MIN_OPSET = 13


@dataclass(frozen=True)
class EliminateFullScatter(Pass):
    """Read the updates where a ScatterND puts each of them where it is.

    Before: ``i = Concat<axis=-1>(every element's position along each axis); y = ScatterND(x, i, u)``.
    After:  u in place of y.
    Needs:  positions made of a Range, or a constant 0, 1, …, along each axis, expanded to the shape of x.
    Keeps:  reductions other than none: they read x.
    Skips:  results that are outputs of the graph, and dims that are not certainly equal.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Visit every ScatterND once."""
        if opset_of(model.graph, model) < _MIN_OPSET:
            return False
        changed = False
        for graph, node in nodes_of(model, frozenset({"ScatterND"})):
            reason = _why_not(graph, node)
            if reason is not None:
                ctx.missed(self.name(), node, reason)
                continue
            output, updates = node.outputs[0], node.inputs[2]
            assert updates is not None, "just checked"
            output.replace_all_uses_with(updates)
            drop_if_dead(node)
            ctx.applied(self.name(), node, "it overwrites every element")
            changed = True
        return changed


def _why_not(graph: ir.Graph, node: ir.Node) -> str | None:
    """Why the result is not just the updates, or None."""
    data, updates = dims_of(node.inputs[0]), dims_of(node.inputs[2])
    if data is None or updates is None or node.outputs[0].is_graph_output():
        return "a rank is unknown, or the result is an output of the graph"
    if node.attributes.get_string("reduction", "none") != "none":
        return "what was there counts too"
    if len(data) != len(updates) or not all(same_dim(a, b) for a, b in zip(data, updates, strict=True)):
        return "the updates have another shape"
    joined = producer_of(node.inputs[1], "Concat", graph)
    if joined is None or len(joined.inputs) != len(data):
        return "its indices are not put together axis by axis"
    if joined.attributes.get_int("axis", 0) not in (-1, len(data)):
        return "its indices are not put together along the last axis"
    for axis, value in enumerate(joined.inputs):
        if not _counts(graph, value, axis, data):
            return f"the indices of axis {axis} are not every position in order"
    return None


def _counts(graph: ir.Graph, value: ir.Value | None, axis: int, dims: Dims) -> bool:
    """Whether ``value``, of shape [*dims, 1], holds each element's position along ``axis``."""
    shape = dims_of(value)
    if shape is None or len(shape) != len(dims) + 1 or shape[-1] != 1:
        return False
    if not all(same_dim(a, b) for a, b in zip(shape[:-1], dims, strict=True)):
        return False
    last = None if value is None else value.producer()
    if last is None or last.op_type not in ("Unsqueeze", "Reshape") or last.graph is not graph:
        return False
    # The last axis of 1 was added behind a value of the full shape: nothing else has changed.
    full = dims_of(last.inputs[0])
    if (
        full is None
        or len(full) != len(dims)
        or not all(same_dim(a, b) for a, b in zip(full, dims, strict=True))
    ):
        return False
    expand = producer_of(last.inputs[0], "Expand", graph)
    small = expand.inputs[0] if expand is not None else last.inputs[0]
    return _is_range_along(graph, small, axis, dims)


def _is_range_along(graph: ir.Graph, value: ir.Value | None, axis: int, dims: Dims) -> bool:
    """Whether ``value`` is 0, 1, … along ``axis`` and broadcasts along the others."""
    shape = dims_of(value)
    if value is None or shape is None or len(shape) > len(dims):
        return False
    shift = len(dims) - len(shape)
    own = axis - shift
    if any(size != 1 for place, size in enumerate(shape) if place != own):
        return False
    if own < 0:
        return dims[axis] == 1 and _is_zero(value)
    if not same_dim(shape[own], dims[axis]):
        return False
    array = constant_array(value)
    if array is not None:
        return array.size <= _LARGEST and bool(np.array_equal(array.ravel(), np.arange(array.size)))
    node = value.producer()
    while node is not None and node.op_type in ("Reshape", "Unsqueeze", "Squeeze") and node.graph is graph:
        value = node.inputs[0]
        node = None if value is None else value.producer()
    if node is None or node.op_type != "Range" or node.domain != "" or node.graph is not graph:
        return False
    start, step = constant_array(node.inputs[0]), constant_array(node.inputs[2])
    return start is not None and step is not None and int(start) == 0 and int(step) == 1


_LARGEST = 1 << 16
"""Elements of a constant list of positions worth reading."""


def _is_zero(value: ir.Value) -> bool:
    array = constant_array(value)
    return array is not None and array.size == 1 and not array.any()
