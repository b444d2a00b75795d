"""FLOPs: how much arithmetic a node and a model do. A multiply-add is two operations.

The formulas and their convention are in ``formulas/table.py``. A branch (If) counts its dearest branch, a
Loop its body times its constant trip count, a Scan its body times the scanned length, a model-local
function its body with the shapes of the call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx_ir as ir

from graphopt.ir import walk
from graphopt.ir.analyses.control import is_control_flow, trips
from graphopt.ir.analyses.formulas.call import Call, Unknown
from graphopt.ir.analyses.formulas.table import formula_for
from graphopt.ir.analyses.functions import FunctionBodies
from graphopt.ir.analyses.sizes import Sizes

Bindings = Mapping[str, int]


@dataclass(frozen=True)
class ModelFlops:
    """The arithmetic of one inference.

    Attributes:
        total: operations of the nodes that could be counted.
        uncounted: nodes that could not (no formula, or a size unknown), subgraphs included.
        per_node: operations of every node, those inside subgraphs per run of their body; None unknown.
            Control flow has the sum of what could be counted inside.
    """

    total: int
    uncounted: int
    per_node: Mapping[ir.Node, int | None]


def node_flops(node: ir.Node, bindings: Bindings | Sizes | None = None) -> int | None:
    """Operations of one node, or None when it has no formula or a size is unknown.

    Args:
        node: any node; a call of a model-local function counts only inside ``model_flops``.
        bindings: extents of symbolic dimensions.
    """
    sizes = bindings if isinstance(bindings, Sizes) else Sizes(bindings)
    return _Counter(sizes, None).node(node)


def model_flops(model: ir.Model, bindings: Bindings | Sizes | None = None) -> ModelFlops:
    """Operations of every node of the model; linear in nodes.

    Args:
        model: shapes are read from its values: run shape inference first.
        bindings: extents of symbolic dimensions.
    """
    sizes = bindings if isinstance(bindings, Sizes) else Sizes(bindings)
    counter = _Counter(sizes, FunctionBodies(model) if model.functions else None)
    total = sum(counter.node(node) or 0 for node in model.graph)
    return ModelFlops(total, sum(count is None for count in counter.counts.values()), counter.counts)


class _Counter:
    """Counts nodes once; recursion follows the nesting of subgraphs and functions."""

    def __init__(self, sizes: Sizes, functions: FunctionBodies | None) -> None:
        self._sizes = sizes
        self._functions = functions
        self.counts: dict[ir.Node, int | None] = {}

    def node(self, node: ir.Node) -> int | None:
        if node not in self.counts:
            self.counts[node] = self._node(node)
        return self.counts[node]

    def _node(self, node: ir.Node) -> int | None:
        if is_control_flow(node):
            return self._control(node)
        if self._functions is not None and (body := self._functions.body(node, self._sizes)) is not None:
            flops = model_flops(body)
            return None if flops.uncounted else flops.total
        formula = formula_for(node.domain, node.op_type)
        if formula is None:
            return None
        try:
            return formula(Call(node, self._sizes))
        except (Unknown, ValueError, IndexError, ZeroDivisionError):
            # A shape that does not fit its operator: the model is not valid there, so nothing can be said.
            return None

    def _control(self, node: ir.Node) -> int | None:
        counts = [sum(self.node(inner) or 0 for inner in graph) for graph in walk.subgraphs(node)]
        runs = trips(node, self._sizes)
        return None if runs is None else runs * max(counts, default=0)
