"""Operators that only look at their input in another way."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphopt.backends.native.lower.context import Context, Refusal, copied, integer, integers, rank_of
from graphopt.backends.native.lower.movement import Lowering
from graphopt.backends.native.plan import Value
from graphopt.rewrite.constants import constant_array


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
    """``squeeze`` or ``unsqueeze``; axes as input, or as attribute where the opset has it so."""
    op = node.op_type.lower()
    ctx.emit(node, op, axes_as_input(node, ctx), [ctx.output(node)])


def axes_as_input(node: ir.Node, ctx: Context) -> list[Value | None]:
    """The first input and the axes behind it."""
    axes = integers(node, "axes")
    given = ctx.inputs(node)
    return given if axes is None else [given[0], ctx.constant(f"{node.name}_axes", np.array(axes, np.int64))]


def lower_expand(node: ir.Node, ctx: Context) -> None:
    """``expand``: repeated dims have stride zero."""
    ctx.emit(node, "expand", ctx.inputs(node), [ctx.output(node)])


def lower_split(node: ir.Node, ctx: Context) -> None:
    """``split`` along one axis; nobody has to want every part."""
    given = ctx.inputs(node)
    if len(given) == 1 and (sizes := integers(node, "split")) is not None:
        given.append(ctx.constant(f"{node.name}_sizes", np.array(sizes, np.int64)))
    outputs: list[Value | None] = [ctx.output(node, i) for i in range(len(node.outputs))]
    ctx.emit(node, "split", given, outputs, {"axis": integer(node, "axis", 0)})


def lower_slice(node: ir.Node, ctx: Context) -> None:
    """``slice``: starts, ends, axes and steps are inputs."""
    given = ctx.inputs(node)
    if len(given) < 3:
        raise Refusal("its slice takes starts and ends as inputs")
    ctx.emit(node, "slice", given, [ctx.output(node)])


def static_axes(node: ir.Node, index: int) -> tuple[int, ...] | None:
    """Axes that are a constant input or an attribute; None where there are none."""
    if (axes := integers(node, "axes")) is not None:
        return axes
    if index >= len(node.inputs) or node.inputs[index] is None:
        return None
    array = constant_array(node.inputs[index])
    if array is None:
        raise Refusal("its axes are computed")
    return tuple(int(axis) for axis in array.ravel())


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
