"""FoldKnownElements: shape arithmetic whose result is numbers although the dims it starts from are not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.ir.element_rules import numbers
from graphopt.ir.elements import Elements
from graphopt.passes.fold._replace import replace_by_constant
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass


@dataclass(frozen=True)
class FoldKnownElements(Pass):
    """Replace small integer and boolean values by constants where every element is known.

    Before: ``s = Shape(x); d = Gather(s, 1); p = Equal(d, -1)`` with x of [N, 3, M].
    After:  ``d = 3; p = false``.
    Needs:  inferred shapes; graphs in topological order.
    Keeps:  graph outputs, which stay computed.
    Skips:  values of more than 64 elements; elements that depend on the size of a dynamic dim; functions.

    Each element is followed by itself, as a number or as an expression over the sizes of dims. So one
    dynamic dim does not spoil its neighbours, and what holds for every size (``2*N / 2 == N``, no size
    is -1) is decided.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Walk once in order; what is folded reads nothing that comes later."""
        elements = Elements(model)
        folded = 0
        for node in list(model.graph.all_nodes()):
            if node.op_type == "Constant" and node.domain == "":
                continue
            for value in node.outputs:
                folded += self._fold(node, value, elements, model, ctx)
        return folded > 0

    def _fold(
        self, node: ir.Node, value: ir.Value, elements: Elements, model: ir.Model, ctx: PassContext
    ) -> bool:
        if not value.uses() or value.is_graph_output():
            return False
        known = numbers(elements.of(value))
        if known is None or value.dtype is None:
            return False
        array = known.astype(value.dtype.numpy())
        ctx.applied(self.name(), node, f"known from dims: {value.dtype.name}{_short(array)}")
        replace_by_constant(value, array, model)
        return True


def _short(array: npt.NDArray[np.generic]) -> str:
    listed = array.tolist()
    return str(listed) if array.size <= 8 else f" of {array.size} elements"
