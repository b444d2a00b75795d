"""Constants of one element become numbers of the elementwise program."""

from __future__ import annotations

from graphopt.backends.native.expression import Expression, number, operands, replace_leaves
from graphopt.backends.native.plan import Program, Step, Value

_EXACT = 2**53
"""Integers beyond this have no exact float64, which is what programs keep numbers in."""


def inline_scalars(program: Program) -> None:
    """Replace operands by numbers wherever the result keeps its shape, in place."""
    for step in program.steps:
        for branch in step.programs:
            inline_scalars(branch)
        if step.results:
            _inline(step)


def _inline(step: Step) -> None:
    values = [value for value in step.inputs if value is not None]
    rank = max((value.rank or 0 for value in values if not _is_scalar(value)), default=-1)
    found = {v: x for v in values if (v.rank or 0) <= rank and (x := _number(v)) is not None}
    if not found:
        return

    def change(leaf: Expression) -> Expression | None:
        return None if leaf.value not in found else number(found[leaf.value], leaf.dtype)

    step.results = replace_leaves(step.results, change)
    step.inputs = [*operands(step.results)]


def _is_scalar(value: Value) -> bool:
    return value.tensor is not None and value.tensor.size == 1


def _number(value: Value) -> float | None:
    if value.tensor is None or value.tensor.size != 1:
        return None
    element = value.tensor.numpy().reshape(-1)[0]
    if isinstance(element.item(), int) and abs(element.item()) > _EXACT:
        return None
    return float(element)
