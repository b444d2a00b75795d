"""Reshapes and their kin between layouts: which of them stay views when their input is channels-last."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphopt.backends.native.layout.order import axes_last, place_of
from graphopt.backends.native.layout.rules import Rule
from graphopt.backends.native.plan import Dim, Dims, Step, Value


def view_rule(step: Step) -> Rule | None:
    """How a squeeze, unsqueeze, reshape or flatten can read or give channels-last; None when it cannot."""
    source, result = step.inputs[0], step.outputs[0]
    if source is None or result is None or source.dims is None or result.dims is None:
        return None
    match step.op:
        case "squeeze" | "unsqueeze":
            return _squeeze(step, source.dims, result)
        case "reshape" | "flatten":
            return _reshape(step, source.dims, result)
    return None


def _axes(step: Step, rank: int) -> tuple[int, ...] | None:
    given = step.attributes.get("axes")
    if isinstance(given, tuple):
        return tuple(int(axis) % rank for axis in given)
    if len(step.inputs) < 2 or step.inputs[1] is None or step.inputs[1].tensor is None:
        return None
    return tuple(int(axis) % rank for axis in step.inputs[1].tensor.numpy().ravel())


def _squeeze(step: Step, dims: Dims, result: Value) -> Rule | None:
    assert result.dims is not None
    larger, smaller = sorted((len(dims), len(result.dims)), reverse=True)
    axes = _axes(step, larger)
    if larger < 3 or axes is None:
        return None
    kept = [axis for axis in range(larger) if axis not in axes]
    squeezing = step.op == "squeeze"

    def turn(step: Step) -> None:
        del step.inputs[1:]
        step.attributes["axes"] = tuple(sorted(place_of(axis, larger) for axis in axes))

    # The larger value's axes that stay, in its channels-last order, as axes of the smaller value.
    order = [kept.index(axis) for axis in axes_last(larger) if axis in kept]
    if smaller >= 3 and order == list(axes_last(smaller)):
        return Rule((0,), (result,), turn)
    if order != sorted(order):
        return None
    return Rule((0,), (), turn) if squeezing else Rule((), (result,), turn)


def _reshape(step: Step, dims: Dims, result: Value) -> Rule | None:
    """The batch and the channels stay, the spatial dims are split or merged."""
    assert result.dims is not None
    new = result.dims
    if len(dims) < 2 or len(new) < 2 or not _same(dims[0], new[0]) or not _same(dims[1], new[1]):
        return None
    if step.op == "reshape" and not _constant_target(step):
        return None
    channels = new[1]
    if not isinstance(channels, int):
        return None
    if sum(not isinstance(dim, int) for dim in new[2:]) > 1:
        return None

    def turn(step: Step) -> None:
        target = [0, *(dim if isinstance(dim, int) else -1 for dim in new[2:]), channels]
        step.op = "reshape"
        step.attributes = {}
        array = np.array(target, np.int64)
        step.inputs[1:] = [Value("shape", ir.DataType.INT64, (len(target),), ir.Tensor(array, name="shape"))]

    if 0 in new:
        return None
    if len(dims) >= 3 and len(new) >= 3:
        return Rule((0,), (result,), turn)
    if len(dims) >= 3:
        return Rule((0,), (), turn) if all(dim == 1 for dim in dims[2:]) else None
    return Rule((), (result,), turn) if len(new) >= 3 and all(dim == 1 for dim in new[2:]) else None


def _same(a: Dim, b: Dim) -> bool:
    return a is not None and a == b


def _constant_target(step: Step) -> bool:
    shape = step.inputs[1] if len(step.inputs) > 1 else None
    return shape is not None and shape.tensor is not None
