"""Puts a right side where the left side was, and takes away what nobody needs any more."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from graphopt.ir.walk import subgraphs
from graphopt.rewrite.build import Built
from graphopt.rewrite.match import Match
from graphopt.rewrite.scope import Scope

RULE_KEY = "graphopt.rule"
SOURCES_KEY = "graphopt.sources"
MAX_SOURCES = 16
"""Names of source nodes kept per node; a chain folded into one node would else name thousands."""


def would_rebuild_identity(match: Match, built: Built) -> str | None:
    """Why passing a value through would only put the same Identity back, or None.

    A graph output needs a producer in its own graph that nothing else has already named: where the
    value is an input, an initializer or another output, an Identity has to stay.
    """
    if len(match.nodes) != 1 or match.root.op_type != "Identity" or match.root.domain != "" or built.nodes:
        return None
    old, new = match.root.outputs[0], match.root.inputs[0]
    if new is None or not old.is_graph_output() or can_take_name(new, match.root.graph):
        return None
    return f"it gives {new.name!r} the name of the graph output {old.name!r}"


def can_take_name(value: ir.Value, graph: ir.Graph | None) -> bool:
    """Whether ``value`` can become an output of ``graph`` under another name."""
    producer = value.producer()
    return producer is not None and producer.graph is graph and not value.is_graph_output()


class Splice:
    """One rewrite of the graph.

    Args:
        scope: order and names; kept up to date.
        match: what is replaced.
        built: what replaces it.
        rule_name: written into the new nodes together with the names of the old ones.
    """

    def __init__(self, scope: Scope, match: Match, built: Built, rule_name: str) -> None:
        self.scope = scope
        self.match = match
        self.built = built
        self.rule_name = rule_name
        self.graph = match.root.graph
        self.touched: dict[ir.Node, None] = {}

    def run(self) -> list[ir.Node]:
        """Rewrite; returns the nodes around it that are worth another look."""
        assert self.graph is not None
        new = self.built.nodes
        moved = self._in_between()
        results = self._results()
        for old, value in results:
            self._redirect(old, value)
        last = self.scope.last(self.match.nodes)
        home = self.scope.initializer_graph(self.match.root)
        for constant in self.built.constants:
            assert home is not None, "inside a function constants are nodes"
            home.register_initializer(constant)
        self._describe(new)
        self.graph.insert_before(last, new)
        self.scope.replace(last, [*new, *moved])
        self._move(moved, last)
        self.touched.update(dict.fromkeys(new))
        self._remove_unused()
        if new and self.match.root.graph is None and self.match.root.name:
            new[-1].name = self.match.root.name
        return [node for node in self.touched if node.graph is not None]

    def _results(self) -> list[tuple[ir.Value, ir.Value]]:
        pairs: list[tuple[ir.Value, ir.Value]] = []
        for name, new in self.built.results.items():
            old = self.match.values[name]
            if isinstance(old, ir.Value) and isinstance(new, ir.Value):
                pairs.append((old, new))
            elif isinstance(old, tuple) and isinstance(new, tuple):
                pairs.extend(zip(old, new, strict=True))
        return pairs

    def _redirect(self, old: ir.Value, new: ir.Value) -> None:
        """Let everything that read ``old`` read ``new``."""
        self.touched.update(dict.fromkeys(old.consumers()))
        fresh = new.producer() in self.built.nodes and not new.name
        if old.is_graph_output() and not fresh and not can_take_name(new, self.graph):
            node = ir.Node("", "Identity", [new])
            self.built.nodes.append(node)
            new, fresh = node.outputs[0], True
        if fresh or old.is_graph_output():
            _inherit(old, new, keep_known_shape=not old.is_graph_output())
            name, old.name = old.name, self.scope.unique(f"{old.name}.replaced")
            new.name = name
        else:
            _complete(old, new)
        old.replace_all_uses_with(new, replace_graph_outputs=True)

    def _describe(self, new: Sequence[ir.Node]) -> None:
        """Name the new nodes and say where they come from."""
        sources: dict[str, None] = {}
        for node in self.match.nodes:
            known = node.metadata_props.get(SOURCES_KEY)
            sources.update(dict.fromkeys(known.split("\n") if known else [node.name or node.op_type]))
        listed = list(sources)[:MAX_SOURCES]
        for node in new:
            node.name = self.scope.unique(f"{self.match.root.name or 'node'}.{node.op_type}")
            node.metadata_props[RULE_KEY] = self.rule_name
            node.metadata_props[SOURCES_KEY] = "\n".join(listed)

    def _in_between(self) -> list[ir.Node]:
        """Readers of an early result that stand before the new nodes will; they move behind them."""
        if len(self.built.results) == 1:
            return []
        found, _ = self.scope.between(self.match.nodes)
        return sorted(found, key=self.scope.position)

    def _move(self, moved: list[ir.Node], last: ir.Node) -> None:
        if moved:
            assert self.graph is not None
            self.graph.remove(moved)
            self.graph.insert_before(last, moved)

    def _remove_unused(self) -> None:
        """Remove the matched nodes and, transitively, whatever only they needed."""
        stack = list(self.match.nodes)
        while stack:
            node = stack.pop()
            if node.graph is None or any(v.uses() or v.is_graph_output() for v in node.outputs):
                continue
            inputs = list(dict.fromkeys(value for value in self._give_up(node) if value is not None))
            node.graph.remove(node, safe=True)
            self.scope.forget(node)
            for value in inputs:
                producer = value.producer()
                if producer is not None:
                    stack.append(producer)
                    self.touched[producer] = None
                elif value.is_initializer() and not value.is_graph_input():
                    _drop_initializer(value)
                self.touched.update(dict.fromkeys(_few_consumers(value)))

    def _give_up(self, node: ir.Node) -> list[ir.Value | None]:
        """What a dead node read; what its subgraphs capture is released."""
        read = list(node.inputs)
        for graph in subgraphs(node):
            if not self.scope.holds(node, graph):
                continue
            for inner in graph.all_nodes():
                read.extend(inner.inputs)
                for index in range(len(inner.inputs)):
                    inner.replace_input_with(index, None)
        return read


def _few_consumers(value: ir.Value) -> Sequence[ir.Node]:
    """The readers of a value that lost one: they matter while a pattern may want it to have few."""
    consumers = value.consumers()
    return consumers if len(consumers) <= 4 else ()


def _drop_initializer(value: ir.Value) -> None:
    if not value.uses() and not value.is_graph_output() and value.graph is not None and value.name:
        value.graph.initializers.pop(value.name)


def _inherit(old: ir.Value, new: ir.Value, keep_known_shape: bool) -> None:
    """``new`` is what ``old`` was: its type and declared shape, its documentation."""
    new.type = old.type if old.type is not None else new.type
    if old.shape is not None and not (keep_known_shape and new.shape is not None and new.shape.is_static()):
        new.shape = old.shape.copy()
    new.doc_string = new.doc_string or old.doc_string
    new.metadata_props.update(old.metadata_props)


def _complete(old: ir.Value, new: ir.Value) -> None:
    """Let an existing value learn what was known about the one it stands for."""
    if new.type is None:
        new.type = old.type
    if new.shape is None and old.shape is not None and not new.is_graph_input():
        new.shape = old.shape.copy()
