"""NameValues: every value and node has a name of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from graphopt.ir.freeze import all_values
from graphopt.ir.walk import graphs
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass


@dataclass(frozen=True)
class NameValues(Pass):
    """Give every value and node a name that occurs nowhere else in the model.

    Before: unnamed Constants, nodes that share a name, branches of If that reuse each other's names.
    After:  names unique over the main graph, all subgraphs and, apart from them, within each function.
    Needs:  nothing.
    Keeps:  the names of the model's inputs and outputs, and every name that is already unique.
    Skips:  outputs a node leaves out (their empty name says so).
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Name what has no name or a taken one, in graph order."""
        renamed = _name_values(_main_values(model))
        renamed += _name_nodes(list(model.graph.all_nodes()))
        for function in model.functions.values():
            renamed += _name_values(list(_function_values(function)))
            renamed += _name_nodes(list(function.all_nodes()))
        if renamed:
            ctx.applied(self.name(), None, f"{renamed} values and nodes had no name of their own")
        return bool(renamed)


def _main_values(model: ir.Model) -> list[ir.Value]:
    """The main graph's and its subgraphs' values; inputs and outputs first, for they keep their names."""
    own = set(graphs(model)) - {g for f in model.functions.values() for g in (f, *f.subgraphs())}
    values = dict.fromkeys([*model.graph.inputs, *model.graph.outputs])
    values.update(dict.fromkeys(v for v in all_values(model) if v.graph in own))
    return list(values)


def _function_values(function: ir.Function) -> Iterator[ir.Value]:
    values = dict.fromkeys([*function.inputs, *function.outputs])
    bodies: list[ir.Graph | ir.Function] = [function, *function.subgraphs()]
    for graph in bodies:
        values.update(dict.fromkeys(graph.inputs))
        if isinstance(graph, ir.Graph):
            values.update(dict.fromkeys(graph.initializers.values()))
        for node in graph:
            values.update(dict.fromkeys(node.outputs))
    yield from values


def _name_values(values: list[ir.Value]) -> int:
    taken: set[str] = set()
    renamed: list[ir.Value] = []
    for value in values:
        if value.name and value.name not in taken:
            taken.add(value.name)
        elif value.name or value.uses() or value.is_graph_output():
            renamed.append(value)
    spare = _Spare(taken)
    for value in renamed:
        producer = value.producer()
        base = value.name or (f"{producer.op_type}_output" if producer is not None else "value")
        value.name = spare.like(base)
    return len(renamed)


def _name_nodes(nodes: list[ir.Node]) -> int:
    taken: set[str] = set()
    renamed: list[ir.Node] = []
    for node in nodes:
        if node.name and node.name not in taken:
            taken.add(node.name)
        else:
            renamed.append(node)
    spare = _Spare(taken)
    for node in renamed:
        node.name = spare.like(node.name or node.op_type)
    return len(renamed)


class _Spare:
    """Hands out names nobody has: ``base_1``, ``base_2``…"""

    def __init__(self, taken: set[str]) -> None:
        self._taken = taken
        self._counts: dict[str, int] = {}

    def like(self, base: str) -> str:
        while True:
            self._counts[base] = self._counts.get(base, 0) + 1
            name = f"{base}_{self._counts[base]}"
            if name not in self._taken:
                self._taken.add(name)
                return name
