"""Which operands decide shapes, and which inputs of a plan therefore have to be looked at before it runs."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from graphopt.backends.native.plan import Program, Step, Value

SHAPE_OPERANDS: dict[str, tuple[int, ...]] = {
    "cumsum": (1,),
    "expand": (1,),
    "fill": (0,),
    "one_hot": (1,),
    "pad": (1, 3),
    "range": (0, 1, 2),
    "reduce": (1,),
    "reshape": (1,),
    "resize": (1, 2, 3),
    "slice": (1, 2, 3, 4),
    "split": (1,),
    "squeeze": (1,),
    "tile": (1,),
    "top_k": (1,),
    "trilu": (1,),
    "unsqueeze": (1,),
}
"""Plan operator → inputs whose contents must be known before the plan runs."""

TYPES_ONLY = frozenset({"shape", "size"})
"""Operators that look at the type of their input and not at its contents."""


MOST_CONTROLLING = 64
"""Elements of an input that may decide something: it is looked at in every run."""


def shape_inputs(program: Program) -> set[Value]:
    """The inputs whose contents decide a shape, directly or through arithmetic, or which branch is taken.

    A branch that depends on a large input is chosen while the plan runs.
    """
    makers = {value: step for step in program.all_steps() for value in step.writes()}
    inputs = set(program.inputs)
    found = _origins((value for step in program.all_steps() for value in deciding(step)), makers) & inputs
    for step in program.all_steps():
        if step.op == "if":
            origins = _origins((value for value in step.inputs if value is not None), makers) & inputs
            found |= origins if all(_is_small(value) for value in origins) else set()
    return found


def _origins(values: Iterable[Value], makers: dict[Value, Step]) -> set[Value]:
    """The values and everything whose contents they are computed from."""
    work = list(values)
    seen = set(work)
    while work:
        step = makers.get(work.pop())
        if step is None or step.op in TYPES_ONLY:
            continue
        for source in step.reads():
            if source not in seen:
                seen.add(source)
                work.append(source)
    return seen


def _is_small(value: Value) -> bool:
    dims = [dim for dim in value.dims or (None,) if isinstance(dim, int)]
    return value.dims is not None and len(dims) == len(value.dims) and prod(dims) <= MOST_CONTROLLING


def deciding(step: Step) -> list[Value]:
    """The operands of a step that must be known before it runs."""
    places = SHAPE_OPERANDS.get(step.op, ())
    found = (step.inputs[place] for place in places if place < len(step.inputs))
    return [value for value in found if value is not None]
