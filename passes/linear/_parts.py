"""From a Split back to the linear operator whose output channels it deals out."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.ir.dims import same_dim
from graphopt.passes.linear._hosts import Host, host
from graphopt.rewrite.constants import constant_array

_MAX_STEPS = 4
"""Nodes between the operator and the Split: an Add, a Reshape, an Unsqueeze, a Transpose."""


@dataclass(frozen=True, eq=False)
class Source:
    """What a Split deals out.

    Attributes:
        host: the linear operator.
        addition: the Add of a constant behind a MatMul, or None.
    """

    host: Host
    addition: ir.Node | None


def sizes(split: ir.Node, axis: int) -> tuple[int, ...] | None:
    """How many channels each part has, where that is known."""
    found: list[int] = []
    for value in split.outputs:
        dim = None if value.shape is None or len(value.shape) <= axis else value.shape[axis]
        if not isinstance(dim, int):
            return None
        found.append(dim)
    return tuple(found)


def split_axis(split: ir.Node) -> int | None:
    """The axis of a Split, counted from the front; None where the rank is unknown."""
    value = split.inputs[0]
    attribute = split.attributes.get("axis")
    if value is None or value.shape is None or (attribute is not None and attribute.is_ref()):
        return None
    axis = split.attributes.get_int("axis", 0)
    return axis + len(value.shape) if axis < 0 else axis


def source(value: ir.Value | None, axis: int) -> Source | None:
    """The linear operator whose output channels lie along ``axis`` of ``value``, or None.

    In between may stand nodes that only move the axis; nothing else may read what they compute.
    """
    addition: ir.Node | None = None
    start = None if value is None else value.producer()
    for _ in range(_MAX_STEPS):
        node = None if value is None else value.producer()
        if value is None or node is None or len(value.uses()) != 1 or value.is_graph_output():
            return None
        if start is None or node.graph is not start.graph or node.domain != "":
            return None
        found = _host(node, axis)
        if found is not None:
            return Source(found, addition) if addition is None or found.op == "MatMul" else None
        if node.op_type == "Add" and addition is None:
            addition, value = node, _computed(node)
            continue
        before = _axis_before(node, axis)
        if before is None or addition is not None:
            return None
        value, axis = node.inputs[0], before
    return None


def _host(node: ir.Node, axis: int) -> Host | None:
    if node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
        return None
    found = host(node)
    if found is None or found.rank is None or found.rank + found.axis != axis:
        return None
    return found


def _computed(node: ir.Node) -> ir.Value | None:
    """The operand of an Add that a MatMul computes."""
    for value in node.inputs:
        producer = None if value is None else value.producer()
        if producer is not None and producer.op_type == "MatMul":
            return value
    return None


def _axis_before(node: ir.Node, axis: int) -> int | None:
    """Where ``axis`` of the result of a node that only moves data was in its input, or None."""
    before, after = (None if value is None else value.shape for value in (node.inputs[0], node.outputs[0]))
    if before is None or after is None:
        return None
    if node.op_type == "Transpose":
        perm = node.attributes.get_ints("perm", tuple(reversed(range(len(before)))))
        return perm[axis]
    if node.op_type == "Unsqueeze":
        array = constant_array(node.inputs[1]) if len(node.inputs) > 1 else None
        if array is None:
            return None
        new = {int(item) % len(after) for item in array.reshape(-1)}
        return None if axis in new else axis - sum(1 for item in new if item < axis)
    if node.op_type == "Squeeze":
        gone = len(before) - len(after)
        left = [index for index in range(len(before)) if not _is_gone(node, index, len(before))]
        return left[axis] if len(left) == len(before) - gone else None
    if node.op_type != "Reshape" or axis >= len(before):
        return None
    same = all(same_dim(before[index], after[index]) for index in range(axis + 1))
    return axis if same else None


def _is_gone(node: ir.Node, index: int, rank: int) -> bool:
    """Whether a Squeeze with constant axes takes axis ``index`` of its input away."""
    array = constant_array(node.inputs[1]) if len(node.inputs) > 1 else None
    return array is not None and index in {int(item) % rank for item in array.reshape(-1)}
