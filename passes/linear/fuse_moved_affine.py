"""FuseMovedAffine: factors and shifts of channels that were moved are part of the operator before."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.ir.walk import graphs
from graphopt.passes.linear._channel_steps import bypass, may_shift, read_steps, refusal, write
from graphopt.passes.linear._parts import source
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.constants import constant_tensor
from graphopt.rewrite.scope import Scope

_MOVES = frozenset({"Reshape", "Squeeze", "Transpose", "Unsqueeze"})


@dataclass(frozen=True)
class FuseMovedAffine(Pass):
    """Put constants per channel into the linear operator also where its result was moved in between.

    Before: ``t = Conv(x, w, b); s = Squeeze(t); y = Add(s, c)``, or Mul, Div, Sub; or Reshape, Transpose.
    After:  ``t = Conv(x, w, b + c); y = Squeeze(t)``.
    Needs:  constant weight and bias; a constant with one number per channel; channels that stay together.
    Keeps:  shared weights: they are not written a second time.
    Skips:  results others read, and factors that leave the range of the weight's type.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Look behind every node that moves data."""
        changed = 0
        scope = Scope(model)
        for graph in graphs(model):
            for node in list(graph):
                if node.op_type in _MOVES and node.domain == "" and node.graph is not None:
                    changed += self._move(node, scope, ctx)
        return changed > 0

    def _move(self, node: ir.Node, scope: Scope, ctx: PassContext) -> int:
        value = node.outputs[0]
        axis = _axis(value)
        found = None if axis is None else source(value, axis)
        home = scope.initializer_graph(node)
        if axis is None or found is None or home is None:
            return 0
        affine = read_steps([value], axis, (found.host.outputs,), shifts=may_shift(found))
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


def _axis(value: ir.Value) -> int | None:
    """The one axis along which the constant that ``value`` meets next varies, or None."""
    uses = list(value.uses())
    if len(uses) != 1 or value.shape is None or len(uses[0].node.inputs) != 2:
        return None
    tensor = constant_tensor(uses[0].node.inputs[1 - uses[0].idx])
    if tensor is None:
        return None
    dims = tuple(tensor.shape.numpy())
    axes = [index for index, dim in enumerate(dims, start=len(value.shape) - len(dims)) if dim != 1]
    return axes[0] if len(axes) == 1 and axes[0] >= 0 else None
