"""Which tensors of floats hold whole numbers only, and how large they get."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from graphopt.backends.tensorrt.legalize._steps import RANGES
from graphopt.rewrite.constants import constant_tensor

if TYPE_CHECKING:
    import numpy.typing as npt

Interval = tuple[float, float]

MOVES = frozenset(
    {
        "Reshape",
        "Flatten",
        "Squeeze",
        "Unsqueeze",
        "Transpose",
        "Slice",
        "Expand",
        "Tile",
        "Gather",
        "GatherElements",
        "GatherND",
        "Split",
        "DepthToSpace",
        "SpaceToDepth",
        "Identity",
        "MaxPool",
        "ReduceMax",
        "ReduceMin",
    }
)
"""Operators whose results hold elements of their first input and nothing else."""

_DEPTH = 24
"""Nodes looked at in a row: quantisers and what stands between them are a handful."""

_LARGEST_CONSTANT = 1 << 16
"""Elements of a constant that are looked at: zero points and clips are small."""

_EVERYTHING = (-np.inf, np.inf)


def whole(value: ir.Value | None, depth: int = _DEPTH) -> Interval | None:
    """The least and the largest number ``value`` may hold when all are whole numbers, else None.

    Infinities count as whole: an interval without an end says nothing about them.
    """
    if value is None or depth == 0:
        return None
    tensor = constant_tensor(value)
    if tensor is not None:
        return _of_constant(tensor)
    node = value.producer()
    if value.dtype in RANGES:
        return _of_integers(value, node, depth)
    if node is None or node.domain not in ("", "ai.onnx"):
        return None
    return _of_node(node, depth)


def _of_constant(tensor: ir.TensorProtocol) -> Interval | None:
    if tensor.dtype in RANGES and tensor.size > _LARGEST_CONSTANT:
        return RANGES[tensor.dtype]
    if tensor.size > _LARGEST_CONSTANT or tensor.size == 0 or tensor.dtype == ir.DataType.STRING:
        return None
    numbers: npt.NDArray[np.float64] = np.asarray(tensor.numpy()).astype(np.float64)
    if not np.isfinite(numbers).all() or (numbers != np.rint(numbers)).any():
        return None
    return float(numbers.min()), float(numbers.max())


def _of_integers(value: ir.Value, node: ir.Node | None, depth: int) -> Interval:
    """An integer tensor: what was cast to it where it fits, else all that its type holds."""
    assert value.dtype is not None, "the caller asked for it"
    limits = RANGES[value.dtype]
    if node is not None and node.op_type == "Cast":
        before = whole(node.inputs[0], depth - 1)
        if before is not None and limits[0] <= before[0] and before[1] <= limits[1]:
            return before
    return limits


def _of_node(node: ir.Node, depth: int) -> Interval | None:
    """A tensor of floats by the operator that makes it."""
    if node.op_type in ("Round", "Floor", "Ceil"):
        return _EVERYTHING
    if node.op_type == "Pad":
        return _padded(node, depth)
    if node.op_type == "DequantizeLinear":
        return _of_dequantized(node, depth)
    if node.op_type == "Cast" or node.op_type in MOVES:
        return whole(node.inputs[0], depth - 1)
    known = [whole(value, depth - 1) for value in node.inputs]
    if node.op_type == "Clip":
        return _clipped(known)
    parts = [part for part in known if part is not None]
    if len(parts) < len(known) or not parts:
        return None
    if node.op_type in ("Concat", "Max", "Min"):
        return min(low for low, _ in parts), max(high for _, high in parts)
    return _of_arithmetic(node, parts)


def _of_arithmetic(node: ir.Node, parts: Sequence[Interval]) -> Interval | None:
    (a, b), (c, d) = parts[0], parts[-1]
    if node.op_type == "Neg":
        return -b, -a
    if node.op_type == "Add":
        return a + c, b + d
    if node.op_type == "Sub":
        return a - d, b - c
    if node.op_type == "Mul" and all(np.isfinite((a, b, c, d))):
        products = (a * c, a * d, b * c, b * d)
        return min(products), max(products)
    terms = _terms(node)
    if terms is None or not all(np.isfinite((a, b, c, d))):
        return None
    most = terms * max(abs(a), abs(b)) * (1 if node.op_type == "ReduceSum" else max(abs(c), abs(d)))
    return -most, most


def _terms(node: ir.Node) -> int | None:
    """How many products one element of a sum of products adds up, or elements one of a sum."""
    if node.op_type == "MatMul":
        shapes = [None if value is None else value.shape for value in node.inputs]
        sizes = [
            shape[axis] for shape, axis in zip(shapes, (-1, -2), strict=True) if shape and len(shape) > 1
        ]
        return next((size for size in sizes if isinstance(size, int)), None)
    if node.op_type == "Conv":
        shape = None if node.inputs[1] is None else node.inputs[1].shape
        return int(np.prod(shape.numpy()[1:])) if shape is not None and shape.is_static() else None
    if node.op_type == "ReduceSum":
        shape = None if node.inputs[0] is None else node.inputs[0].shape
        return int(np.prod(shape.numpy())) if shape is not None and shape.is_static() else None
    return None


def _of_dequantized(node: ir.Node, depth: int) -> Interval | None:
    """Small integers times one, as they are."""
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        zero = whole(node.inputs[2], depth - 1)
        if zero != (0, 0):
            return None
    return whole(node.inputs[0], depth - 1) if whole(node.inputs[1], depth - 1) == (1, 1) else None


def _padded(node: ir.Node, depth: int) -> Interval | None:
    inner = whole(node.inputs[0], depth - 1)
    fill = node.inputs[2] if len(node.inputs) > 2 else None
    around: Interval | None = (0, 0) if fill is None else whole(fill, depth - 1)
    if inner is None or around is None:
        return None
    return min(inner[0], around[0]), max(inner[1], around[1])


def _clipped(known: Sequence[Interval | None]) -> Interval | None:
    inner, limits = known[0], known[1:]
    if inner is None or any(limit is None for limit in limits):
        return None
    low = limits[0][0] if limits and limits[0] is not None else -np.inf
    high = limits[1][1] if len(limits) > 1 and limits[1] is not None else np.inf
    return max(low, min(inner[0], high)), min(high, max(inner[1], low))
