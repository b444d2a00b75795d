"""Operators that can work on a transposed input: what changes about them.

``y = Transpose<perm>(x)``: axis i of y is axis ``perm[i]`` of x. An operator that reads y can read x instead
when its axes are renamed and its constants transposed back; its results are then transposed too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.rewrite.constants import constant_array, constant_tensor
from graphopt.rewrite.opfacts import BROADCASTING, REDUCING, UNARY

Perm = tuple[int, ...]
Array = npt.NDArray[np.generic]

_LARGEST = 1 << 10
"""Elements: a larger constant that something else reads too is not copied."""

BROADCAST_OPERATORS = BROADCASTING - {"BitShift"}
"""Operators that compute each element from one element of every input."""

_ALONG_AXIS = frozenset({"Concat", "Hardmax", "LogSoftmax", "Softmax", "Split"})
_MOVING_AXES = frozenset({"Slice", "Pad", "Squeeze", "Unsqueeze"})
OPERATORS = (
    UNARY
    | BROADCAST_OPERATORS
    | _ALONG_AXIS
    | REDUCING
    | _MOVING_AXES
    | {"QuantizeLinear", "DequantizeLinear"}
)
"""Operators ``permuted`` knows."""


@dataclass(frozen=True)
class Change:
    """What an operator needs to work on inputs before their transposition.

    Attributes:
        perm: of the transposition that is put behind its outputs.
        axis: the new ``axis``, or None where it has none.
        constants: new constants by input.
    """

    perm: Perm
    axis: int | None = None
    constants: dict[int, Array] = field(default_factory=dict)


def permuted(node: ir.Node, perm: Perm, is_inside: Callable[[ir.Value], bool]) -> Change | None:
    """What ``node`` needs when the inputs that are inside come untransposed; None where it cannot be.

    Args:
        node: a standard operator.
        perm: of the transposition that is taken away from its inputs.
        is_inside: whether an input is such an input.
    """
    inside = [value is not None and is_inside(value) for value in node.inputs]
    if not any(inside) or node.op_type not in OPERATORS:
        return None
    if node.op_type in BROADCAST_OPERATORS:
        return _broadcasting(node, perm, inside)
    if node.op_type == "Concat":
        return _concat(node, perm, inside)
    if not inside[0] or any(inside[1:]):
        return None
    if node.op_type in UNARY:
        return Change(perm) if all(map(_is_scalar, node.inputs[1:])) else None
    if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
        return _quantization(node, perm)
    if node.op_type in _ALONG_AXIS:
        return Change(perm, _axis(node, perm))
    if node.op_type in REDUCING:
        return _reduction(node, perm)
    return _MOVED[node.op_type](node, perm)


def transposed_shape(shape: ir.Shape | None, perm: Perm) -> ir.Shape | None:
    """The shape of x, given that of ``y = Transpose<perm>(x)``."""
    if shape is None or len(shape) != len(perm):
        return None
    return ir.Shape([shape[perm.index(axis)] for axis in range(len(perm))])


def _axis(node: ir.Node, perm: Perm) -> int:
    default = 0 if node.op_type in ("Concat", "Split") else -1
    return perm[node.attributes.get_int("axis", default) % len(perm)]


def _is_scalar(value: ir.Value | None) -> bool:
    return value is None or (
        value.shape is not None and value.shape.is_static() and value.shape.numpy() in ((), (1,))
    )


def _concat(node: ir.Node, perm: Perm, inside: Sequence[bool]) -> Change | None:
    constants = {}
    for index, value in enumerate(node.inputs):
        if not inside[index]:
            array = _back(value, perm, node)
            if array is None:
                return None
            constants[index] = array
    return Change(perm, _axis(node, perm), constants)


def _broadcasting(node: ir.Node, perm: Perm, inside: Sequence[bool]) -> Change | None:
    """Other operands must be scalars or constants; PRelu's slope is an operand like any other."""
    constants = {}
    for index, value in enumerate(node.inputs):
        if inside[index] or (value is not None and value.shape is not None and len(value.shape) == 0):
            continue
        array = _back(value, perm, node)
        if array is None:
            return None
        if array.size > 1:
            constants[index] = array
    return Change(perm, None, constants)


def _back(value: ir.Value | None, perm: Perm, node: ir.Node) -> Array | None:
    """The constant in the order of axes before the transposition, if it is one and may be copied."""
    tensor = constant_tensor(value)
    if tensor is None or value is None or len(tensor.shape) > len(perm):
        return None
    is_shared = any(use.node is not node for use in value.uses()) or value.is_graph_output()
    if is_shared and tensor.size > _LARGEST:
        return None
    array = np.asarray(tensor.numpy())
    wide = array.reshape((1,) * (len(perm) - array.ndim) + array.shape)
    return np.transpose(wide, np.argsort(perm))


def _quantization(node: ir.Node, perm: Perm) -> Change | None:
    if node.attributes.get_int("block_size", 0):
        return None
    if all(map(_is_scalar, node.inputs[1:])):
        return Change(perm)
    return Change(perm, perm[node.attributes.get_int("axis", 1) % len(perm)])


def _ints(value: ir.Value | None) -> list[int] | None:
    array = constant_array(value)
    return None if array is None else [int(number) for number in array.ravel()]


def _reduction(node: ir.Node, perm: Perm) -> Change | None:
    keeps = node.attributes.get_int("keepdims", 1) != 0
    if len(node.inputs) < 2 or node.inputs[1] is None:
        if node.attributes.get_int("noop_with_empty_axes", 0) != 0:
            return None
        return Change(perm if keeps else ())
    axes = _ints(node.inputs[1])
    if not axes:
        return None
    return Change(perm if keeps else _without(perm, axes), None, {1: _renamed(axes, perm)})


def _squeeze(node: ir.Node, perm: Perm) -> Change | None:
    axes = _ints(node.inputs[1]) if len(node.inputs) > 1 else None
    return None if not axes else Change(_without(perm, axes), None, {1: _renamed(axes, perm)})


def _unsqueeze(node: ir.Node, perm: Perm) -> Change | None:
    """New axes stay where they are; the others go where they came from."""
    axes = _ints(node.inputs[1])
    if axes is None:
        return None
    rank = len(perm) + len(axes)
    added = {axis % rank for axis in axes}
    old = [axis for axis in range(rank) if axis not in added]
    places = iter(old[axis] for axis in perm)
    return Change(tuple(axis if axis in added else next(places) for axis in range(rank)))


def _without(perm: Perm, axes: Sequence[int]) -> Perm:
    """The permutation of the axes that are left when ``axes`` of the transposed value are dropped."""
    dropped = {axis % len(perm) for axis in axes}
    left = [source for axis, source in enumerate(perm) if axis not in dropped]
    return tuple(sorted(left).index(source) for source in left)


def _renamed(axes: Sequence[int], perm: Perm) -> Array:
    return np.asarray([perm[axis % len(perm)] for axis in axes], np.int64)


def _slice(node: ir.Node, perm: Perm) -> Change | None:
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        axes = _ints(node.inputs[3])
    else:
        starts = node.inputs[1]
        count = None if starts is None or starts.shape is None else starts.shape[0]
        axes = list(range(count)) if isinstance(count, int) else None
    return None if axes is None else Change(perm, None, {3: _renamed(axes, perm)})


def _pad(node: ir.Node, perm: Perm) -> Change | None:
    pads = _ints(node.inputs[1])
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        axes = _ints(node.inputs[3])
        return None if axes is None else Change(perm, None, {3: _renamed(axes, perm)})
    if pads is None or len(pads) != 2 * len(perm):
        return None
    order = np.argsort(perm)
    both = np.asarray(pads, np.int64).reshape(2, len(perm))
    return Change(perm, None, {1: both[:, order].ravel()})


_MOVED: dict[str, Callable[[ir.Node, Perm], Change | None]] = {
    "Pad": _pad,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
}
