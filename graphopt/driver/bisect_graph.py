"""From two whole models that differ to the smallest piece in which they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphopt.errors import GraphoptError

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphopt.equality.arrays import Array
    from graphopt.equality.verdict import EqualityReport
    from graphopt.pipeline.protocols import RunnerFactory

_VALUES_AT_ONCE = 64
"""Intermediate values compared per session: more would hold too many activations at a time."""

_MOST_SUSPECTS = 8


@dataclass(frozen=True)
class Divergence:
    """A piece of two models in which they differ, with inputs that show it.

    Attributes:
        value: the output of the piece: the first value that differs; empty for the whole models.
        before: the piece of the original.
        after: the same piece of the other model; the two have the same inputs and outputs.
        feeds: inputs of both.
        report: the verdict on the piece.
    """

    value: str
    before: ir.Model
    after: ir.Model
    feeds: Mapping[str, Array]
    report: EqualityReport


def bisect_graph(
    before: ir.Model,
    after: ir.Model,
    make_runner: RunnerFactory,
    feeds: Mapping[str, Array],
    *,
    mode: str = "default",
) -> Divergence:
    """Find the smallest piece in which two models differ.

    Values of one name that are read by the same operators are taken for the same value. The first
    of them, in the original's order, that differs by more than its noise floor is the end of the
    piece; the last ones before it that agree are its inputs.

    Args:
        before: the original; not changed.
        after: what a wrong pass made of it; not changed.
        make_runner: makes runners without optimisations.
        feeds: inputs on which the two differ.
        mode: ``default`` or ``relaxed``.

    Returns:
        The smallest piece found; the whole models when no smaller one shows the difference.

    Raises:
        BackendError: the original cannot be run.
    """
    from graphopt.equality.lift import inlined

    search = _Search(inlined(before), inlined(after), make_runner, feeds, mode)
    for suspect in search.suspects():
        found = search.piece(suspect)
        if found is not None:
            return found
    return search.whole()


class _Search:
    """Two models without functions, and what is known about the values they share."""

    def __init__(
        self,
        before: ir.Model,
        after: ir.Model,
        make_runner: RunnerFactory,
        feeds: Mapping[str, Array],
        mode: str,
    ) -> None:
        self._before, self._after = before, after
        self._make_runner = make_runner
        self._feeds = feeds
        self._mode = mode
        self._agree: set[str] = {value.name or "" for value in before.graph.inputs}

    def suspects(self) -> Iterator[str]:
        """Shared values that differ, the first of the original's order first."""
        shared = _shared_values(self._before.graph, self._after.graph)
        found = 0
        for start in range(0, len(shared), _VALUES_AT_ONCE):
            names = shared[start : start + _VALUES_AT_ONCE]
            verdicts = self._compare(names)
            for name in names:
                if verdicts.get(name, False):
                    self._agree.add(name)
                elif name in verdicts:
                    yield name
                    found += 1
                    if found >= _MOST_SUSPECTS:
                        return

    def piece(self, name: str) -> Divergence | None:
        """The nodes between the agreeing values and ``name``, when the two still differ in them."""
        cut = sorted(self._cut(self._before.graph, name) | self._cut(self._after.graph, name))
        try:
            known = self._values([*cut, name])
            one = _extract(self._before, cut, name, known)
            other = _extract(self._after, cut, name, known)
            feeds = {name: known[name] for name in cut}
            report = self._judge(one, other, feeds)
        except (GraphoptError, ValueError):
            # A piece that cannot stand alone (an untyped border, a sequence) proves nothing.
            return None
        return None if report.equal else Divergence(name, one, other, feeds, report)

    def whole(self) -> Divergence:
        """The two models as they are."""
        report = self._judge(self._before, self._after, self._feeds)
        return Divergence("", self._before, self._after, self._feeds, report)

    def _compare(self, names: Sequence[str]) -> dict[str, bool]:
        """For each value whether the two models agree on it; values that no run can tell are left out."""
        try:
            report = self._judge(_exposing(self._before, names), _exposing(self._after, names), self._feeds)
        except GraphoptError:
            if len(names) == 1:
                return {}
            middle = len(names) // 2
            return self._compare(names[:middle]) | self._compare(names[middle:])
        return {output.name: output.verdict != "semantic" for output in report.outputs}

    def _judge(self, one: ir.Model, other: ir.Model, feeds: Mapping[str, Array]) -> EqualityReport:
        from graphopt.equality.oracle import Oracle

        oracle = Oracle.prepare(one, self._make_runner, inputs=feeds)
        return oracle.judge(self._make_runner(other), self._mode)

    def _cut(self, graph: ir.Graph, name: str) -> set[str]:
        """The agreeing values and inputs nearest above ``name``."""
        from graphopt.placement.dependencies import read_values

        start = _by_name(graph)[name].producer()
        todo, seen, cut = [start], {start}, set[str]()
        while todo:
            node = todo.pop()
            for value in read_values(node) if node is not None else ():
                producer = value.producer()
                if value.name in self._agree:
                    cut.add(value.name or "")
                elif producer is not None and producer not in seen:
                    seen.add(producer)
                    todo.append(producer)
        return cut

    def _values(self, names: Sequence[str]) -> dict[str, Array]:
        """What the original computes for some values."""
        inner = [name for name in names if name not in self._feeds]
        computed: dict[str, Array] = {}
        if inner:
            exposed = _exposing(self._before, inner)
            computed = self._make_runner(exposed).run(self._feeds)
        return {name: self._feeds[name] if name in self._feeds else computed[name] for name in names}


def _shared_values(one: ir.Graph, other: ir.Graph) -> list[str]:
    """Computed values of the same name and readers in both graphs, in the first one's order."""
    theirs = {value.name: value for value in _computed(other)}
    return [
        value.name or ""
        for value in _computed(one)
        if value.name and value.name in theirs and _readers(value) == _readers(theirs[value.name])
    ]


def _computed(graph: ir.Graph) -> list[ir.Value]:
    """Node outputs that depend on an input: a pass may rewrite constants as long as what uses them fits."""
    from graphopt.placement.dependencies import read_values

    alive = set(graph.inputs)
    found: list[ir.Value] = []
    for node in graph:
        if any(value in alive for value in read_values(node)):
            alive.update(node.outputs)
            found += node.outputs
    return found


def _readers(value: ir.Value) -> list[tuple[str, int]]:
    """Who reads a value: a pass may keep a name and give it a new meaning, with other readers."""
    readers = sorted((usage.node.op_type, usage.idx) for usage in value.uses())
    return [*readers, ("graph output", 0)] if value.is_graph_output() else readers


def _by_name(graph: ir.Graph) -> dict[str, ir.Value]:
    found = {value.name or "": value for value in (*graph.inputs, *graph.initializers.values())}
    return found | {value.name or "": value for node in graph for value in node.outputs}


def _exposing(model: ir.Model, names: Sequence[str]) -> ir.Model:
    """A clone whose outputs are the named values."""
    clone = model.clone()
    values = _by_name(clone.graph)
    clone.graph.outputs.clear()
    clone.graph.outputs.extend(values[name] for name in names)
    return clone


def _extract(model: ir.Model, inputs: Sequence[str], output: str, known: Mapping[str, Array]) -> ir.Model:
    """The nodes between ``inputs`` and ``output`` as a model; every input is declared, used or not."""
    import onnx_ir as ir

    needed = [name for name in inputs if name in _by_name(model.graph)]
    graph = ir.convenience.extract(model.graph, needed, [output])
    present = {value.name: value for value in graph.inputs}
    graph.inputs.clear()
    for name in inputs:
        graph.inputs.append(present.get(name) or ir.Value(name=name))
    for value in (*graph.inputs, *graph.outputs):
        array = known[value.name or ""]
        value.type, value.shape = ir.TensorType(ir.tensor(array).dtype), ir.Shape(array.shape)
    return ir.Model(graph, ir_version=model.ir_version, producer_name="graphopt")
