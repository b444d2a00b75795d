"""DeadCode: remove what no output depends on."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.ir.walk import graphs, nodes, subgraphs
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass


@dataclass(frozen=True)
class DeadCode(Pass):
    """Remove nodes, initializers and functions that nothing uses.

    Before: ``y = Relu(x); z = Exp(x)`` with the only output y.
    After:  ``y = Relu(x)``.
    Needs:  nothing.
    Keeps:  the signature: an unused graph input stays an input.
    Skips:  nothing; no ONNX operator has side effects.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Sweep each graph backwards once; captures freed in a subgraph are seen in time."""
        removed = 0
        roots: list[ir.Graph | ir.Function] = [model.graph, *model.functions.values()]
        for root in roots:
            removed += self._sweep(root, ctx)
        for graph in graphs(model):
            if isinstance(graph, ir.Graph):
                removed += _drop_initializers(graph)
        return removed + _drop_functions(model) > 0

    def _sweep(self, graph: ir.Graph | ir.Function, ctx: PassContext) -> int:
        removed = 0
        for node in reversed(graph):
            if not any(value.uses() or value.is_graph_output() for value in node.outputs):
                _release(node)
                graph.remove(node, safe=True)
                ctx.applied(self.name(), node, "no output depends on it")
                removed += 1
                continue
            for inner in subgraphs(node):
                removed += self._sweep(inner, ctx)
        return removed


def _release(node: ir.Node) -> None:
    """Give up what the subgraphs of a dead node capture, so that their producers die too."""
    for graph in subgraphs(node):
        for inner in graph.all_nodes():
            for index in range(len(inner.inputs)):
                inner.replace_input_with(index, None)


def _drop_initializers(graph: ir.Graph) -> int:
    unused = [
        name
        for name, value in graph.initializers.items()
        if not value.uses() and not value.is_graph_output() and not value.is_graph_input()
    ]
    for name in unused:
        del graph.initializers[name]
    return len(unused)


def _drop_functions(model: ir.Model) -> int:
    """Remove functions that are called from nowhere, and then those only they called."""
    dropped = 0
    while True:
        called = {node.op_identifier() for node in nodes(model)}
        unused = [key for key in model.functions if key not in called]
        if not unused:
            return dropped
        for key in unused:
            del model.functions[key]
        dropped += len(unused)
