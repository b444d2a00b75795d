"""What Reshape, Squeeze, Unsqueeze and Flatten do to a shape, with unknown dims kept apart by their origin.

A dim of the first input is known by its axis even where its size is not, so nothing here trusts the
names of symbolic dims.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.rewrite.constants import constant_array
from graphopt.rewrite.match import Dim


@dataclass(frozen=True)
class Axis:
    """The size of axis ``index`` of the first input."""

    index: int


@dataclass(frozen=True, eq=False)
class Inferred:
    """A size that nothing tells; equal only to itself."""


Token = int | Axis | Inferred
Shape = tuple[Token, ...]


def original(shape: tuple[Dim, ...]) -> Shape:
    """The shape of the first input in its own terms."""
    return tuple(dim if isinstance(dim, int) else Axis(index) for index, dim in enumerate(shape))


def follow(node: ir.Node | None, shape: Shape) -> Shape | str:
    """The shape after ``node``, or why it cannot be told."""
    if node is None:
        return "nothing computes it"
    if 0 in shape:
        return "a dim is zero"
    if node.op_type == "Flatten":
        return _flatten(shape, node.attributes.get_int("axis", 1))
    numbers = constant_array(node.inputs[1])
    if numbers is None:
        return f"the second input of {node.op_type} is computed"
    listed = [int(number) for number in numbers.ravel()]
    if node.op_type == "Reshape":
        return _reshape(shape, listed, bool(node.attributes.get_int("allowzero", 0)))
    return _squeeze(shape, listed) if node.op_type == "Squeeze" else _unsqueeze(shape, listed)


def infers(node: ir.Node | None) -> bool:
    """Whether ``node`` is a Reshape that works out a dim by itself."""
    numbers = constant_array(node.inputs[1]) if node is not None and node.op_type == "Reshape" else None
    return numbers is not None and bool(np.any(numbers == -1))


def reshape_target(shape: Shape, may_infer: bool) -> npt.NDArray[np.int64] | str:
    """The second input of a Reshape from the first input to ``shape``, or why there is none.

    Args:
        shape: the result, in terms of the first input.
        may_infer: whether -1 may stand beside copied dims. Such a Reshape fails where a copied dim is
            zero at run time, so it may only replace one that already did.
    """
    target = [
        token if isinstance(token, int) else 0 if token == Axis(index) else -1
        for index, token in enumerate(shape)
    ]
    if 0 in [token for token in shape if isinstance(token, int)]:
        return "a dim is zero"
    if target.count(-1) > 1:
        return "more than one dim of the result is not told"
    if -1 in target and 0 in target and not may_infer:
        return "a dim would have to be inferred beside one that may be zero"
    return np.asarray(target, np.int64)


def _reshape(shape: Shape, target: list[int], allow_zero: bool) -> Shape | str:
    if 0 in target and (allow_zero or any(t == 0 and i >= len(shape) for i, t in enumerate(target))):
        return "the target has a zero that copies nothing"
    found: list[Token | None] = [
        None if size == -1 else shape[index] if size == 0 else size for index, size in enumerate(target)
    ]
    if found.count(None) > 1:
        return "the target has several -1"
    told = tuple(token for token in found if token is not None)
    rest = _quotient(shape, told)
    return tuple(rest if token is None else token for token in found)


def _quotient(shape: Shape, told: Shape) -> Token:
    """The product of ``shape`` divided by that of ``told``, as far as it can be told."""
    over = Counter(token for token in shape if not isinstance(token, int))
    under = Counter(token for token in told if not isinstance(token, int))
    top = math.prod(token for token in shape if isinstance(token, int))
    bottom = math.prod(token for token in told if isinstance(token, int))
    if bottom == 0 or top % bottom or under - over:
        return Inferred()
    left = list((over - under).elements())
    if not left:
        return top // bottom
    return left[0] if len(left) == 1 and top == bottom else Inferred()


def _flatten(shape: Shape, axis: int) -> Shape:
    axis = axis + len(shape) if axis < 0 else axis
    return (_quotient(shape[:axis], ()), _quotient(shape[axis:], ()))


def _squeeze(shape: Shape, axes: list[int]) -> Shape | str:
    dropped = {axis % len(shape) for axis in axes} if shape else set()
    if any(isinstance(shape[axis], int) and shape[axis] != 1 for axis in dropped):
        return "Squeeze drops a dim that is not 1"
    if any(not isinstance(shape[axis], int) for axis in dropped):
        return "Squeeze makes sure that a dim is 1"
    return tuple(token for index, token in enumerate(shape) if index not in dropped)


def _unsqueeze(shape: Shape, axes: list[int]) -> Shape:
    rank = len(shape) + len(axes)
    added = {axis % rank for axis in axes}
    tokens = iter(shape)
    return tuple(1 if index in added else next(tokens) for index in range(rank))
