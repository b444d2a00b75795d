"""What passes that walk the graph share: finding readers, taking dead nodes away, adding constants."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.ir import walk
from graphopt.rewrite.scope import Scope


def producer_of(value: ir.Value | None, op_type: str, graph: object) -> ir.Node | None:
    """The standard operator ``op_type`` of the same graph that computes ``value``, or None."""
    node = None if value is None else value.producer()
    if node is None or node.op_type != op_type or node.domain != "" or node.graph is not graph:
        return None
    return node


def nodes_of(model: ir.Model, op_types: frozenset[str]) -> Iterator[tuple[ir.Graph, ir.Node]]:
    """The standard operators of these types, in order, in graphs that can hold constants."""
    for graph in walk.graphs(model):
        if not isinstance(graph, ir.Graph):
            continue
        for node in list(graph):
            if node.domain == "" and node.op_type in op_types and node.graph is not None:
                yield graph, node


def is_only_read_by(value: ir.Value, node: ir.Node) -> bool:
    """Whether ``node`` reads ``value`` once and nothing else does."""
    uses = list(value.uses())
    return len(uses) == 1 and uses[0].node is node and not value.is_graph_output()


def drop_if_dead(node: ir.Node | None) -> None:
    """Remove ``node`` when nothing needs it, and then what only it needed."""
    stack = [node]
    while stack:
        last = stack.pop()
        if last is None or last.graph is None or any(walk.subgraphs(last)):
            continue
        if any(value.uses() or value.is_graph_output() for value in last.outputs):
            continue
        read = [value for value in last.inputs if value is not None]
        last.graph.remove(last, safe=True)
        for value in read:
            stack.append(value.producer())
            drop_initializer(value)


def drop_initializer(value: ir.Value) -> None:
    """Remove an initializer that nothing needs any more."""
    if (
        value.is_initializer()
        and not value.is_graph_input()
        and not value.uses()
        and not value.is_graph_output()
    ):
        assert value.graph is not None
        assert value.name is not None
        value.graph.initializers.pop(value.name, None)


class Constants:
    """Adds constants to a model under names of their own; equal small ones of one graph are one."""

    def __init__(self, model: ir.Model) -> None:
        self._model = model
        self._inner: frozenset[ir.Graph] | None = None
        self._scope = Scope(model)
        self._known: dict[tuple[object, ...], ir.Value] = {}

    def unique(self, wanted: str) -> str:
        """A name nothing else has."""
        self._scope.read()
        return self._scope.unique(wanted)

    def add(
        self, graph: ir.Graph, name: str, array: npt.NDArray[np.generic], dtype: ir.DataType | None = None
    ) -> ir.Value:
        """An initializer for nodes of ``graph`` that holds ``array``; of the main graph where it can be."""
        graph = self._home(graph)
        tensor = ir.tensor(np.asarray(array, order="C"), dtype=dtype)
        key = (id(graph), tensor.dtype, tuple(tensor.shape), tensor.tobytes() if tensor.size <= 64 else None)
        if tensor.size <= 64 and key in self._known and self._known[key].graph is graph:
            return self._known[key]
        label = self.unique(name)
        value = ir.Value(
            name=label,
            type=ir.TensorType(tensor.dtype),
            shape=ir.Shape(tensor.shape.numpy()),
            const_value=tensor,
        )
        graph.register_initializer(value)
        self._known[key] = value
        return value

    def _home(self, graph: ir.Graph) -> ir.Graph:
        """Where the constants of a canonical model are: not in subgraphs, but for those of functions."""
        main = self._model.graph
        if self._inner is None:
            self._inner = frozenset(main.subgraphs())
        return main if graph in self._inner else graph
