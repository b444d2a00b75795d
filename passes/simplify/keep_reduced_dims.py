"""KeepReducedDims: a reduction that keeps its axes needs no Unsqueeze to bring them back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from graphopt.ir.dims import same_dim
from graphopt.passes.simplify._broadcast import Dims, dims_of
from graphopt.passes.simplify._permute import BROADCAST_OPERATORS
from graphopt.passes.simplify._surgery import drop_if_dead, nodes_of
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.constants import constant_array
from graphopt.rewrite.match import Dim
from graphopt.rewrite.opfacts import UNARY, opset_of

_MIN_OPSET = 18
_LIMIT = 64
_REDUCTIONS = frozenset(
    {
        "ReduceL1",
        "ReduceL2",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "ReduceSumSquare",
    }
)


@dataclass(frozen=True)
class KeepReducedDims(Pass):
    """Let reductions keep their axes where all that reads them leads to an Unsqueeze or Reshape back.

    Before: ``m = ReduceMean<keepdims=0>(x, [1]); r = Sqrt(m); y = Unsqueeze(r, [1])``.
    After:  ``m = ReduceMean<keepdims=1>(x, [1]); y = Sqrt(m)``.
    Needs:  constant axes; scalars or other such reductions as the operands in between.
    Keeps:  the results of the operators in between: nothing else may read them.
    Skips:  a reduction that anything reads without its axes.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Grow from every reduction that drops its axes."""
        if opset_of(model.graph, model) < _MIN_OPSET:
            return False
        changed = False
        tried: set[ir.Node] = set()
        for graph, node in nodes_of(model, _REDUCTIONS):
            full = _kept(node)
            if full is None or node in tried:
                continue
            region = _Region(graph, full)
            fits = region.grow(node)
            tried.update(region.reductions)
            if fits and region.restorers:
                count = region.apply()
                ctx.applied(self.name(), node, f"keeps its axes: {count} fewer operators restore them")
                changed = True
        return changed


def _kept(node: ir.Node) -> Dims | None:
    """The shape of the result with the reduced axes as 1, for a reduction over some axes that drops them."""
    dims = dims_of(node.inputs[0])
    axes = constant_array(node.inputs[1]) if len(node.inputs) > 1 else None
    if dims is None or axes is None or not axes.size or bool(node.attributes.get_int("keepdims", 1)):
        return None
    reduced = {int(axis) % len(dims) for axis in axes.ravel()}
    return tuple(1 if axis in reduced else dim for axis, dim in enumerate(dims))


@dataclass
class _Region:
    """Reductions of the same axes, the operators behind them, and what restores the axes."""

    graph: ir.Graph
    full: Dims
    reductions: dict[ir.Node, None] = field(default_factory=dict)
    inner: dict[ir.Node, None] = field(default_factory=dict)
    restorers: dict[ir.Node, None] = field(default_factory=dict)

    def grow(self, start: ir.Node) -> bool:
        """Take in everything that reads a reduced value; whether all of it can do with the axes kept."""
        self.reductions[start] = None
        queue = [start]
        waiting: dict[ir.Node, None] = {}
        for taken in queue:
            value = taken.outputs[0]
            if value.is_graph_output() or len(self.inner) > _LIMIT:
                return False
            waiting.update(dict.fromkeys(use.node for use in value.uses()))
            for node in list(waiting):
                if self._restores(node):
                    self.restorers[node] = None
                elif node not in self.inner:
                    more = self._operands(node)
                    if more is None:
                        continue  # perhaps another reduction leads to its other operand
                    self.inner[node] = None
                    self.reductions.update(dict.fromkeys(more))
                    queue.extend((node, *more))
                del waiting[node]
        return not waiting

    def _operands(self, node: ir.Node) -> list[ir.Node] | None:
        """Further reductions an elementwise operator reads; None where it cannot be taken in."""
        if node.graph is not self.graph or node.domain != "":
            return None
        if node.op_type not in UNARY | BROADCAST_OPERATORS:
            return None
        found: list[ir.Node] = []
        for value in node.inputs:
            producer = None if value is None else value.producer()
            if value is None or producer in self.inner or producer in self.reductions:
                continue
            if value.shape is not None and value.shape.is_static() and value.shape.numpy() in ((), (1,)):
                continue
            if producer is None or not self._is_reduction(producer):
                return None
            found.append(producer)
        return found

    def _is_reduction(self, node: ir.Node) -> bool:
        if node.graph is not self.graph or node.domain != "" or node.op_type not in _REDUCTIONS:
            return False
        full = _kept(node)
        return (
            full is not None
            and [d == 1 for d in full] == [d == 1 for d in self.full]
            and _same(full, self.full)
        )

    def _restores(self, node: ir.Node) -> bool:
        """Whether ``node`` only brings the reduced axes back."""
        if node.graph is not self.graph or node.domain != "" or node.op_type not in ("Unsqueeze", "Reshape"):
            return False
        if node.outputs[0].is_graph_output():
            return False
        numbers = constant_array(node.inputs[1])
        small = dims_of(node.inputs[0])
        if numbers is None or small is None:
            return False
        listed = [int(number) for number in numbers.ravel()]
        if node.op_type == "Unsqueeze":
            rank = len(small) + len(listed)
            added = {axis % rank for axis in listed}
            rest = iter(small)
            return _same([1 if axis in added else next(rest) for axis in range(rank)], self.full)
        if (
            len(listed) != len(self.full)
            or listed.count(-1) > 1
            or node.attributes.get_int("allowzero", 0) != 0
        ):
            return False
        return all(self._asks(size, axis, small) for axis, size in enumerate(listed))

    def _asks(self, size: int, axis: int, small: Dims) -> bool:
        if size == -1:
            return True
        if size == 0:
            return axis < len(small) and same_dim(small[axis], self.full[axis])
        return self.full[axis] == size

    def apply(self) -> int:
        """Keep the axes everywhere and take the restoring operators away; how many there were."""
        for node in self.reductions:
            node.attributes["keepdims"] = ir.AttrInt64("keepdims", 1)
        for node in (*self.reductions, *self.inner):
            node.outputs[0].shape = ir.Shape(self.full)
        for node in self.restorers:
            source = node.inputs[0]
            assert source is not None
            node.outputs[0].replace_all_uses_with(source)
            drop_if_dead(node)
        return len(self.restorers)


def _same(a: Sequence[Dim], b: Sequence[Dim]) -> bool:
    return len(a) == len(b) and all(same_dim(x, y) for x, y in zip(a, b, strict=True))
