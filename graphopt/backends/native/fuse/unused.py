"""Steps nobody reads from leave the plan."""

from __future__ import annotations

from graphopt.backends.native.plan import Program, Step, Value


def drop_unused(program: Program) -> None:
    """Remove the steps none of whose results is read, in place."""
    wanted: set[Value] = set(program.outputs)
    kept: list[Step] = []
    for step in reversed(program.steps):
        if not any(value in wanted for value in step.writes()):
            continue
        for branch in step.programs:
            drop_unused(branch)
        wanted.update(step.reads())
        kept.append(step)
    program.steps = kept[::-1]
