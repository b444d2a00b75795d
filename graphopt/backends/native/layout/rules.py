"""What each operator makes of the layouts, and how its step changes when it runs channels-last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.backends.native.layout.order import axes_last, place_of
from graphopt.backends.native.plan import Dims, Step, Value


@dataclass(frozen=True)
class Rule:
    """A step that can run channels-last.

    Attributes:
        inputs: places of the inputs that are then channels-last.
        outputs: the outputs that are then channels-last; the others are plain either way.
        turn: changes the step's attributes, and inputs that are not in ``inputs``, to run so.
        always: it cannot run any other way.
    """

    inputs: tuple[int, ...]
    outputs: tuple[Value, ...]
    turn: Callable[[Step], None]
    always: bool = False


def rule_of(step: Step) -> Rule | None:
    """How a step can run channels-last; None when it cannot."""
    make = _RULES.get(step.op)
    return None if make is None else make(step)


def _nothing(step: Step) -> None:
    """The step stays as it is."""


def _rank(value: Value | None) -> int:
    """The rank of a value that can be channels-last, else 0."""
    rank = 0 if value is None else value.rank or 0
    return rank if rank >= 3 else 0


def _one_to_one(step: Step, turn: Callable[[Step], None], *, always: bool = False) -> Rule | None:
    if always:
        return Rule((0,), tuple(step.writes()[:1]), turn, always=True)
    return Rule((0,), tuple(step.writes()), turn) if _rank(step.inputs[0]) else None


def _spatial(step: Step) -> Rule | None:
    return _one_to_one(step, _nothing, always=True)


def _channels_last_flag(step: Step) -> Rule | None:
    def turn(step: Step) -> None:
        step.attributes["channels_last"] = 1

    return _one_to_one(step, turn)


def _identity(step: Step) -> Rule | None:
    return _one_to_one(step, _nothing)


def _elementwise(step: Step) -> Rule | None:
    output = step.outputs[0]
    rank = _rank(output)
    if not rank or any(value is None or value.rank is None for value in step.inputs):
        return None
    same = tuple(i for i, value in enumerate(step.inputs) if value is not None and value.rank == rank)
    # Operands of lower rank are brought to the full one when the step is rewritten.
    return Rule(same, tuple(step.writes()), _nothing)


def _along_axis(step: Step) -> Rule | None:
    """Operators with one attribute ``axis``, of which all inputs and outputs are alike."""
    rank = _rank(step.writes()[0])
    axis = step.attributes.get("axis", -1 if step.op == "softmax" else 0)
    if not rank or not isinstance(axis, int):
        return None
    alike = tuple(range(len(step.inputs))) if step.op == "concat" else (0,)
    if any(_rank(step.inputs[i]) != rank for i in alike):
        return None

    def turn(step: Step) -> None:
        step.attributes["axis"] = place_of(axis, rank)

    return Rule(alike, tuple(step.writes()), turn)


def _reduce(step: Step) -> Rule | None:
    rank, output = _rank(step.inputs[0]), step.writes()[0]
    if not rank or len(step.inputs) > 1:
        return None
    name = "axis" if step.op == "arg_reduce" else "axes"
    given = step.attributes.get(name, 0 if name == "axis" else tuple(range(rank)))
    axes = (given,) if isinstance(given, int) else given
    assert isinstance(axes, tuple)
    gone = {int(axis) % rank for axis in axes}

    def turn(step: Step) -> None:
        places = tuple(place_of(int(axis), rank) for axis in axes)
        step.attributes[name] = places[0] if name == "axis" else places

    if step.attributes.get("keepdims", 1):
        return Rule((0,), (output,), turn)
    kept = [axis for axis in range(rank) if axis not in gone]
    order = [kept.index(axis) for axis in axes_last(rank) if axis in kept]
    if len(kept) >= 3 and order == list(axes_last(len(kept))):
        return Rule((0,), (output,), turn)
    return Rule((0,), (), turn) if order == sorted(order) else None


def _axes_operand(place: int, count_of: Callable[[Step], int | None]) -> Callable[[Step], Rule | None]:
    """Operators whose axes are input ``place``; without it they are the first ones."""

    def make(step: Step) -> Rule | None:
        rank = _rank(step.inputs[0])
        axes = _constant_axes(step, place, count_of)
        if not rank or axes is None:
            return None

        def turn(step: Step) -> None:
            step.inputs += [None] * (place + 1 - len(step.inputs))
            places = np.array([place_of(axis, rank) for axis in axes], np.int64)
            step.inputs[place] = Value(
                "axes", ir.DataType.INT64, (len(axes),), ir.Tensor(places, name="axes")
            )

        return Rule((0,), tuple(step.writes()), turn)

    return make


def _constant_axes(step: Step, place: int, count_of: Callable[[Step], int | None]) -> tuple[int, ...] | None:
    given = step.inputs[place] if place < len(step.inputs) else None
    if given is not None:
        return None if given.tensor is None else tuple(int(i) for i in given.tensor.numpy().ravel())
    count = count_of(step)
    return None if count is None else tuple(range(count))


def _length_of_starts(step: Step) -> int | None:
    starts = step.inputs[1]
    dims: Dims = () if starts is None or starts.dims is None else starts.dims
    return dims[0] if len(dims) == 1 and isinstance(dims[0], int) else None


def _resize(step: Step) -> Rule | None:
    rank = _rank(step.inputs[0])
    axes = step.attributes.get("axes", tuple(range(rank)))
    if not rank or not isinstance(axes, tuple):
        return None

    def turn(step: Step) -> None:
        step.attributes["axes"] = tuple(place_of(int(axis), rank) for axis in axes)

    return Rule((0,), tuple(step.writes()), turn)


def _tile(step: Step) -> Rule | None:
    rank, repeats = _rank(step.inputs[0]), step.inputs[1]
    if not rank or repeats is None or repeats.tensor is None:
        return None
    numbers = repeats.tensor.numpy()

    def turn(step: Step) -> None:
        turned = np.ascontiguousarray(numbers[[0, *range(2, rank), 1]])
        step.inputs[1] = Value(repeats.name, repeats.dtype, (rank,), ir.Tensor(turned, name=repeats.name))

    return Rule((0,), tuple(step.writes()), turn)


_RULES: dict[str, Callable[[Step], Rule | None]] = {
    "arg_reduce": _reduce,
    "concat": _along_axis,
    "conv": _spatial,
    "conv_transpose": _spatial,
    "elementwise": _elementwise,
    "group_norm": _channels_last_flag,
    "identity": _identity,
    "lrn": _channels_last_flag,
    "pad": _axes_operand(3, lambda step: step.inputs[0].rank if step.inputs[0] is not None else None),
    "pool": _spatial,
    "reduce": _reduce,
    "resize": _resize,
    "slice": _axes_operand(3, _length_of_starts),
    "softmax": _along_axis,
    "split": _along_axis,
    "tile": _tile,
}
