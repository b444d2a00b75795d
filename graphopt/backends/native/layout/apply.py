"""Bringing a program into the layouts that were chosen."""

from __future__ import annotations

from graphopt.backends.native.expression import operand, substitute
from graphopt.backends.native.layout.cut import Choice, choose
from graphopt.backends.native.layout.order import axes_first, axes_last, reshaped, to_last, transposed
from graphopt.backends.native.plan import Program, Step, Value


def assign_layouts(program: Program) -> None:
    """Turn steps channels-last where that is cheaper, and convert values at the borders, in place."""
    for step in program.steps:
        for branch in step.programs:
            assign_layouts(branch)
    choice = choose(program)
    if choice.steps or choice.values:
        _Layouts(program, choice).apply()


class _Layouts:
    """One program while its steps are rewritten in order."""

    def __init__(self, program: Program, choice: Choice) -> None:
        self._program = program
        self._choice = choice
        self._steps: list[Step] = []
        self._other: dict[tuple[Value, bool], Value] = {}

    def apply(self) -> None:
        for step in self._program.steps:
            self._rewrite(step)
            for value in step.writes():
                if value in self._choice.values and value.dims is not None:
                    value.dims = to_last(value.dims)
            self._steps.append(step)
        outputs = [self._get(value, last=False) for value in self._program.outputs]
        for old, new in zip(self._program.outputs, outputs, strict=True):
            if old is not new:
                new.name, old.name = old.name, f"{old.name}_last"
        self._program.outputs = outputs
        self._program.steps = self._steps

    def _rewrite(self, step: Step) -> None:
        perm = step.attributes.get("perm")
        if step.op == "transpose" and isinstance(perm, tuple):
            self._transpose(step, tuple(int(axis) for axis in perm))
            return
        rule = self._choice.rules.get(step)
        last = rule is not None and step in self._choice.steps
        if last and rule is not None:
            rule.turn(step)
        places = set(rule.inputs) if last and rule is not None else set()
        # What `turn` put in place of an input is a constant and stays.
        found = [
            None if value is None else self._get(value, last=True) if place in places else self._plain(value)
            for place, value in enumerate(step.inputs)
        ]
        if step.op == "elementwise" and last:
            rank = step.writes()[0].rank or 0
            found = [
                None if value is None else self._grown(value, rank, i in places)
                for i, value in enumerate(found)
            ]
        self._replace(step, found)
        for branch in step.programs:
            captured = {value: self._plain(value) for value in branch.captures()}
            _replace_captured(branch, {old: new for old, new in captured.items() if old is not new})

    def _plain(self, value: Value) -> Value:
        return self._get(value, last=False)

    def _transpose(self, step: Step, perm: tuple[int, ...]) -> None:
        """A transpose takes its sides as they are and permutes accordingly."""
        source, result = step.inputs[0], step.outputs[0]
        assert source is not None
        assert result is not None
        rank = len(perm)
        if source in self._choice.values:
            perm = tuple(axes_first(rank)[axis] for axis in perm)
        if result in self._choice.values:
            perm = tuple(perm[axis] for axis in axes_last(rank))
        step.attributes["perm"] = perm

    def _replace(self, step: Step, inputs: list[Value | None]) -> None:
        if step.results:
            changed = {
                old: operand(new)
                for old, new in zip(step.inputs, inputs, strict=True)
                if old is not None and new is not None and old is not new
            }
            step.results = substitute(step.results, changed)
        step.inputs = inputs

    def _get(self, value: Value, *, last: bool) -> Value:
        """The value in one of the layouts; converted when it is first asked for."""
        if value.rank is None or value.rank < 3 or (value in self._choice.values) == last:
            return value
        if (value, last) not in self._other:
            self._other[value, last] = self._converted(value, last)
        return self._other[value, last]

    def _converted(self, value: Value, last: bool) -> Value:
        rank = value.rank or 0
        perm = axes_last(rank) if last else axes_first(rank)
        if value.tensor is not None:
            return transposed(value, perm)
        assert value.dims is not None
        result = Value(
            f"{value.name}_{'last' if last else 'plain'}", value.dtype, tuple(value.dims[i] for i in perm)
        )
        self._steps.append(Step(value.name, "transpose", [value], [result], {"perm": perm}))
        return result

    def _grown(self, value: Value, rank: int, is_last: bool) -> Value:
        """An operand of lower rank as it broadcasts to channels-last results of ``rank``."""
        dims = value.dims
        if is_last or dims is None or all(dim == 1 for dim in dims):
            return value
        if (value, True) in self._other and len(self._other[value, True].dims or ()) == rank:
            return self._other[value, True]
        full = (*(1,) * (rank - len(dims)), *dims)
        perm = axes_last(rank)
        if value.tensor is not None:
            grown = transposed(reshaped(value, [int(dim) for dim in full if isinstance(dim, int)]), perm)
        else:
            plain = Value(f"{value.name}_grown", value.dtype, full)
            axes = tuple(range(rank - len(dims)))
            self._steps.append(Step(value.name, "unsqueeze", [value], [plain], {"axes": axes}))
            grown = Value(f"{value.name}_last", value.dtype, to_last(full))
            self._steps.append(Step(value.name, "transpose", [plain], [grown], {"perm": perm}))
        self._other[value, True] = grown
        return grown


def _replace_captured(program: Program, values: dict[Value, Value]) -> None:
    """Let a branch read other values of the program around it."""
    if not values:
        return
    for step in program.steps:
        step.inputs = [None if value is None else values.get(value, value) for value in step.inputs]
        step.results = substitute(step.results, {old: operand(new) for old, new in values.items()})
        for branch in step.programs:
            _replace_captured(branch, values)
    program.outputs = [values.get(value, value) for value in program.outputs]
