"""FuseEpilogue: a product or convolution takes the elementwise operators behind it along."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.ir.dims import same_shape
from graphopt.passes.composite._operators import is_elementwise
from graphopt.passes.composite._outline import outline
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass

_ANCHORS = frozenset({"Attention", "Conv", "ConvTranspose", "Gemm", "MatMul"})


@dataclass(frozen=True)
class FuseEpilogue(Pass):
    """Put a product, convolution or attention and the elementwise operators behind it into one composite.

    A kernel applies them to the accumulators before they are written: the intermediate results never
    reach memory.

    Before: ``t = Conv(x, w, b); u = Add(t, skip); y = Relu(u)``.
    After:  ``y = graphopt.Composite_…(x, w, b, skip)`` with those three nodes as its body.
    Needs:  shapes: the operators behind must not enlarge the result.
    Keeps:  weights outside the body; the answer bit for bit, since the body is what was there.
    Skips:  values that something else reads, functions and their bodies.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Outline every anchor with its longest tail."""
        changed = False
        for graph in (model.graph, *list(model.graph.subgraphs())):
            for node in list(graph):
                if node.graph is None or node.domain != "" or node.op_type not in _ANCHORS:
                    continue
                tail = _tail(node)
                if tail:
                    members = [node, *tail]
                    ctx.applied(self.name(), node, " + ".join(member.op_type for member in members))
                    outline(model, members)
                    changed = True
        return changed


def _tail(anchor: ir.Node) -> list[ir.Node]:
    """The chain of elementwise operators behind an anchor, each the only reader of the one before."""
    if any(value.uses() or value.is_graph_output() for value in anchor.outputs[1:]):
        return []
    chain: list[ir.Node] = []
    value = anchor.outputs[0]
    while not value.is_graph_output():
        readers = set(value.consumers())
        if len(readers) != 1:
            break
        (reader,) = readers
        if reader.graph is not anchor.graph or not is_elementwise(reader):
            break
        if not same_shape(value.shape, reader.outputs[0].shape):
            break
        chain.append(reader)
        value = reader.outputs[0]
    return chain
