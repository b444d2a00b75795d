"""Elementwise steps move in front of the views they read through, to where an anchor can take them along."""

from __future__ import annotations

from graphopt.backends.native.expression import operand, substitute
from graphopt.backends.native.fuse.epilogue import ANCHORS
from graphopt.backends.native.plan import Program, Step, Value

_VIEWS = frozenset({"flatten", "reshape", "squeeze", "transpose", "unsqueeze"})


def hoist_elementwise(program: Program) -> None:
    """Let steps of one operand read what a view looks at, and the view look at their result, in place."""
    for step in program.steps:
        for branch in step.programs:
            hoist_elementwise(branch)
    makers = {value: step for step in program.steps for value in step.writes()}
    uses = program.use_counts()
    for index, step in enumerate(program.steps):
        stands = index
        while (view := _view_before(step, makers, uses)) is not None:
            place = program.steps.index(view, 0, stands)
            _swap(step, view, makers, uses)
            # The elementwise step first, then the view, where the view was: whoever reads is behind both.
            program.steps[place : place + 1] = [step, view]
            del program.steps[stands + 1]
            stands = place


def _view_before(step: Step, makers: dict[Value, Step], uses: dict[Value, int]) -> Step | None:
    """The view a step reads, if only views of one reader lie between it and an anchor."""
    if step.op != "elementwise" or len(step.inputs) != 1 or len(step.results) != 1:
        return None
    found: Step | None = None
    value = step.inputs[0]
    while value is not None and uses[value] == 1 and (maker := makers.get(value)) is not None:
        if maker.op in ANCHORS:
            return found
        if maker.op not in _VIEWS:
            return None
        found = found or maker
        value = maker.inputs[0]
    return None


def _swap(step: Step, view: Step, makers: dict[Value, Step], uses: dict[Value, int]) -> None:
    source, seen, result = view.inputs[0], step.inputs[0], step.outputs[0]
    assert source is not None
    assert seen is not None
    assert result is not None
    early = Value(f"{result.name}_early", result.dtype, source.dims)
    step.results = substitute(step.results, {seen: operand(source)})
    step.inputs, step.outputs = [source], [early]
    view.inputs = [early, *view.inputs[1:]]
    view.outputs = [result]
    makers[early], makers[result], uses[early] = step, view, 1
