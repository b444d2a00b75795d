"""What follows parallel products in lockstep: steps that can be done once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.passes.fuse._columns import is_per_column
from graphopt.rewrite.attributes import plain
from graphopt.rewrite.constants import constant_array, constant_tensor

_UNARY = frozenset({"Cast", "Gelu", "HardSwish", "Neg", "Relu", "Sigmoid", "Softplus", "Tanh"})
_BINARY = frozenset({"Add", "Div", "Mul", "Sub"})


@dataclass(frozen=True, eq=False)
class Step:
    """One elementwise step of every product, or one that adds axes of size one behind the columns.

    Attributes:
        nodes: the step's node behind each product.
        position: which of its inputs is the product.
        constants: the other input of each node where it is a constant, or the constant factor of it.
        shared: the other input where all nodes have the same one, or the value that is multiplied by
            ``constants`` to give it.
        axis: the axis of the result that holds the columns, counted from its end.
    """

    nodes: tuple[ir.Node, ...]
    position: int = 0
    constants: tuple[ir.Value, ...] = ()
    shared: ir.Value | None = None
    axis: int = -1

    @property
    def results(self) -> tuple[ir.Value, ...]:
        """What the step computes behind each product."""
        return tuple(node.outputs[0] for node in self.nodes)


def next_step(values: Sequence[ir.Value], columns: Sequence[int], axis: int) -> Step | None:
    """The step that alone reads each of ``values`` and is the same for all, or None.

    Args:
        values: the same stage behind each product.
        columns: how many columns each has.
        axis: the axis that holds them, counted from the end.
    """
    uses = [list(value.uses()) for value in values]
    if any(len(found) != 1 or value.is_graph_output() for found, value in zip(uses, values, strict=True)):
        return None
    readers = tuple(found[0].node for found in uses)
    first, position = readers[0], uses[0][0].idx
    if any(_signature(node) != _signature(first) for node in readers):
        return None
    if any(node.graph is not first.graph for node in readers) or first.domain != "":
        return None
    if first.op_type in _UNARY and len(first.inputs) == 1:
        return Step(readers, axis=axis)
    if first.op_type == "Unsqueeze":
        return _unsqueezed(readers, values, axis)
    if first.op_type not in _BINARY:
        return None
    if any(found[0].idx != position for found in uses) and first.op_type not in ("Add", "Mul"):
        return None
    others = [node.inputs[1 - found[0].idx] for node, found in zip(readers, uses, strict=True)]
    present = [other for other in others if other is not None]
    if len(present) < len(others) or len({other.dtype for other in present}) != 1:
        return None
    if _are_per_column(present, values, columns, axis):
        return Step(readers, position, tuple(present), axis=axis)
    if all(other is present[0] for other in present):
        return Step(readers, position, shared=present[0], axis=axis) if _is_single(present[0]) else None
    return _scaled(readers, position, present, columns) if axis == -1 else None


def _unsqueezed(readers: tuple[ir.Node, ...], values: Sequence[ir.Value], axis: int) -> Step | None:
    """Axes of size one behind the columns."""
    axes, shape = constant_array(readers[0].inputs[1]), values[0].shape
    if axes is None or shape is None or axes.size == 0:
        return None
    rank = len(shape) + axes.size
    if any(int(item) % rank <= len(shape) + axis for item in axes.reshape(-1)):
        return None
    for node, value in zip(readers, values, strict=True):
        other = constant_array(node.inputs[1])
        if other is None or not np.array_equal(axes, other) or value.shape is None:
            return None
        if len(value.shape) != len(shape):
            return None
    return Step(readers, shared=readers[0].inputs[1], axis=axis - axes.size)


def _scaled(
    readers: tuple[ir.Node, ...], position: int, others: Sequence[ir.Value], columns: Sequence[int]
) -> Step | None:
    """The step whose operand is, for each product, one shared number times a constant of its own."""
    products = [other.producer() for other in others]
    constants: list[ir.Value] = []
    shared: set[ir.Value] = set()
    for node in products:
        if node is None or node.op_type != "Mul" or node.domain != "":
            return None
        left, right = node.inputs
        if constant_tensor(left) is not None:
            left, right = right, left
        if left is None or right is None or constant_tensor(right) is None:
            return None
        shared.add(left)
        constants.append(right)
    if len(shared) != 1 or not _is_single(next(iter(shared))):
        return None
    if not all(is_per_column(value, width, 1) for value, width in zip(constants, columns, strict=True)):
        return None
    return Step(readers, position, tuple(constants), next(iter(shared)))


def _are_per_column(
    others: Sequence[ir.Value], values: Sequence[ir.Value], columns: Sequence[int], axis: int
) -> bool:
    ranks = [None if value.shape is None else len(value.shape) for value in values]
    return all(
        is_per_column(other, width, rank, axis)
        for other, width, rank in zip(others, columns, ranks, strict=True)
    )


def _is_single(value: ir.Value) -> bool:
    """Whether ``value`` is certainly one number, without axes or with one."""
    return value.shape is not None and tuple(value.shape) in ((), (1,))


def _signature(node: ir.Node) -> tuple[object, ...]:
    attributes = sorted((name, plain(attribute)) for name, attribute in node.attributes.items())
    return (node.domain, node.op_type, len(node.inputs), len(node.outputs), str(attributes))
