"""Which operands decide shapes, and which inputs of a plan therefore have to be looked at before it runs."""

from __future__ import annotations

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


def shape_inputs(program: Program) -> set[Value]:
    """The inputs whose contents decide a shape, directly or through arithmetic."""
    makers = {value: step for step in program.all_steps() for value in step.writes()}
    work = [value for step in program.all_steps() for value in deciding(step)]
    inputs, seen = set(program.inputs), set(work)
    while work:
        value = work.pop()
        step = makers.get(value)
        if step is None or step.op in TYPES_ONLY:
            continue
        for source in step.reads():
            if source not in seen:
                seen.add(source)
                work.append(source)
    return seen & inputs


def deciding(step: Step) -> list[Value]:
    """The operands of a step that must be known before it runs."""
    places = SHAPE_OPERANDS.get(step.op, ())
    found = (step.inputs[place] for place in places if place < len(step.inputs))
    return [value for value in found if value is not None]
