"""What the gates of a recurrent cell are computed from, whichever way it is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.rewrite.constants import constant_array

Array = npt.NDArray[np.generic]
_DEPTH = 8
"""Nodes looked through from a gate to the products it is the sum of."""


@dataclass(frozen=True)
class Gates:
    """Slices of one sum of products, with what is added to each of them.

    Attributes:
        source: the sum.
        size: how many numbers each gate has.
        begins: where in the sum each of the gates asked for begins.
        offsets: what is added to each of them afterwards.
    """

    source: ir.Value
    size: int
    begins: tuple[int, ...]
    offsets: tuple[float, ...]


@dataclass(frozen=True)
class Affine:
    """A sum of products with constant matrices, and a constant.

    Attributes:
        products: operands and their matrices, as [operand's size, sum's size].
        bias: for each number of the sum.
    """

    products: tuple[tuple[ir.Value, Array], ...]
    bias: Array


def gates(values: Sequence[ir.Value], size: int) -> Gates | str:
    """The sum that all of ``values`` are parts of, each ``size`` numbers of the last axis; or why not."""
    begins: list[int] = []
    offsets: list[float] = []
    sources: list[ir.Value] = []
    for value in values:
        part, offset = _without_offset(value)
        found = _slice_of(part, size)
        if found is None:
            return f"'{part.name}' is no slice of a sum"
        sources.append(found[0])
        begins.append(found[1])
        offsets.append(offset)
    if any(source is not sources[0] for source in sources):
        return "its gates are computed apart"
    return Gates(sources[0], size, tuple(begins), tuple(offsets))


def affine(value: ir.Value, width: int) -> Affine | str:
    """``value`` as a sum of products with constant matrices, ``width`` numbers wide; or why it is none."""
    products: list[tuple[ir.Value, Array]] = []
    biases: list[Array] = []
    pending = [value]
    for _ in range(_DEPTH):
        if not pending:
            break
        problem = _take_apart(pending.pop(0), width, pending, products, biases)
        if problem:
            return problem
    if pending or not products:
        return "its gates are no sum of products"
    kind = products[0][1].dtype
    bias = np.sum([np.broadcast_to(b.astype(np.float64), (width,)) for b in biases], axis=0, initial=0.0)
    return Affine(tuple(products), np.broadcast_to(bias, (width,)).astype(kind))


def _take_apart(
    value: ir.Value,
    width: int,
    pending: list[ir.Value],
    products: list[tuple[ir.Value, Array]],
    biases: list[Array],
) -> str:
    constant = constant_array(value)
    if constant is not None:
        if constant.size not in (1, width) or (constant.ndim > 1 and constant.shape[-1] != constant.size):
            return "what is added to its gates is no vector"
        biases.append(constant.reshape(-1))
        return ""
    node = value.producer()
    if node is None or node.domain != "":
        return "its gates are no sum of products"
    if node.op_type == "Add":
        pending.extend(operand for operand in node.inputs if operand is not None)
        return ""
    if node.op_type not in ("MatMul", "Gemm") or node.inputs[0] is None:
        return "its gates are no sum of products"
    matrix = constant_array(node.inputs[1])
    if matrix is None or matrix.ndim != 2:
        return "its weights are computed"
    if node.op_type == "Gemm":
        plain = all(node.attributes.get_float(name, 1.0) == 1.0 for name in ("alpha", "beta"))
        if not plain or node.attributes.get_int("transA", 0) == 1:
            return "its products are scaled"
        matrix = matrix.T if node.attributes.get_int("transB", 0) == 1 else matrix
        pending.extend(operand for operand in node.inputs[2:] if operand is not None)
    if matrix.shape[1] != width:
        return "its weights have another width than its gates"
    products.extend(_apart(node.inputs[0], matrix))
    return ""


def _apart(operand: ir.Value, matrix: Array) -> list[tuple[ir.Value, Array]]:
    """A product with values that were joined is a sum of products."""
    node = operand.producer()
    if node is None or node.op_type != "Concat" or node.attributes.get_int("axis", 0) not in (1, -1):
        return [(operand, matrix)]
    parts: list[tuple[ir.Value, Array]] = []
    begin = 0
    for value in node.inputs:
        if value is None or value.shape is None or len(value.shape) != 2:
            return [(operand, matrix)]
        size = value.shape[1]
        if not isinstance(size, int):
            return [(operand, matrix)]
        parts.append((value, matrix[begin : begin + size]))
        begin += size
    return parts if begin == len(matrix) else [(operand, matrix)]


def _without_offset(value: ir.Value) -> tuple[ir.Value, float]:
    """A gate without the single constant that is added to it (the bias of forgetting)."""
    node = value.producer()
    if node is None or node.op_type != "Add" or node.domain != "":
        return value, 0.0
    for index in (0, 1):
        constant, other = constant_array(node.inputs[index]), node.inputs[1 - index]
        if constant is not None and constant.size == 1 and other is not None:
            return other, float(constant.item())
    return value, 0.0


def _slice_of(value: ir.Value, size: int) -> tuple[ir.Value, int] | None:
    """The value that ``value`` is ``size`` numbers of along the last of two axes, and where they begin."""
    node = value.producer()
    if node is None or node.domain != "" or node.inputs[0] is None:
        return None
    source = node.inputs[0]
    if source.shape is None or len(source.shape) != 2:
        return None
    if node.op_type == "Split" and node.attributes.get_int("axis", 0) in (1, -1):
        widths = [None if out.shape is None or len(out.shape) != 2 else out.shape[1] for out in node.outputs]
        index = next(i for i, out in enumerate(node.outputs) if out is value)
        return (source, index * size) if all(width == size for width in widths) else None
    if node.op_type == "Slice" and len(node.inputs) >= 4:
        numbers = [constant_array(operand) for operand in node.inputs[1:]]
        if any(n is None or n.size != 1 for n in numbers) or value.shape is None or value.shape[1] != size:
            return None
        start, _, axis, step = ([int(n.item()) for n in numbers if n is not None] + [1])[:4]
        width = source.shape[1]
        if axis in (1, -1) and step == 1 and isinstance(width, int):
            return source, start + width if start < 0 else start
    return None
