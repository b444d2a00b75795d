"""FoldShapeTargets: Reshape, Expand and Slice told by constants what they were told by computed shapes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.ir.elements import Elements
from graphopt.ir.expressions import Element, at_least
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
    dim that is the input's own is 1; a Slice up to the input's own size goes to the end.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Walk once; every decision depends on one node and its operands alone."""
        elements = Elements(model)
        constants = Constants(model)
        changed = 0
        for node in list(model.graph.all_nodes()):
            target = _TARGETS.get(node.op_type) if node.domain in ("", "ai.onnx") else None
            if target is None:
                continue
            position, find = target
            if len(node.inputs) <= position or _is_constant(node.inputs[position]):
                continue
            wanted = find(node, elements)
            if isinstance(wanted, str):
                if wanted:
                    ctx.missed(self.name(), node, wanted)
                continue
            node.replace_input_with(position, constants.get(node, wanted))
            if node.op_type == "Reshape":
                node.attributes.pop("allowzero", None)
            ctx.applied(self.name(), node, f"{node.op_type} to {wanted.tolist()}")
            changed += 1
        return changed > 0


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


def _ends(node: ir.Node, elements: Elements) -> Found:
    dims, ends = elements.dims(node.inputs[0]), elements.of(node.inputs[2])
    axes = elements.of(node.inputs[3]) if len(node.inputs) > 3 else None
    steps = elements.of(node.inputs[4]) if len(node.inputs) > 4 else None
    if dims is None or ends is None or ends.ndim != 1:
        return ""
    if steps is not None and not all(isinstance(step, int) and step > 0 for step in steps):
        return ""
    if len(node.inputs) > 3 and node.inputs[3] is not None and axes is None:
        return ""
    places = axes if axes is not None else range(len(ends))
    sizes = []
    for end, axis in zip(ends, places, strict=True):
        if not isinstance(axis, int):
            return ""
        sizes.append(_TO_THE_END if end == dims[axis] else end)
    if not all(isinstance(size, int) for size in sizes):
        return ""
    dtype = np.int32 if node.inputs[2] is not None and node.inputs[2].dtype == ir.DataType.INT32 else np.int64
    return np.asarray([min(int(size), np.iinfo(dtype).max) for size in sizes], dtype)


_TARGETS: dict[str, tuple[int, Callable[[ir.Node, Elements], Found]]] = {
    "Expand": (1, _expand),
    "Reshape": (1, _reshape),
    "Slice": (2, _ends),
}
