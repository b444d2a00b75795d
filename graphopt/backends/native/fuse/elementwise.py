"""Elementwise steps that only feed one another become one step."""

from __future__ import annotations

from graphopt.backends.native.expression import Expression, instruction_count, operands, substitute, walk
from graphopt.backends.native.plan import Dims, Program, Step, Value

MOST_INPUTS, MOST_INSTRUCTIONS, MOST_CONSTANTS = 12, 64, 24
"""What the kernel's programs hold."""


def fuse_elementwise(program: Program) -> None:
    """Merge every elementwise step into its only reader, if that is one of the same shape, in place."""
    for step in program.steps:
        for branch in step.programs:
            fuse_elementwise(branch)
    makers = {value: step for step in program.steps for value in step.writes()}
    uses = program.use_counts()
    gone: set[Step] = set()
    for step in reversed(program.steps):
        if step.op == "elementwise" and step not in gone:
            while _merge_one(step, makers, uses, gone):
                pass
    program.steps = [step for step in program.steps if step not in gone]


def _merge_one(step: Step, makers: dict[Value, Step], uses: dict[Value, int], gone: set[Step]) -> bool:
    """Take in one of the steps that make the operands."""
    for value in step.inputs:
        maker = None if value is None else makers.get(value)
        if value is None or maker is None or maker.op != "elementwise" or uses[value] != 1:
            continue
        if len(maker.results) != 1 or not keeps_shape(step, value):
            continue
        merged = substitute(step.results, {value: maker.results[0]})
        if not fits(merged, MOST_INPUTS, MOST_INSTRUCTIONS, MOST_CONSTANTS):
            continue
        for read in set(step.reads()) & set(maker.reads()):
            uses[read] -= 1  # both read it before
        step.results, step.inputs = merged, [*operands(merged)]
        step.take(maker)
        gone.add(maker)
        return True
    return False


def keeps_shape(step: Step, value: Value) -> bool:
    """Whether an elementwise step certainly gives a result of the shape of one of its operands.

    So it does, whatever the dims are, where every other operand is one element.
    """
    if same_dims(value.dims, step.writes()[0].dims):
        return True
    others = (other for other in step.inputs if other is not None and other is not value)
    return all(
        other.dims is not None
        and all(dim == 1 for dim in other.dims)
        and len(other.dims) <= (value.rank or 0)
        for other in others
    )


def same_dims(a: Dims | None, b: Dims | None) -> bool:
    """Whether two shapes are certainly equal."""
    return a is not None and b is not None and None not in a and a == b


def fits(roots: list[Expression], inputs: int, instructions: int, constants: int) -> bool:
    """Whether expressions stay below a kernel's limits."""
    numbers = {(part.number, part.dtype) for part in walk(roots) if part.number is not None}
    return (
        len(operands(roots)) <= inputs
        and instruction_count(roots) <= instructions
        and len(numbers) <= constants
    )
