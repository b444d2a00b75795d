"""Operators that move elements and compute nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from graphopt.backends.native.lower.context import Context, Refusal, copied, integer, is_wanted, text
from graphopt.backends.native.plan import Attribute

Lowering = Callable[[ir.Node, Context], None]


def as_it_is(op: str, *attributes: str) -> Lowering:
    """A step with the node's inputs, outputs and those attributes."""

    def lower(node: ir.Node, ctx: Context) -> None:
        ctx.emit(node, op, ctx.inputs(node), ctx.outputs(node), copied(node, *attributes))

    return lower


def lower_pad(node: ir.Node, ctx: Context) -> None:
    """``pad``: pads, value and axes are inputs."""
    ctx.emit(node, "pad", ctx.inputs(node), [ctx.output(node)], {"mode": text(node, "mode", "constant")})


def lower_constant_of_shape(node: ir.Node, ctx: Context) -> None:
    """``fill`` with one number."""
    attr = node.attributes.get("value")
    array = np.zeros(1, np.float32) if attr is None else np.asarray(attr.as_tensor().numpy())
    value = ctx.constant(f"{node.name}_value", array.reshape(-1)[:1])
    ctx.emit(node, "fill", [ctx.value(node.inputs[0]), value], [ctx.output(node)])


def lower_depth_to_space(node: ir.Node, ctx: Context) -> None:
    """``depth_to_space`` or ``space_to_depth``."""
    attributes: dict[str, Attribute] = {"blocksize": integer(node, "blocksize", 1)}
    op = "space_to_depth"
    if node.op_type == "DepthToSpace":
        op, attributes["mode"] = "depth_to_space", text(node, "mode", "DCR")
    ctx.emit(node, op, ctx.inputs(node), [ctx.output(node)], attributes)


def lower_scatter_elements(node: ir.Node, ctx: Context) -> None:
    """``scatter_elements``."""
    attributes: dict[str, Attribute] = {
        "axis": integer(node, "axis", 0),
        "reduction": text(node, "reduction", "none"),
    }
    ctx.emit(node, "scatter_elements", ctx.inputs(node), [ctx.output(node)], attributes)


def lower_dropout(node: ir.Node, ctx: Context) -> None:
    """In inference it hands its input on."""
    from graphopt.rewrite.constants import constant_array

    if len(node.inputs) > 2 and node.inputs[2] is not None:
        training = constant_array(node.inputs[2])
        if training is None or training.any():
            raise Refusal("its dropout has no training mode")
    if is_wanted(node, 1):
        raise Refusal("its dropout has no mask")
    ctx.emit(node, "identity", [ctx.value(node.inputs[0])], [ctx.output(node)])


MOVEMENT: dict[str, Lowering] = {
    "Concat": as_it_is("concat", "axis"),
    "ConstantOfShape": lower_constant_of_shape,
    "DepthToSpace": lower_depth_to_space,
    "Dropout": lower_dropout,
    "EyeLike": as_it_is("eye_like", "k", "dtype"),
    "Gather": as_it_is("gather", "axis"),
    "GatherElements": as_it_is("gather_elements", "axis"),
    "GatherND": as_it_is("gather_nd", "batch_dims"),
    "OneHot": as_it_is("one_hot", "axis"),
    "Pad": lower_pad,
    "Range": as_it_is("range"),
    "ReverseSequence": as_it_is("reverse_sequence", "batch_axis", "time_axis"),
    "ScatterElements": lower_scatter_elements,
    "ScatterND": as_it_is("scatter_nd", "reduction"),
    "Shape": as_it_is("shape", "start", "end"),
    "Size": as_it_is("size"),
    "SpaceToDepth": lower_depth_to_space,
    "Tile": as_it_is("tile"),
    "Trilu": as_it_is("trilu", "upper"),
}
