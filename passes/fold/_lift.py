"""Puts the body of a control flow operator in its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

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
        body.outputs.clear()
        assert node.graph is not None
        self.share_constants(body, node.graph)
        moved = self._move(body, node)
        return moved + self.stand_in(node, results)

    def copy(self, body: ir.Graph, node: ir.Node, arguments: Sequence[ir.Value]) -> list[ir.Value]:
        """Put a copy of ``body`` in front of ``node``.

        Args:
            body: without constants of its own.
            node: what it belongs to.
            arguments: what stands for its inputs.

        Returns:
            What stands for its outputs.
        """
        twin = body.clone(allow_outer_scope_values=True)
        given = dict(zip(twin.inputs, arguments, strict=True))
        results = [given.get(value, value) for value in twin.outputs]
        twin.outputs.clear()
        for value, argument in given.items():
            value.replace_all_uses_with(argument)
        for value in _values_of(twin):
            self._count(value)
            self._claim(value)
            # A dim's name means another size in each round.
            if value.shape is not None and not value.shape.is_static():
                value.shape = None
        for inner in twin.all_nodes():
            inner.name = inner.outputs[0].name
        self._move(twin, node)
        return results

    def insert(
        self, before: ir.Node, op_type: str, inputs: Sequence[ir.Value], like: ir.Value, **numbers: int
    ) -> ir.Value:
        """A new node with one output of the type of ``like``."""
        attributes = [ir.AttrInt64(name, number) for name, number in numbers.items()]
        node = ir.Node("", op_type, inputs, attributes)
        value = node.outputs[0]
        value.name, value.type = like.name, like.type
        self._count(value)
        self._claim(value)
        node.name = value.name
        assert before.graph is not None
        before.graph.insert_before(before, node)
        return value

    def share_constants(self, body: ir.Graph, home: ir.Graph | ir.Function) -> None:
        """Move the initializers of ``body`` to the graph around it."""
        assert isinstance(home, ir.Graph)
        for value in list(body.initializers.values()):
            assert value.name is not None
            del body.initializers[value.name]
            self._claim(value)
            home.register_initializer(value)

    def stand_in(self, node: ir.Node, results: Sequence[ir.Value]) -> list[ir.Node]:
        """Let ``results`` stand for the outputs of ``node``, which goes; returns what had to be added."""
        added: list[ir.Node] = []
        for old, new in zip(node.outputs, results, strict=True):
            added += self._stand_in(node, old, new)
        assert node.graph is not None
        node.graph.remove(node, safe=True)
        return added

    def _move(self, body: ir.Graph, before: ir.Node) -> list[ir.Node]:
        nodes = list(body)
        body.remove(nodes)
        for moved in nodes:
            for value in moved.outputs:
                self._claim(value)
        assert before.graph is not None
        before.graph.insert_before(before, nodes)
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

    def _taken(self) -> Counter[str]:
        if self._names is None:  # most runs of a pass move nothing
            self._names = Counter(other.name or "" for other in all_values(self._model))
        return self._names

    def _count(self, value: ir.Value) -> None:
        """Take in a value that is not in the model yet."""
        if value.name:
            self._taken()[value.name] += 1

    def _claim(self, value: ir.Value) -> None:
        """Give ``value`` a name that nothing else in the model has."""
        names = self._taken()
        if not value.name or names[value.name] <= 1:
            return
        count, base = 2, value.name
        while names[f"{base}_{count}"]:
            count += 1
        names[base] -= 1
        value.name = f"{base}_{count}"
        names[value.name] += 1


def _values_of(graph: ir.Graph) -> Iterator[ir.Value]:
    """Everything computed or held in ``graph`` and the graphs inside it."""
    for inner in (graph, *graph.subgraphs()):
        yield from inner.inputs
        yield from inner.initializers.values()
        for node in inner:
            yield from node.outputs
