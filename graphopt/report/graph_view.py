"""A graph as compact JSON for the report: nodes, edges, and what a person wants to know about each.

Constants are listed at the nodes that read them instead of being nodes. Nodes of subgraphs stand in the
same list, before the node that holds them, with their ``scope``; what a subgraph returns is an edge to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import onnx_ir as ir

from graphopt.ir.analyses.flops import model_flops
from graphopt.ir.analyses.sizes import Sizes, constant
from graphopt.ir.tensor_text import dtype_text, shape_text, type_text
from graphopt.ir.text import attribute_text, print_graph
from graphopt.report.summary import operator_name

Json = dict[str, Any]

MAX_NODES = 30_000
"""A larger graph is cut here; the view says how many nodes it leaves out."""

_TEXT = 200
_FUNCTION_TEXT = 4000


def graph_view(
    model: ir.Model,
    bindings: Mapping[str, int] | None = None,
    provenance: Mapping[str, str] | None = None,
) -> Json:
    """The main graph, its subgraphs inlined.

    Args:
        model: with inferred shapes, or shapes and FLOPs stay unknown.
        bindings: extents of symbolic dimensions, for the FLOPs.
        provenance: node name → the pass that made or changed it.

    Returns:
        ``nodes``: list of ``name``, ``op``, ``outs`` (``name: type`` each), and where they apply
        ``flops``, ``attrs``, ``consts``, ``scope``, ``by`` (a pass); ``edges``: list of
        ``[producer, consumer, output of the producer]``, indices into ``nodes``; ``functions``:
        operator → text of its body; ``omitted``: nodes left out.
    """
    return _View(model, Sizes(bindings), provenance or {}).to_json()


class _View:
    def __init__(self, model: ir.Model, sizes: Sizes, provenance: Mapping[str, str]) -> None:
        self._model = model
        self._flops = model_flops(model, sizes).per_node
        self._provenance = provenance
        self._nodes: list[Json] = []
        self._edges: list[tuple[int, int, int]] = []
        self._sources: dict[ir.Value, tuple[int, int]] = {}
        self._omitted = 0

    def to_json(self) -> Json:
        graph = self._model.graph
        for value in graph.inputs:
            if value.const_value is None:
                self._sources[value] = (len(self._nodes), 0)
                self._nodes.append({"name": value.name or "", "op": "Input", "outs": [_out(value)]})
        self._graph(graph, "")
        for value in graph.outputs:
            self._nodes.append({"name": value.name or "", "op": "Output", "outs": [_out(value)]})
            self._connect(value, len(self._nodes) - 1)
        return {
            "nodes": self._nodes,
            "edges": [list(edge) for edge in dict.fromkeys(self._edges)],
            "functions": dict(self._functions()),
            "omitted": self._omitted,
        }

    def _functions(self) -> Iterator[tuple[str, str]]:
        for function in self._model.functions.values():
            name = f"{function.domain}::{function.name}" if function.domain else function.name
            text = print_graph(function, statistics=False)
            yield name, text if len(text) <= _FUNCTION_TEXT else text[:_FUNCTION_TEXT] + "\n…"

    def _graph(self, graph: ir.Graph, scope: str) -> None:
        """Recursion follows the nesting of subgraphs."""
        for node in graph:
            if node.op_type == "Constant":
                continue
            inner = [
                (f"{scope}/{node.name or node.op_type}.{attr.name}".lstrip("/"), attr.as_graph())
                for attr in node.attributes.values()
                if not attr.is_ref() and attr.type == ir.AttributeType.GRAPH
            ]
            for name, subgraph in inner:
                self._graph(subgraph, name)
            if len(self._nodes) >= MAX_NODES:
                self._omitted += 1
                continue
            index = len(self._nodes)
            self._nodes.append(self._node(node, scope))
            for value in (*node.inputs, *(out for _, subgraph in inner for out in subgraph.outputs)):
                self._connect(value, index)
            for position, value in enumerate(node.outputs):
                self._sources[value] = (index, position)

    def _connect(self, value: ir.Value | None, consumer: int) -> None:
        source = None if value is None else self._sources.get(value)
        if source is not None:
            self._edges.append((source[0], consumer, source[1]))

    def _node(self, node: ir.Node, scope: str) -> Json:
        entry: Json = {
            "name": node.name or "",
            "op": operator_name(node),
            "outs": [_out(value) for value in node.outputs if value.name],
        }
        attributes = {a.name: attribute_text(a)[:_TEXT] for a in node.attributes.values()}
        constants = [_constant(v) for v in node.inputs if v is not None and constant(v) is not None]
        flops = self._flops.get(node)
        optional = {
            "flops": flops,
            "attrs": attributes,
            "consts": constants,
            "scope": scope,
            "by": self._provenance.get(node.name or ""),
        }
        return entry | {key: value for key, value in optional.items() if value}


def _out(value: ir.Value) -> str:
    return f"{value.name}: {type_text(value)}"


def _constant(value: ir.Value) -> str:
    tensor = constant(value)
    kind = "" if tensor is None else f"{dtype_text(tensor.dtype)}{shape_text(tensor.shape)}"
    return f"{value.name}: {kind}"
