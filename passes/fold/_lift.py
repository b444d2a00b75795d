"""Puts the body of a control flow operator in its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import onnx_ir as ir

from graphopt.ir.freeze import all_values


class Lift:
    """Moves the contents of subgraphs out into the graphs around them.

    Args:
        model: changed in place. Names that occur in several of its graphs are made unique as they meet.
    """

    def __init__(self, model: ir.Model) -> None:
        self._model = model
        self._names: Counter[str] | None = None

    def replace(self, node: ir.Node, body: ir.Graph, results: Sequence[ir.Value]) -> list[ir.Node]:
        """Put ``body`` where ``node`` is and let ``results`` stand for its outputs; ``node`` goes.

        Args:
            node: in a graph, not in a function.
            body: a graph that nothing else needs, its inputs replaced already.
            results: values of ``body`` or of the graphs around it, one per output.

        Returns:
            The nodes that are new where ``node`` was.
        """
        home = node.graph
        assert isinstance(home, ir.Graph)
        body.outputs.clear()
        moved = self.move(body, node)
        for old, new in zip(node.outputs, results, strict=True):
            moved += self._stand_in(node, old, new)
        home.remove(node, safe=True)
        return moved

    def move(self, body: ir.Graph, before: ir.Node) -> list[ir.Node]:
        """Move the nodes and initializers of ``body`` in front of ``before``."""
        home = before.graph
        assert isinstance(home, ir.Graph)
        for value in list(body.initializers.values()):
            assert value.name is not None
            del body.initializers[value.name]
            self._claim(value)
            home.register_initializer(value)
        nodes = list(body)
        body.remove(nodes)
        for moved in nodes:
            for value in moved.outputs:
                self._claim(value)
        home.insert_before(before, nodes)
        return nodes

    def _stand_in(self, node: ir.Node, old: ir.Value, new: ir.Value) -> list[ir.Node]:
        """Let the readers of ``old`` read ``new``; a graph output keeps its name."""
        added: list[ir.Node] = []
        if old.is_graph_output():
            producer = new.producer()
            if producer is None or producer.graph is not node.graph or new.is_graph_output():
                copy = ir.Node("", "Identity", [new], name=f"{node.name}.{old.name}")
                assert node.graph is not None
                node.graph.insert_before(node, copy)
                added, new = [copy], copy.outputs[0]
            new.type = new.type or old.type
            if old.shape is not None:
                new.shape = old.shape.copy()
            name, old.name = old.name, f"{old.name}.replaced"
            new.name = name
        else:
            new.type = new.type or old.type
            if new.shape is None and old.shape is not None and not new.is_graph_input():
                new.shape = old.shape.copy()
        old.replace_all_uses_with(new, replace_graph_outputs=True)
        return added

    def _claim(self, value: ir.Value) -> None:
        """Give ``value`` a name that nothing else in the model has."""
        names = self._names
        if names is None:  # most runs of a pass move nothing
            names = self._names = Counter(other.name or "" for other in all_values(self._model))
        if not value.name or names[value.name] <= 1:
            return
        count, base = 2, value.name
        while names[f"{base}_{count}"]:
            count += 1
        names[base] -= 1
        value.name = f"{base}_{count}"
        names[value.name] += 1
