"""Transposes that meet become one, and those that change nothing none."""

from __future__ import annotations

from graphopt.backends.native.expression import operand, substitute
from graphopt.backends.native.plan import Program, Step, Value


def merge_transposes(program: Program) -> None:
    """Let each transpose read what the transposes before it read, and drop those without effect, in place."""
    makers = {value: step for step in program.steps for value in step.writes()}
    instead: dict[Value, Value] = {}
    outputs = set(program.outputs)
    for step in program.steps:
        for branch in step.programs:
            merge_transposes(branch)
        replace_values(step, instead)
        if step.op != "transpose":
            continue
        perm, source = _perm(step), step.inputs[0]
        before = None if source is None else makers.get(source)
        if before is not None and before.op == "transpose":
            perm = tuple(_perm(before)[axis] for axis in perm)
            step.attributes["perm"], step.inputs = perm, list(before.inputs)
        (result,), (origin,) = step.outputs, step.inputs
        if (
            perm == tuple(range(len(perm)))
            and result is not None
            and result not in outputs
            and origin is not None
        ):
            instead[result] = origin


def replace_values(step: Step, instead: dict[Value, Value]) -> None:
    """Let a step, and the branches in it, read other values."""
    if not any(value in instead for value in step.reads()):
        return
    step.inputs = [None if value is None else instead.get(value, value) for value in step.inputs]
    step.results = substitute(step.results, {old: operand(new) for old, new in instead.items() if new.dtype})
    for branch in step.programs:
        for inner in branch.steps:
            replace_values(inner, instead)
        branch.outputs = [instead.get(value, value) for value in branch.outputs]


def _perm(step: Step) -> tuple[int, ...]:
    perm = step.attributes["perm"]
    assert isinstance(perm, tuple)
    return tuple(int(axis) for axis in perm)
