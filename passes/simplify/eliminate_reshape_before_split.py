"""EliminateReshapeBeforeSplit: parts that are reshaped anyway need not come from a reshaped whole."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.ir.dims import same_dim
from graphopt.passes.simplify._broadcast import Dims, dims_of
from graphopt.passes.simplify._parts import axis_of
from graphopt.passes.simplify._surgery import drop_if_dead, is_only_read_by, nodes_of, producer_of
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.constants import constant_array
from graphopt.rewrite.opfacts import opset_of

_MIN_OPSET = 13


@dataclass(frozen=True)
class EliminateReshapeBeforeSplit(Pass):
    """Split a value as it is where every part is reshaped to its own shape.

    Before: ``r = Reshape(x, [0, 192, 1024]); a, b = Split<axis=1>(r)``, both reshaped, x of [N, 192, 32, 32].
    After:  ``a, b = Split<axis=1>(x)``, both reshaped.
    Needs:  the dims of x and of r, which agree up to the axis that is split; targets of the parts that are
            constants or copy nothing.
    Keeps:  a Reshape that something else reads.
    Skips:  targets that copy a dim behind the axis.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Visit every Split once."""
        if opset_of(model.graph, model) < _MIN_OPSET:
            return False
        changed = False
        for graph, node in nodes_of(model, frozenset({"Split"})):
            reshape, axis = producer_of(node.inputs[0], "Reshape", graph), axis_of(node)
            if reshape is None or axis is None or not is_only_read_by(reshape.outputs[0], node):
                continue
            dims = dims_of(reshape.inputs[0])
            if dims is None or not _agree(dims, dims_of(reshape.outputs[0]), axis):
                continue
            if not all(_is_reshaped(graph, value, axis) for value in node.outputs):
                ctx.missed(self.name(), node, "a part is read in the shape it has")
                continue
            _split_as_it_is(node, reshape, axis, dims)
            ctx.applied(self.name(), node, "its parts are reshaped anyway")
            changed = True
        return changed


def _agree(before: Dims, after: Dims | None, axis: int) -> bool:
    """Whether two shapes are the same up to ``axis``."""
    if after is None or min(len(before), len(after)) <= axis:
        return False
    return all(same_dim(before[index], after[index]) for index in range(axis + 1))


def _is_reshaped(graph: ir.Graph, value: ir.Value, axis: int) -> bool:
    """Whether all that reads ``value`` are reshapes that copy no dim behind ``axis``."""
    if value.is_graph_output():
        return False
    for use in value.uses():
        node = use.node
        if node.op_type != "Reshape" or node.domain != "" or node.graph is not graph or use.idx != 0:
            return False
        if node.attributes.get_int("allowzero", 0) != 0:
            continue  # a zero is a zero: nothing is copied, even where the target is computed
        target = constant_array(node.inputs[1])
        if target is None:
            return False
        if any(index > axis and size == 0 for index, size in enumerate(target.ravel().tolist())):
            return False
    return True


def _split_as_it_is(node: ir.Node, reshape: ir.Node, axis: int, dims: Dims) -> None:
    node.replace_input_with(0, reshape.inputs[0])
    node.attributes["axis"] = ir.AttrInt64("axis", axis)
    for value in node.outputs:
        part = None if value.shape is None else value.shape[axis]
        value.shape = None if part is None else ir.Shape([*dims[:axis], part, *dims[axis + 1 :]])
    drop_if_dead(reshape)
