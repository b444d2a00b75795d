"""SortTopologically: every node after what it reads."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.ir.order import sort_model
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass


@dataclass(frozen=True)
class SortTopologically(Pass):
    """Put nodes in the order data flows.

    Before: nodes in any order.
    After:  each node stands after the producers of its inputs and of what its subgraphs capture.
    Needs:  nothing.
    Keeps:  the given order wherever it is a valid one.
    Skips:  graphs already in order.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Sort the graphs that need it; raises ModelError on a cycle."""
        moved = sort_model(model)
        if moved:
            ctx.applied(self.name(), None, "nodes were out of order")
        return moved
