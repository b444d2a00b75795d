"""SinkReshapes: a reshape moves behind what does not care about shapes, to meet the next one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.ir.dims import same_dim
from graphopt.passes.simplify._broadcast import Dims, dims_of
from graphopt.passes.simplify._layouts import LAYOUT_OPERATORS, Layout, start
from graphopt.passes.simplify._layouts import follow as follow_axes
from graphopt.passes.simplify._permute import BROADCAST_OPERATORS
from graphopt.passes.simplify._reshapes import Shape, follow, infers, original, reshape_target
from graphopt.passes.simplify._surgery import Constants, drop_if_dead, is_only_read_by, nodes_of
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.constants import constant_array
from graphopt.rewrite.match import Dim
from graphopt.rewrite.opfacts import UNARY, opset_of

_RESHAPES = frozenset((LAYOUT_OPERATORS - {"Transpose"}) | {"Flatten"})
_MIN_OPSET = 13
_LONGEST = 8
"""Operators in between."""


@dataclass(frozen=True)
class SinkReshapes(Pass):
    """Let elementwise operators and Pad between two reshapes work on the value before the first.

    Before: ``a = Squeeze(x, [1]); b = Pad(a, pads); y = Unsqueeze(b, [1])``.
    After:  ``y = Pad(x, wider pads)``.
    Needs:  constant targets, scalar operands; for Pad the dims of x, and a result of the same rank as x.
    Keeps:  values in between that something else reads: then nothing moves. The first reshape may have other
            readers where the two cancel.
    Skips:  pairs of reshapes that would still be two.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Look up from every reshape, in order, for another with such operators in between."""
        if opset_of(model.graph, model) < _MIN_OPSET:
            return False
        constants = Constants(model)
        changed = False
        for graph, last in nodes_of(model, _RESHAPES):
            chain = _chain(graph, last)
            if len(chain) < 2:
                continue
            if any(node.op_type == "Pad" for node in chain):
                done = _cancel_around_pads(graph, chain, last, constants)
            else:
                done = _move_down(graph, chain, last)
            if done:
                ctx.applied(self.name(), last, f"meets {chain[0].op_type} over {len(chain) - 1} operators")
                changed = True
        return changed


def _chain(graph: ir.Graph, last: ir.Node) -> list[ir.Node]:
    """The reshape above ``last`` and the operators in between, each read by the next alone."""
    chain: list[ir.Node] = []
    reader = last
    while len(chain) <= _LONGEST:
        node = _source(reader)
        if node is None or node.graph is not graph:
            return []
        chain.insert(0, node)
        if node.domain == "" and node.op_type in _RESHAPES:
            return chain
        if not is_only_read_by(node.outputs[0], reader) or not _is_indifferent(node):
            return []
        reader = node
    return []


def _source(node: ir.Node) -> ir.Node | None:
    """What computes the one operand of ``node`` that is no scalar."""
    value = _operand(node)
    return None if value is None else value.producer()


def _operand(node: ir.Node) -> ir.Value | None:
    if node.op_type not in BROADCAST_OPERATORS:
        return node.inputs[0]
    wide = [value for value in node.inputs if not _is_scalar(value)]
    return wide[0] if len(wide) == 1 else None


def _is_scalar(value: ir.Value | None) -> bool:
    return value is not None and value.shape is not None and len(value.shape) == 0


def _is_indifferent(node: ir.Node) -> bool:
    """Whether the operator works on one value in any shape, or is a Pad whose axes can be renamed."""
    if node.domain != "":
        return False
    if node.op_type in BROADCAST_OPERATORS:
        return _operand(node) is not None
    if node.op_type == "Pad":
        has_axes = len(node.inputs) > 3 and node.inputs[3] is not None
        return not has_axes and constant_array(node.inputs[1]) is not None
    return node.op_type in UNARY and all(v is None or _is_scalar(v) for v in node.inputs[1:])


def _move_down(graph: ir.Graph, chain: Sequence[ir.Node], last: ir.Node) -> bool:
    """Put the first reshape right before the last one, where the two are one or none."""
    first, source = chain[0], chain[0].inputs[0]
    dims = dims_of(source)
    if dims is None or source is None:
        return False
    begin = original(dims)
    middle = follow(first, begin)
    end = middle if isinstance(middle, str) else follow(last, middle)
    if isinstance(end, str):
        return False
    cancels = end == begin and not last.outputs[0].is_graph_output()
    if not cancels and not _become_one(chain, end, infers(first) or infers(last)):
        return False
    moved, bottom = first.outputs[0], chain[-1].outputs[0]
    _redirect(chain[1], moved, source)
    shape = moved.shape
    for node in chain[1:]:
        node.outputs[0].shape = ir.Shape(dims)
    if cancels:
        last.outputs[0].replace_all_uses_with(bottom)
        drop_if_dead(last)
        drop_if_dead(first)
        return True
    graph.remove(first)
    graph.insert_before(last, first)
    first.replace_input_with(0, bottom)
    _redirect(last, bottom, moved)
    moved.shape, moved.type = shape, bottom.type
    return True


def _become_one(chain: Sequence[ir.Node], end: Shape, may_infer: bool) -> bool:
    """Whether the first reshape can go behind the others and be one with the last."""
    if not is_only_read_by(chain[0].outputs[0], chain[1]):
        return False
    return not isinstance(reshape_target(end, may_infer), str)


def _redirect(node: ir.Node, old: ir.Value, new: ir.Value) -> None:
    for index, value in enumerate(node.inputs):
        if value is old:
            node.replace_input_with(index, new)


def _cancel_around_pads(
    graph: ir.Graph, chain: Sequence[ir.Node], last: ir.Node, constants: Constants
) -> bool:
    """Take both reshapes away where the second restores the axes the first had."""
    first, source = chain[0], chain[0].inputs[0]
    dims, result = dims_of(source), dims_of(last.outputs[0])
    if source is None or dims is None or result is None or last.outputs[0].is_graph_output():
        return False
    layout = follow_axes(first, start(dims), dims) if first.op_type in LAYOUT_OPERATORS else None
    shapes = None if layout is None else _padded(chain[1:], layout, dims)
    if layout is None or shapes is None or not _is_same(shapes[-1], result):
        return False
    _redirect(chain[1], first.outputs[0], source)
    for node, shape in zip(chain[1:], shapes, strict=True):
        node.outputs[0].shape = ir.Shape(shape)
        if node.op_type == "Pad":
            pads = _pads(node, layout, len(dims))
            assert pads is not None, "what is not possible has been refused"
            wide = constants.add(graph, f"{node.outputs[0].name}.pads", np.asarray(pads, np.int64))
            node.replace_input_with(1, wide)
    last.outputs[0].replace_all_uses_with(chain[-1].outputs[0])
    drop_if_dead(last)
    drop_if_dead(first)
    return True


def _padded(nodes: Sequence[ir.Node], layout: Layout, dims: Dims) -> list[Dims] | None:
    """The shape after each operator when all work on the value before the reshape."""
    shapes: list[Dims] = []
    current = dims
    for node in nodes:
        if node.op_type == "Pad":
            pads = _pads(node, layout, len(dims))
            if pads is None:
                return None
            added = [pads[axis] + pads[axis + len(dims)] for axis in range(len(dims))]
            if any(more and not isinstance(dim, int) for more, dim in zip(added, current, strict=True)):
                return None
            current = tuple(
                d + more if isinstance(d, int) else d for d, more in zip(current, added, strict=True)
            )
        shapes.append(current)
    return shapes


def _pads(node: ir.Node, layout: Layout, rank: int) -> list[int] | None:
    """The pads for the axes before the reshape; None where an axis is padded that has no counterpart."""
    array = constant_array(node.inputs[1])
    if array is None or array.size != 2 * len(layout):
        return None
    wide = [0] * (2 * rank)
    for index, number in enumerate(int(element) for element in array.ravel()):
        run = layout[index % len(layout)]
        if number and len(run) != 1:
            return None
        if number:
            wide[run[0] + rank * (index >= len(layout))] = number
    return wide


def _is_same(a: Sequence[Dim], b: Sequence[Dim]) -> bool:
    return len(a) == len(b) and all(same_dim(x, y) for x, y in zip(a, b, strict=True))
