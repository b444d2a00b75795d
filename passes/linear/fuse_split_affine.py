"""FuseSplitAffine: factors and shifts of some output channels are part of the linear operator's constants."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.ir.walk import graphs
from graphopt.passes.linear._channel_steps import bypass, may_shift, read_steps, refusal, step, write
from graphopt.passes.linear._parts import sizes, source, split_axis
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.scope import Scope


@dataclass(frozen=True)
class FuseSplitAffine(Pass):
    """Put constants that scale or shift parts of a linear operator's result into its weight and bias.

    Before: ``t = Conv(x, w, b); q, k = Split(t); s = Mul(q, c); u = Add(k, d)``.
    After:  ``t = Conv(x, w', b'); q, k = Split(t)`` with c in the channels of q, d in those of k.
    Needs:  constant weight and bias; constants of one number per part or per channel. Between the operator
            and the Split may stand Reshape, Unsqueeze and Transpose that leave the channels together.
    Keeps:  shared weights: they are not written a second time.
    Skips:  parts others read, and factors that leave the range of the weight's type.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Look at every Split."""
        changed = 0
        scope = Scope(model)
        for graph in graphs(model):
            for node in list(graph):
                if node.op_type == "Split" and node.domain == "" and node.graph is not None:
                    changed += self._split(node, scope, ctx)
        return changed > 0

    def _split(self, node: ir.Node, scope: Scope, ctx: PassContext) -> int:
        axis = split_axis(node)
        parts = None if axis is None else sizes(node, axis)
        if axis is None or parts is None or not any(step(value, axis, 0) for value in node.outputs):
            return 0
        found = source(node.inputs[0], axis)
        home = scope.initializer_graph(node)
        if found is None or home is None or sum(parts) != found.host.outputs:
            return 0
        affine = read_steps(node.outputs, axis, parts, shifts=may_shift(found))
        if not affine.nodes:
            return 0
        reason = refusal(found, affine)
        if reason is not None:
            ctx.missed(self.name(), node, reason)
            return 0
        scope.read()
        write(found, affine, home, scope)
        for reader in affine.nodes:
            bypass(reader)
        ctx.applied(self.name(), found.host.node, f"absorbs {len(affine.nodes)} steps behind {node.name}")
        return len(affine.nodes)
