"""FuseElementwise: elementwise operators and reductions over the same rows become one pass over memory."""

from __future__ import annotations

from dataclasses import dataclass, field

import onnx_ir as ir

from graphopt.ir.dims import same_shape
from graphopt.passes.composite._grow import grow
from graphopt.passes.composite._operators import is_elementwise
from graphopt.passes.composite._outline import outline
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.constants import constant_array
from graphopt.rewrite.opfacts import REDUCING

_ROWWISE = frozenset({"LayerNormalization", "LogSoftmax", "LpNormalization", "RMSNormalization", "Softmax"})
"""Operators that reduce along an axis and give a result of the input's shape."""


@dataclass
class _Loop:
    """The loop nest a composite is for: its full shape, and the axes its reductions run along.

    Attributes:
        shape: of everything that is not reduced.
        axes: of the reductions, from the front; None while there is none.
        reduced: the shape of what the reductions give.
    """

    shape: ir.Shape
    axes: frozenset[int] | None = None
    reduced: list[ir.Shape] = field(default_factory=list)

    def takes(self, node: ir.Node) -> bool:
        """Whether ``node`` can be computed inside the loop; the loop remembers its axes if so."""
        shape = node.outputs[0].shape
        if is_elementwise(node):
            return same_shape(shape, self.shape) or any(same_shape(shape, known) for known in self.reduced)
        axes = _axes(node)
        if axes is None or (self.axes is not None and self.axes != axes):
            return False
        source = node.inputs[0]
        if source is None or shape is None or not same_shape(source.shape, self.shape):
            return False
        self.axes = axes
        self.reduced.append(shape)
        return True


def _axes(node: ir.Node) -> frozenset[int] | None:
    """The axes a reduction runs along and keeps, counted from the front; None for any other node."""
    source = node.inputs[0] if node.inputs else None
    if node.domain != "" or source is None or source.shape is None:
        return None
    rank = len(source.shape)
    if node.op_type in _ROWWISE:
        given = node.attributes.get("axis")
        axis = (-1 if given is None else given.as_int()) % rank if rank else 0
        if node.op_type in ("LayerNormalization", "RMSNormalization"):
            return frozenset(range(axis, rank))
        return frozenset({axis})
    if node.op_type not in REDUCING:
        return None
    kept = node.attributes.get("keepdims")
    if kept is not None and kept.as_int() != 1:
        return None
    if len(node.inputs) < 2 or node.inputs[1] is None:
        noop = node.attributes.get("noop_with_empty_axes")
        return None if noop is not None and noop.as_int() else frozenset(range(rank))
    axes = constant_array(node.inputs[1])
    return None if axes is None or axes.size == 0 else frozenset(int(axis) % rank for axis in axes.ravel())


@dataclass(frozen=True)
class FuseElementwise(Pass):
    """Put elementwise operators and reductions along the same axes into one composite.

    A kernel reads each row once and keeps what lies between in cache: a chain of k operators costs one
    pass over memory and not k.

    Before: ``t = Mul(x, s); u = Add(t, r); m = ReduceMax(u, axes); y = Sub(u, m)``.
    After:  ``y = graphopt.Composite_…(x, s, r)`` with those four nodes as its body.
    Needs:  shapes: everything inside has the full shape of one loop nest or its reduced one.
    Keeps:  the answer bit for bit, since the body is what was there.
    Skips:  single operators, values that something outside reads, functions and their bodies.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Outline the largest sets, from the results upwards."""
        changed = False
        for graph in (model.graph, *list(model.graph.subgraphs())):
            position = {node: index for index, node in enumerate(graph)}
            taken: set[ir.Node] = set()
            for root in reversed(list(position)):
                loop = None if root in taken else _loop(root)
                if loop is None:
                    continue
                members = sorted(grow(root, loop.takes, taken), key=position.__getitem__)
                taken.update(members)
                if len(members) > 1:
                    ctx.applied(self.name(), root, " + ".join(member.op_type for member in members))
                    outline(model, members)
                    changed = True
        return changed


def _loop(root: ir.Node) -> _Loop | None:
    """The loop nest ``root`` would be the result of; None when it cannot be one."""
    if any(value.uses() or value.is_graph_output() for value in root.outputs[1:]):
        return None
    shape = root.outputs[0].shape
    if is_elementwise(root):
        return None if shape is None else _Loop(shape)
    source = root.inputs[0] if root.inputs else None
    if _axes(root) is None or source is None or source.shape is None:
        return None
    loop = _Loop(source.shape)
    return loop if loop.takes(root) else None
