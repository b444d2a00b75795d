"""Operators that only look at their input in another way."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.backends.native.lower.context import Context, copied, integer, integers, rank_of
from graphopt.backends.native.lower.movement import Lowering
from graphopt.backends.native.plan import Value


def lower_identity(node: ir.Node, ctx: Context) -> None:
    """No step unless the result leaves the graph under a name of its own."""
    source = ctx.value(node.inputs[0])
    if node.outputs[0].is_graph_output():
        ctx.emit(node, "identity", [source], [ctx.output(node)])
    else:
        ctx.alias(node.outputs[0], source)


def lower_reshape(node: ir.Node, ctx: Context) -> None:
    """``reshape``; the shape may be computed from other shapes."""
    ctx.emit(node, "reshape", ctx.inputs(node), [ctx.output(node)], copied(node, "allowzero"))


def lower_flatten(node: ir.Node, ctx: Context) -> None:
    """``flatten``."""
    ctx.emit(node, "flatten", ctx.inputs(node), [ctx.output(node)], {"axis": integer(node, "axis", 1)})


def lower_transpose(node: ir.Node, ctx: Context) -> None:
    """``transpose`` with the permutation spelled out."""
    source = ctx.value(node.inputs[0])
    perm = integers(node, "perm")
    if perm is None:
        perm = tuple(reversed(range(rank_of(source))))
    ctx.emit(node, "transpose", [source], [ctx.output(node)], {"perm": perm})


def lower_squeeze(node: ir.Node, ctx: Context) -> None:
    """``squeeze`` or ``unsqueeze``; the axes are an input."""
    ctx.emit(node, node.op_type.lower(), ctx.inputs(node), [ctx.output(node)])


def lower_expand(node: ir.Node, ctx: Context) -> None:
    """``expand``: repeated dims have stride zero."""
    ctx.emit(node, "expand", ctx.inputs(node), [ctx.output(node)])


def lower_split(node: ir.Node, ctx: Context) -> None:
    """``split`` along one axis; nobody has to want every part."""
    outputs: list[Value | None] = [ctx.output(node, i) for i in range(len(node.outputs))]
    ctx.emit(node, "split", ctx.inputs(node), outputs, {"axis": integer(node, "axis", 0)})


def lower_slice(node: ir.Node, ctx: Context) -> None:
    """``slice``: starts, ends, axes and steps are inputs."""
    ctx.emit(node, "slice", ctx.inputs(node), [ctx.output(node)])


VIEWS: dict[str, Lowering] = {
    "Expand": lower_expand,
    "Flatten": lower_flatten,
    "Identity": lower_identity,
    "Reshape": lower_reshape,
    "Slice": lower_slice,
    "Split": lower_split,
    "Squeeze": lower_squeeze,
    "Transpose": lower_transpose,
    "Unsqueeze": lower_squeeze,
}
