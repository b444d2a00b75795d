"""Values that are a part of another along one axis: what Split, Slice and Concat have in common."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.rewrite.constants import constant_array

_TO_THE_END = 2**31 - 1


@dataclass(frozen=True)
class Part:
    """Elements ``start`` to ``stop`` of ``whole`` along ``axis``, which has ``size`` of them."""

    whole: ir.Value
    axis: int
    start: int
    stop: int
    size: int


def axis_of(node: ir.Node) -> int | None:
    """The axis of a Concat or Split, from the front; None where the rank is unknown."""
    ranks = [len(v.shape) for v in (*node.inputs[:1], *node.outputs) if v is not None and v.shape is not None]
    return node.attributes.get_int("axis", 0) % ranks[0] if ranks and ranks[0] else None


def part_of(value: ir.Value | None) -> Part | None:
    """Which part of which value this is, for an output of Split or the result of a Slice of one axis."""
    node = None if value is None else value.producer()
    if value is None or node is None or node.domain != "":
        return None
    if node.op_type == "Split":
        return _of_split(node, value)
    return _of_slice(node) if node.op_type == "Slice" else None


def split_bounds(node: ir.Node) -> list[tuple[int, int]] | None:
    """From where to where each output of a Split goes; None where it is not known."""
    axis, source = axis_of(node), node.inputs[0]
    if axis is None or source is None or source.shape is None:
        return None
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        array = constant_array(node.inputs[1])
        sizes = None if array is None else [int(number) for number in array.ravel()]
    else:
        sizes = [size for v in node.outputs if v.shape is not None and isinstance(size := v.shape[axis], int)]
    if sizes is None or len(sizes) != len(node.outputs):
        return None
    ends = [sum(sizes[: index + 1]) for index in range(len(sizes))]
    return [(end - size, end) for end, size in zip(ends, sizes, strict=True)]


def ranges_of(concat: ir.Node) -> list[tuple[int, int] | None]:
    """From where to where each operand of a Concat lies; None from the first unknown size on."""
    axis = axis_of(concat)
    found: list[tuple[int, int] | None] = []
    position: int | None = 0
    for value in concat.inputs:
        size = None if axis is None or value is None or value.shape is None else value.shape[axis]
        if position is None or not isinstance(size, int):
            position = None
            found.append(None)
            continue
        found.append((position, position + size))
        position += size
    return found


def _of_split(node: ir.Node, value: ir.Value) -> Part | None:
    axis, source, bounds = axis_of(node), node.inputs[0], split_bounds(node)
    index = value.index()
    if axis is None or source is None or bounds is None or index is None:
        return None
    return Part(source, axis, *bounds[index], bounds[-1][1])


def _of_slice(node: ir.Node) -> Part | None:
    source = node.inputs[0]
    arrays = [constant_array(value) if value is not None else None for value in node.inputs[1:]]
    if source is None or source.shape is None or len(arrays) < 3 or any(a is None for a in arrays[:3]):
        return None
    numbers = [[int(n) for n in array.ravel()] for array in arrays if array is not None]
    if any(len(listed) != 1 for listed in numbers) or len(numbers) != len(arrays):
        return None
    start, end, axis = (listed[0] for listed in numbers[:3])
    size = source.shape[axis]
    if (len(numbers) > 3 and numbers[3] != [1]) or not isinstance(size, int):
        return None
    low, high, _ = slice(start, min(end, _TO_THE_END)).indices(size)
    return Part(source, axis % len(source.shape), low, max(low, high), size)
