"""How operators that compute with shapes treat each element: one function per operator.

A function gets the node and the ``Elements`` found so far, and returns an array of elements per output or
None. Where an index, an axis or a size is not a number, nothing is known of the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.ir import element_arithmetic as scalar
from graphopt.ir import expressions as ex
from graphopt.ir.element_arithmetic import Array
from graphopt.ir.expressions import Element, Expression

MOST = 64
"""Elements: shapes, axes, bounds and short lists of sizes are no longer."""


class Known(Protocol):
    """What the functions ask about the operands of a node."""

    def of(self, value: ir.Value | None) -> Array | None:
        """The elements of a value."""

    def dims(self, value: ir.Value | None) -> tuple[Element, ...] | None:
        """The sizes of a value."""


Rule = Callable[[ir.Node, Known], Sequence[Array] | None]


def as_array(values: object) -> Array:
    """``values`` as an array of Python numbers and expressions."""
    if isinstance(values, np.ndarray) and values.dtype != object:
        return np.array(values.tolist(), dtype=object).reshape(values.shape)
    return np.asarray(values, dtype=object)


def fits(array: Array, dtype: ir.DataType | None) -> bool:
    """Whether the numbers among the elements can be said in ``dtype``."""
    if dtype == ir.DataType.BOOL:
        return True
    limit = 2**31 if dtype == ir.DataType.INT32 else 2**63
    return all(isinstance(e, Expression) or -limit <= int(e) < limit for e in array.flat)


def numbers(array: Array | None) -> npt.NDArray[np.int64] | None:
    """The elements as numbers, or None when one is not."""
    if array is None or any(isinstance(element, Expression) for element in array.flat):
        return None
    return array.astype(np.int64)


def _listed(node: ir.Node, known: Known, position: int, attribute: str = "") -> list[int] | None:
    """Numbers from an input or, in older opsets, an attribute; None when absent or not numbers."""
    if position < len(node.inputs) and node.inputs[position] is not None:
        found = numbers(known.of(node.inputs[position]))
        return None if found is None else [int(n) for n in found.ravel()]
    listed = node.attributes.get_ints(attribute) if attribute else None
    return None if listed is None else [int(n) for n in listed]


def _given(node: ir.Node, position: int) -> bool:
    return position < len(node.inputs) and node.inputs[position] is not None


def _shape(node: ir.Node, known: Known) -> Sequence[Array] | None:
    dims = known.dims(node.inputs[0])
    if dims is None:
        return None
    start, end = node.attributes.get_int("start", 0), node.attributes.get_int("end", None)
    found = np.empty(len(dims[start:end]), dtype=object)
    found[:] = dims[start:end]
    return [found]


def _size(node: ir.Node, known: Known) -> Sequence[Array] | None:
    dims = known.dims(node.inputs[0])
    return None if dims is None else [as_array(ex.product(dims))]


def _identity(node: ir.Node, known: Known) -> Sequence[Array] | None:
    found = known.of(node.inputs[0])
    return None if found is None else [found]


def _cast(node: ir.Node, known: Known) -> Sequence[Array] | None:
    found = known.of(node.inputs[0])
    source, target = node.inputs[0].dtype if node.inputs[0] is not None else None, node.outputs[0].dtype
    if found is None or source is None:
        return None
    if target == ir.DataType.BOOL:
        return [scalar.each(lambda a: scalar.logical_not(scalar.equal(a, 0)), found)]
    # Sizes are never so large that an int32 could not hold them; numbers are checked by the caller.
    return [scalar.each(lambda a: int(a) if isinstance(a, bool) else a, found)]


def _gather(node: ir.Node, known: Known) -> Sequence[Array] | None:
    data, indices = known.of(node.inputs[0]), numbers(known.of(node.inputs[1]))
    axis = node.attributes.get_int("axis", 0)
    if data is None or indices is None or data.ndim == 0:
        return None
    size = data.shape[axis]
    if np.any((indices < -size) | (indices >= size)):
        return None
    return [as_array(np.take(data, indices, axis=axis))]


def _slice(node: ir.Node, known: Known) -> Sequence[Array] | None:
    data = known.of(node.inputs[0])
    starts, ends = _listed(node, known, 1, "starts"), _listed(node, known, 2, "ends")
    if data is None or starts is None or ends is None:
        return None
    axes = _listed(node, known, 3, "axes")
    steps = _listed(node, known, 4)
    if (axes is None and _given(node, 3)) or (steps is None and _given(node, 4)):
        return None
    region: list[slice] = [slice(None)] * data.ndim
    for i, axis in enumerate(axes if axes is not None else range(len(starts))):
        step = steps[i] if steps else 1
        if step < 1:
            return None
        region[axis] = slice(starts[i], ends[i], step)
    return [data[tuple(region)]]


def _concat(node: ir.Node, known: Known) -> Sequence[Array] | None:
    parts = [known.of(value) for value in node.inputs]
    if any(part is None for part in parts):
        return None
    return [np.concatenate([p for p in parts if p is not None], axis=node.attributes.get_int("axis", 0))]


def _squeeze(node: ir.Node, known: Known) -> Sequence[Array] | None:
    data, axes = known.of(node.inputs[0]), _listed(node, known, 1, "axes")
    if data is None or (axes is None and _given(node, 1)):
        return None
    return [data.squeeze(None if axes is None else tuple(axes))]


def _unsqueeze(node: ir.Node, known: Known) -> Sequence[Array] | None:
    data, axes = known.of(node.inputs[0]), _listed(node, known, 1, "axes")
    return None if data is None or axes is None else [np.expand_dims(data, tuple(axes))]


def _reshape(node: ir.Node, known: Known) -> Sequence[Array] | None:
    data, target = known.of(node.inputs[0]), _listed(node, known, 1)
    if data is None or target is None or data.size == 0:
        return None
    return [data.reshape([data.shape[i] if size == 0 else size for i, size in enumerate(target)])]


def _transpose(node: ir.Node, known: Known) -> Sequence[Array] | None:
    data = known.of(node.inputs[0])
    return None if data is None else [np.transpose(data, node.attributes.get_ints("perm", None))]


def _expand(node: ir.Node, known: Known) -> Sequence[Array] | None:
    data, target = known.of(node.inputs[0]), _listed(node, known, 1)
    if data is None or target is None:
        return None
    shape = np.broadcast_shapes(data.shape, tuple(target))
    return [np.broadcast_to(data, shape).copy()] if np.prod(shape) <= MOST else None


def _constant_of_shape(node: ir.Node, known: Known) -> Sequence[Array] | None:
    shape = _listed(node, known, 0)
    if shape is None or np.prod(shape, dtype=object) > MOST:
        return None
    fill = node.attributes.get_tensor("value", None)
    value = None if fill is None else np.asarray(fill.numpy()).ravel()[0].item()
    found = np.empty(shape, dtype=object)
    found.fill(0 if value is None else value)
    return [found]


def _range(node: ir.Node, known: Known) -> Sequence[Array] | None:
    bounds = [_listed(node, known, position) for position in range(3)]
    if any(bound is None or len(bound) != 1 for bound in bounds):
        return None
    start, limit, delta = (bound[0] for bound in bounds if bound is not None)
    if delta == 0 or (limit - start) / delta > MOST:
        return None
    return [as_array(np.arange(start, limit, delta))]


def _split(node: ir.Node, known: Known) -> Sequence[Array] | None:
    data, axis = known.of(node.inputs[0]), node.attributes.get_int("axis", 0)
    if data is None or data.ndim == 0:
        return None
    sizes = _listed(node, known, 1, "split")
    if sizes is None:
        if _given(node, 1):
            return None
        each = -(-data.shape[axis] // len(node.outputs))
        sizes = [each] * (len(node.outputs) - 1)
    return np.split(data, np.cumsum(sizes)[: len(node.outputs) - 1], axis=axis)


def _where(node: ir.Node, known: Known) -> Sequence[Array] | None:
    operands = [known.of(value) for value in node.inputs]
    if any(operand is None for operand in operands):
        return None
    return [scalar.each(scalar.pick, *(operand for operand in operands if operand is not None))]


def _reduce(combine: Callable[[Element, Element], Element]) -> Rule:
    def rule(node: ir.Node, known: Known) -> Sequence[Array] | None:
        data, axes = known.of(node.inputs[0]), _listed(node, known, 1, "axes")
        if data is None or data.size == 0 or (axes is None and _given(node, 1)):
            return None
        if not axes and node.attributes.get_int("noop_with_empty_axes", 0) == 1:
            return [data]
        keep = bool(node.attributes.get_int("keepdims", 1))
        whole = tuple(range(data.ndim))
        chosen = tuple(sorted({axis % data.ndim for axis in axes})) if axes else whole
        found = data
        for axis in reversed(chosen):
            parts = np.moveaxis(found, axis, 0)
            total = parts[0]
            for part in parts[1:]:
                total = scalar.each(combine, as_array(total), as_array(part))
            found = as_array(total)
        if keep:
            found = np.expand_dims(found, chosen)
        return [found]

    return rule


def _fold(combine: Callable[[Element, Element], Element]) -> Rule:
    """An operator of two operands, or of any number that are combined one by one."""

    def rule(node: ir.Node, known: Known) -> Sequence[Array] | None:
        operands = [known.of(value) for value in node.inputs]
        total = operands[0]
        for operand in operands[1:]:
            if total is None or operand is None:
                return None
            total = scalar.each(combine, total, operand)
        return None if total is None else [total]

    return rule


def _unary(function: Callable[[Element], Element]) -> Rule:
    def rule(node: ir.Node, known: Known) -> Sequence[Array] | None:
        found = known.of(node.inputs[0])
        return None if found is None else [scalar.each(function, found)]

    return rule


def _mod(node: ir.Node, known: Known) -> Sequence[Array] | None:
    return None if node.attributes.get_int("fmod", 0) == 1 else _fold(ex.remainder)(node, known)


RULES: dict[str, Rule] = {
    "Abs": _unary(scalar.absolute),
    "Add": _fold(ex.add),
    "And": _fold(scalar.logical_and),
    "Cast": _cast,
    "CastLike": _cast,
    "Concat": _concat,
    "ConstantOfShape": _constant_of_shape,
    "Div": _fold(ex.divide),
    "Equal": _fold(scalar.equal),
    "Expand": _expand,
    "Gather": _gather,
    "Greater": _fold(lambda a, b: scalar.less(b, a)),
    "GreaterOrEqual": _fold(lambda a, b: scalar.logical_not(scalar.less(a, b))),
    "Identity": _identity,
    "Less": _fold(scalar.less),
    "LessOrEqual": _fold(lambda a, b: scalar.logical_not(scalar.less(b, a))),
    "Max": _fold(scalar.maximum),
    "Min": _fold(scalar.minimum),
    "Mod": _mod,
    "Mul": _fold(ex.multiply),
    "Neg": _unary(ex.negate),
    "Not": _unary(scalar.logical_not),
    "Or": _fold(scalar.logical_or),
    "Range": _range,
    "ReduceMax": _reduce(scalar.maximum),
    "ReduceMin": _reduce(scalar.minimum),
    "ReduceProd": _reduce(ex.multiply),
    "ReduceSum": _reduce(ex.add),
    "Reshape": _reshape,
    "Shape": _shape,
    "Size": _size,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Sub": _fold(ex.subtract),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": _where,
}
