"""FoldShapeTargets: Reshape, Expand and Slice told by constants what they were told by computed shapes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.ir.element_rules import numbers
from graphopt.ir.elements import Elements
from graphopt.ir.expressions import Element, at_least, negate
from graphopt.passes.fold._constants import Constants
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass

_TO_THE_END = np.iinfo(np.int64).max


@dataclass(frozen=True)
class FoldShapeTargets(Pass):
    """Replace a computed second input of Reshape, Expand or Slice by constants that say the same.

    Before: ``y = Reshape(x, Concat(Gather(Shape(x), 0), [12, 32]))`` with x of [N, 384].
    After:  ``y = Reshape(x, [0, 12, 32])``.
    Needs:  inferred shapes; graphs in topological order.
    Keeps:  a dim that Reshape works out by itself (-1); what else reads the computed shape.
    Skips:  targets with two dims that only the computation tells; -1 beside copied dims that may be
            zero, where the original did not have it (Reshape would fail on an empty value).

    In Reshape a dim that is the input's own at that place is 0 and one other may be -1; in Expand a
    dim that is the input's own is 1; a Slice of the input's own size goes from the
    beginning to the end.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Walk once; every decision depends on one node and its operands alone."""
        elements = Elements(model)
        constants = Constants(model)
        changed = 0
        for node in list(model.graph.all_nodes()):
            if node.domain not in ("", "ai.onnx"):
                continue
            for position, find in _TARGETS.get(node.op_type, {}).items():
                if len(node.inputs) > position and not _is_constant(node.inputs[position]):
                    changed += self._try(node, position, find(node, elements), constants, ctx)
        return changed > 0

    def _try(
        self, node: ir.Node, position: int, wanted: Found, constants: Constants, ctx: PassContext
    ) -> bool:
        if isinstance(wanted, str):
            if wanted:
                ctx.missed(self.name(), node, wanted)
            return False
        node.replace_input_with(position, constants.get(node, wanted))
        if node.op_type == "Reshape":
            node.attributes.pop("allowzero", None)
        ctx.applied(self.name(), node, f"{node.op_type} to {wanted.tolist()}")
        return True


Found = npt.NDArray[np.integer] | str
"""The constant, or why there is none: empty where nothing is near."""


def _is_constant(value: ir.Value | None) -> bool:
    return value is None or (value.const_value is not None and not value.is_graph_input())


def _reshape(node: ir.Node, elements: Elements) -> Found:
    dims, target = elements.dims(node.inputs[0]), elements.of(node.inputs[1])
    if dims is None or target is None or target.ndim != 1:
        return ""
    if node.attributes.get_int("allowzero", 0) == 1 and any(_is_zero(e) for e in target):
        return "a dim of the target is zero, not copied"
    told: list[int | None] = []
    for axis, element in enumerate(target):
        if isinstance(element, int):
            told.append(int(element))
        else:
            told.append(0 if axis < len(dims) and element == dims[axis] else None)
    untold = told.count(None)
    if untold == 0:
        return np.asarray(told, np.int64)
    if untold > 1 or -1 in told:
        return "more than one dim of the target is computed"
    copied = [dims[axis] for axis, size in enumerate(told) if size == 0]
    if not all(at_least(dim, 1) for dim in copied):
        return "-1 would stand beside a copied dim that may be zero"
    return np.asarray([-1 if size is None else size for size in told], np.int64)


def _is_zero(element: Element) -> bool:
    return isinstance(element, int) and element == 0


def _expand(node: ir.Node, elements: Elements) -> Found:
    dims, target = elements.dims(node.inputs[0]), elements.of(node.inputs[1])
    if dims is None or target is None or target.ndim != 1:
        return ""
    own = (1,) * (len(target) - len(dims)) + dims[max(0, len(dims) - len(target)) :]
    sizes = [1 if e == have else e for e, have in zip(target, own, strict=True)]
    if not all(isinstance(size, int) for size in sizes):
        return ""
    return np.asarray(sizes, np.int64)


def _starts(node: ir.Node, elements: Elements) -> Found:
    return _bounds(node, elements, 1, lambda start, size: 0 if start == negate(size) else start)


def _ends(node: ir.Node, elements: Elements) -> Found:
    return _bounds(node, elements, 2, lambda end, size: _TO_THE_END if end == size else end)


def _bounds(
    node: ir.Node, elements: Elements, position: int, spell: Callable[[Element, Element], Element]
) -> Found:
    """The bounds of a Slice that goes forward, with those that are the input's own size spelled out."""
    dims, bounds, value = (
        elements.dims(node.inputs[0]),
        elements.of(node.inputs[position]),
        node.inputs[position],
    )
    if dims is None or bounds is None or value is None or bounds.ndim != 1:
        return ""
    axes = numbers(elements.of(node.inputs[3])) if _given(node, 3) else np.arange(len(bounds))
    steps = numbers(elements.of(node.inputs[4])) if _given(node, 4) else None
    if axes is None or np.any((axes < -len(dims)) | (axes >= len(dims))):
        return ""
    if len(axes) != len(bounds) or (_given(node, 4) and (steps is None or np.any(steps < 1))):
        return ""
    sizes = [spell(bound, dims[int(axis)]) for bound, axis in zip(bounds, axes, strict=True)]
    if not all(isinstance(size, int) for size in sizes):
        return ""
    dtype = np.int32 if value.dtype == ir.DataType.INT32 else np.int64
    return np.asarray([min(int(size), np.iinfo(dtype).max) for size in sizes if isinstance(size, int)], dtype)


def _given(node: ir.Node, position: int) -> bool:
    return len(node.inputs) > position and node.inputs[position] is not None


_TARGETS: dict[str, dict[int, Callable[[ir.Node, Elements], Found]]] = {
    "Expand": {1: _expand},
    "Reshape": {1: _reshape},
    "Slice": {1: _starts, 2: _ends},
}
"""For each operator, the inputs that say how large the result is."""
