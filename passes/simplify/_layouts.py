"""Follows the axes of a value through Reshape, Squeeze, Unsqueeze and Transpose.

Every dim on the way is a run of axes of the first value; axes of size 1 count for nothing. A Reshape that
cuts an axis in pieces cannot be followed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx_ir as ir

from graphopt.ir.dims import same_dim
from graphopt.passes.simplify._transposed_region import perm_of
from graphopt.rewrite.constants import constant_array
from graphopt.rewrite.match import Dim

Run = tuple[int, ...]
Layout = tuple[Run, ...]

LAYOUT_OPERATORS = frozenset({"Reshape", "Squeeze", "Unsqueeze", "Transpose"})


def start(dims: Sequence[Dim]) -> Layout:
    """The layout of the first value itself."""
    return tuple(() if dim == 1 else (axis,) for axis, dim in enumerate(dims))


def follow(node: ir.Node, layout: Layout, dims: Sequence[Dim]) -> Layout | None:
    """The layout after ``node``; None where it cannot be told.

    Args:
        node: one of ``LAYOUT_OPERATORS``.
        layout: that of its input.
        dims: of the first value.
    """
    if node.op_type == "Transpose":
        perm = perm_of(node)
        return None if perm is None or len(perm) != len(layout) else tuple(layout[axis] for axis in perm)
    numbers = constant_array(node.inputs[1]) if len(node.inputs) > 1 else None
    if node.op_type == "Reshape":
        return _reshape(node, layout, dims)
    if numbers is None:
        return None
    axes = [int(number) for number in numbers.ravel()]
    if node.op_type == "Squeeze":
        dropped = {axis % len(layout) for axis in axes}
        if any(layout[axis] for axis in dropped):
            return None
        return tuple(run for axis, run in enumerate(layout) if axis not in dropped)
    rank = len(layout) + len(axes)
    added = {axis % rank for axis in axes}
    rest = iter(layout)
    return tuple(() if axis in added else next(rest) for axis in range(rank))


def _reshape(node: ir.Node, layout: Layout, dims: Sequence[Dim]) -> Layout | None:
    """Deal the axes out to the dims of the target, from both ends to the one that is inferred."""
    target = _target(node)
    if target is None or node.attributes.get_int("allowzero", 0) != 0:
        return None
    axes = [axis for run in layout for axis in run]
    hole = next((i for i, size in enumerate(target) if isinstance(size, int) and size == -1), len(target))
    front: list[Run] = []
    for index in range(hole):
        run = _take(axes, target[index], layout, index, dims, from_end=False)
        if run is None:
            return None
        front.append(run)
    back: list[Run] = []
    for index in reversed(range(hole + 1, len(target))):
        run = _take(axes, target[index], layout, index, dims, from_end=True)
        if run is None:
            return None
        back.insert(0, run)
    if hole == len(target):
        return tuple(front) if not axes else None
    return (*front, tuple(axes), *back)


def _take(
    axes: list[int], size: Dim, layout: Layout, index: int, dims: Sequence[Dim], from_end: bool
) -> Run | None:
    """Take the axes that make up ``size`` from one end of what is left; None where they do not."""
    if size == 0:
        if index >= len(layout):
            return None
        return _take_run(axes, layout[index], from_end)
    if not isinstance(size, int):
        end = axes[-1:] if from_end else axes[:1]
        return _take_run(axes, tuple(end), from_end) if end and same_dim(dims[end[0]], size) else None
    count, product = 0, 1
    while product != size:
        if count == len(axes):
            return None
        found = dims[axes[-1 - count] if from_end else axes[count]]
        if not isinstance(found, int) or found == 0:
            return None
        count, product = count + 1, product * found
        if product > size:
            return None
    return _take_run(axes, tuple(axes[len(axes) - count :] if from_end else axes[:count]), from_end)


def _take_run(axes: list[int], run: Run, from_end: bool) -> Run | None:
    if tuple(axes[len(axes) - len(run) :] if from_end else axes[: len(run)]) != run:
        return None
    del axes[len(axes) - len(run) if from_end else 0 : len(axes) if from_end else len(run)]
    return run


def _target(node: ir.Node) -> list[Dim] | None:
    """What a Reshape asks for; where that is computed, what inference found, one unknown dim being -1."""
    numbers = constant_array(node.inputs[1])
    if numbers is not None:
        found: list[Dim] = [int(number) for number in numbers.ravel()]
        return found
    output = node.outputs[0]
    if output.shape is None or output.is_graph_output() or 0 in output.shape:
        return None
    return list(output.shape)


def as_permutation(layout: Layout, dims: Sequence[Dim]) -> tuple[int, ...] | None:
    """The Transpose that gives ``layout``; None where axes are merged or the rank differs."""
    if len(layout) != len(dims) or any(len(run) > 1 for run in layout):
        return None
    ones = iter([axis for axis, dim in enumerate(dims) if dim == 1])
    return tuple(run[0] if run else next(ones) for run in layout)


def as_target(layout: Layout, dims: Sequence[Dim]) -> list[int] | None:
    """The Reshape that gives ``layout``; None where axes move or a dim cannot be told."""
    axes = [axis for run in layout for axis in run]
    if axes != sorted(axes):
        return None
    target: list[int] = []
    for index, run in enumerate(layout):
        sizes = [size for axis in run if isinstance(size := dims[axis], int)]
        if len(sizes) == len(run):
            target.append(math.prod(sizes))
        else:
            target.append(0 if run == (index,) else -1)
    if target.count(-1) > 1 or (-1 in target and 0 in target) or 0 in [d for d in dims if isinstance(d, int)]:
        return None
    return target
