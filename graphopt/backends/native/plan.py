"""A native plan while it is made: values, steps and programs in memory, before they become a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import onnx_ir as ir

from graphopt.backends.native.expression import Expression, operands

Dim = int | str | None
"""A size, the name of a symbolic one, or None for one nothing is known about (equal to no other)."""
Dims = tuple[Dim, ...]


class Floats(tuple[float, ...]):
    """A list of numbers as an attribute; a plain tuple is a list of integers."""

    __slots__ = ()


Attribute = int | float | str | tuple[int, ...] | Floats


@dataclass(eq=False, slots=True)
class Value:
    """A tensor of the plan, in the layout it has in memory.

    Attributes:
        name: in the ONNX graph; need not be unique.
        dtype: None while it is not known, which no finished plan has.
        dims: None where not even the rank is known.
        tensor: the contents of a constant.
    """

    name: str
    dtype: ir.DataType | None
    dims: Dims | None
    tensor: ir.TensorProtocol | None = None

    @property
    def rank(self) -> int | None:
        """Number of dims, where known."""
        return None if self.dims is None else len(self.dims)


@dataclass(eq=False)
class Step:
    """One operator of the plan.

    Attributes:
        name: of the ONNX node it comes from.
        op: the plan operator.
        inputs: None for one left out.
        outputs: None for one nobody wants.
        attributes: as the operator's kernel takes them.
        programs: the branches of an ``if``.
        results: of an ``elementwise`` step, one expression per output; its operands are the inputs.
        epilogue: what an anchor does to its result, an expression over ``RESULT`` and further operands.
            These stand behind the anchor's own inputs once the plan is written.
        also: names of further nodes it computes.
    """

    name: str
    op: str
    inputs: list[Value | None]
    outputs: list[Value | None]
    attributes: dict[str, Attribute] = field(default_factory=dict)
    programs: list[Program] = field(default_factory=list)
    results: list[Expression] = field(default_factory=list)
    epilogue: Expression | None = None
    also: list[str] = field(default_factory=list)

    def take(self, other: Step) -> None:
        """Remember that this step computes what ``other`` did."""
        self.also += [name for name in (other.name, *other.also) if name not in (self.name, *self.also)]

    def reads(self) -> list[Value]:
        """Every value it takes, once each: inputs, operands of its epilogue, what its branches capture."""
        found = {value: None for value in self.inputs if value is not None}
        if self.epilogue is not None:
            found |= dict.fromkeys(operands([self.epilogue]))
        for program in self.programs:
            found |= dict.fromkeys(program.captures())
        return list(found)

    def writes(self) -> list[Value]:
        """The outputs somebody may want."""
        return [value for value in self.outputs if value is not None]


@dataclass(eq=False)
class Program:
    """Steps in running order: the plan itself, or a branch of an ``if``.

    Attributes:
        inputs: none for a branch, which reads the values around it.
        outputs: in order.
        steps: each after those it reads from.
    """

    inputs: list[Value]
    outputs: list[Value]
    steps: list[Step]

    def captures(self) -> list[Value]:
        """What it reads and does not compute, constants included; each once."""
        inner = {value for step in self.steps for value in step.writes()} | set(self.inputs)
        reads = dict.fromkeys(value for step in self.steps for value in step.reads())
        reads |= dict.fromkeys(self.outputs)
        return [value for value in reads if value not in inner]

    def all_steps(self) -> Iterator[Step]:
        """Its steps and those of the branches inside."""
        for step in self.steps:
            yield step
            for program in step.programs:
                yield from program.all_steps()

    def fused(self) -> dict[str, list[str]]:
        """For each step of more than one node its name, and the names of the others."""
        return {step.name: step.also for step in self.all_steps() if step.also}

    def use_counts(self) -> dict[Value, int]:
        """How many steps read each value; a result of the program counts as one more."""
        counts: dict[Value, int] = {}
        for step in self.steps:
            for value in step.reads():
                counts[value] = counts.get(value, 0) + 1
        for value in self.outputs:
            counts[value] = counts.get(value, 0) + 1
        return counts
