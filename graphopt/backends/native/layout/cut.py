"""Choosing a layout for every value of a program: a minimum cut.

On one side of the cut are the steps and values that are channels-last. An edge that crosses it is a
conversion and weighs the bytes that it moves; a value converted for several readers is converted once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import networkx as nx

from graphopt.backends.native.layout.order import axes_first, axes_last, bytes_of, turns_for_free
from graphopt.backends.native.layout.rules import Rule, rule_of
from graphopt.backends.native.layout.views import view_rule
from graphopt.backends.native.plan import Program, Step, Value

_CONVERSION = 2000
"""What a conversion costs besides its bytes: about a microsecond, in bytes."""
_FREE = 1
"""What a conversion costs that only looks at the same bytes in another way."""
_LAST, _PLAIN = "channels-last", "plain"


@dataclass
class Choice:
    """What the cut says.

    Attributes:
        rules: of the steps that can run channels-last.
        steps: those that do.
        values: those that are channels-last.
    """

    rules: dict[Step, Rule]
    steps: set[Step] = field(default_factory=set)
    values: set[Value] = field(default_factory=set)


def choose(program: Program) -> Choice:
    """The cheapest layouts; branches inside see plain values only and are not looked into."""
    rules = {step: rule for step in program.steps if (rule := rule_of(step) or view_rule(step)) is not None}
    choice = Choice(rules)
    if not any(rule.always for rule in rules.values()):
        return choice
    last = _Cut(program, rules).run()
    # A step and the values it gives are one vertex: its outputs of full rank.
    choice.steps = {step for step in rules if step in last}
    choice.values = {value for value in last if isinstance(value, Value)}
    for step in choice.steps:
        choice.values.update(rules[step].outputs)
    return choice


class _Cut:
    """The flow network of one program."""

    def __init__(self, program: Program, rules: dict[Step, Rule]) -> None:
        self._program = program
        self._rules = rules
        self._graph: nx.DiGraph[object] = nx.DiGraph()
        self._graph.add_nodes_from([_LAST, _PLAIN])
        self._makers: dict[Value, Step] = {
            value: step for step, rule in rules.items() for value in rule.outputs
        }
        self._turned = _behind_spatial(program, rules)

    def run(self) -> set[object]:
        """The vertices on the channels-last side."""
        readers: dict[Value, list[object]] = {}
        for step in self._program.steps:
            self._add_step(step, readers)
        for value in self._program.outputs:
            readers.setdefault(value, []).append(_PLAIN)
        for value, found in readers.items():
            if value.tensor is None and (value.rank or 0) >= 3:
                self._add_value(value, list(dict.fromkeys(found)))
        return set(nx.minimum_cut(self._graph, _LAST, _PLAIN)[1][0])

    def _add_step(self, step: Step, readers: dict[Value, list[object]]) -> None:
        if (perm := _turning(step)) and self._add_transpose(step, perm, readers):
            return
        rule = self._rules.get(step)
        if rule is not None and rule.always:
            self._graph.add_edge(_LAST, step)  # no capacity: never cut
        flexible = set() if rule is None else set(rule.inputs)
        for place, value in enumerate(step.inputs):
            if value is not None:
                readers.setdefault(value, []).append(step if place in flexible else _PLAIN)
        for program in step.programs:
            for value in program.captures():
                readers.setdefault(value, []).append(_PLAIN)

    def _add_transpose(self, step: Step, perm: tuple[int, ...], readers: dict[Value, list[object]]) -> bool:
        """A transpose between the two layouts costs nothing where its sides have them already."""
        source, result = step.inputs[0], step.outputs[0]
        assert source is not None
        assert result is not None
        rank = len(perm)
        to_last = perm == axes_last(rank)
        if rank == 3:
            to_last = step in self._turned
        cost = _cost(source)
        if source.tensor is None:
            if to_last:  # free from channels-last to plain
                self._edge(_LAST, ("reader", step), cost)
                readers.setdefault(source, []).append(("reader", step))
                self._edge(("result", step), _PLAIN, cost)
            else:
                self._edge(("reader", step), _PLAIN, cost)
                readers.setdefault(source, []).append(("reader", step))
                self._edge(_LAST, ("result", step), cost)
            self._graph.add_edge(("result", step), result)
            self._graph.add_edge(result, ("result", step))
            self._makers[result] = step
        return source.tensor is None

    def _edge(self, a: object, b: object, capacity: int) -> None:
        known = self._graph.get_edge_data(a, b, {"capacity": 0}).get("capacity")
        if known is not None:  # an edge without capacity is never cut
            self._graph.add_edge(a, b, capacity=known + capacity)

    def _add_value(self, value: Value, readers: list[object]) -> None:
        maker: object = value
        step = self._makers.get(value)
        if step is None:
            self._graph.add_edge(value, _PLAIN)
        elif step in self._rules:
            maker = step
        readers = [reader for reader in readers if reader is not maker]
        cost = _cost(value)
        if len(readers) == 1:
            self._edge(maker, readers[0], cost)
            self._edge(readers[0], maker, cost)
            return
        # Converted once for all readers on the other side: they share a vertex in between.
        wants_last, wants_plain = ("last", value), ("plain", value)
        self._edge(wants_last, maker, cost)
        self._edge(maker, wants_plain, cost)
        for reader in readers:
            self._graph.add_edge(reader, wants_last)
            self._graph.add_edge(wants_plain, reader)


def _cost(value: Value) -> int:
    dims = value.dims
    if dims is not None and len(dims) >= 3 and turns_for_free(dims):
        return _FREE
    return 2 * bytes_of(value) + _CONVERSION


def _turning(step: Step) -> tuple[int, ...] | None:
    """The permutation of a transpose between the two layouts."""
    perm = step.attributes.get("perm")
    if step.op != "transpose" or not isinstance(perm, tuple) or len(perm) < 3:
        return None
    perm = tuple(int(axis) for axis in perm)
    return perm if perm in (axes_last(len(perm)), axes_first(len(perm))) else None


def _behind_spatial(program: Program, rules: dict[Step, Rule]) -> set[Step]:
    """The steps that read what a convolution gave, through steps of either layout."""
    found: set[Value] = set()
    steps: set[Step] = set()
    for step in program.steps:
        rule = rules.get(step)
        if any(value in found for value in step.inputs if value is not None):
            steps.add(step)
        if rule is not None and (rule.always or any(value in found for value in _chosen(step, rule))):
            found.update(rule.outputs)
    return steps


def _chosen(step: Step, rule: Rule) -> Iterable[Value]:
    return (value for place in rule.inputs if (value := step.inputs[place]) is not None)
