"""Convolutions and pools. They are written in ONNX's layout; the layout pass turns them channels-last."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.backends.native.lower.context import Context, Refusal, copied, integer, is_wanted, rank_of
from graphopt.backends.native.lower.movement import Lowering
from graphopt.backends.native.plan import Attribute

_WINDOW = ("strides", "pads", "dilations", "auto_pad")


def lower_conv(node: ir.Node, ctx: Context) -> None:
    """``conv`` in one to three spatial dims."""
    _check_rank(node, ctx)
    ctx.emit(node, "conv", ctx.inputs(node), [ctx.output(node)], copied(node, *_WINDOW, "group"))


def lower_conv_transpose(node: ir.Node, ctx: Context) -> None:
    """``conv_transpose`` in one to three spatial dims."""
    _check_rank(node, ctx)
    names = (*_WINDOW, "group", "output_padding", "output_shape")
    ctx.emit(node, "conv_transpose", ctx.inputs(node), [ctx.output(node)], copied(node, *names))


def lower_pool(node: ir.Node, ctx: Context) -> None:
    """``pool`` of a kind."""
    _check_rank(node, ctx)
    if is_wanted(node, 1):
        raise Refusal("its max pool gives no indices")
    kind = {"MaxPool": "max", "AveragePool": "average", "LpPool": "lp"}[node.op_type]
    names = (*_WINDOW, "kernel_shape", "ceil_mode", "count_include_pad", "p")
    attributes = copied(node, *names) | {"kind": kind}
    ctx.emit(node, "pool", ctx.inputs(node)[:1], [ctx.output(node)], attributes)


def lower_global_pool(node: ir.Node, ctx: Context) -> None:
    """A reduction over all spatial dims."""
    source = ctx.value(node.inputs[0])
    kind = {"GlobalAveragePool": "mean", "GlobalMaxPool": "max"}.get(node.op_type, "")
    if not kind:
        kind = {1: "l1", 2: "l2"}.get(integer(node, "p", 2), "")
    if not kind:
        raise Refusal("its global pool has norms of order 1 and 2")
    axes = tuple(range(2, rank_of(source)))
    attributes: dict[str, Attribute] = {"kind": kind, "axes": axes, "keepdims": 1}
    if not axes:
        raise Refusal("there are no spatial dims to pool")
    ctx.emit(node, "reduce", [source], [ctx.output(node)], attributes)


def lower_resize(node: ir.Node, ctx: Context) -> None:
    """``resize``: any axes, any layout."""
    names = (
        "antialias",
        "axes",
        "coordinate_transformation_mode",
        "cubic_coeff_a",
        "exclude_outside",
        "extrapolation_value",
        "keep_aspect_ratio_policy",
        "mode",
        "nearest_mode",
    )
    inputs = [None if v is not None and v.dims == (0,) else v for v in ctx.inputs(node)]
    ctx.emit(node, "resize", inputs, [ctx.output(node)], copied(node, *names))


def lower_lrn(node: ir.Node, ctx: Context) -> None:
    """``lrn`` across channels."""
    rank_of(ctx.value(node.inputs[0]))
    attributes = copied(node, "alpha", "beta", "bias", "size")
    ctx.emit(node, "lrn", ctx.inputs(node), [ctx.output(node)], attributes)


def _check_rank(node: ir.Node, ctx: Context) -> None:
    source = ctx.value(node.inputs[0])
    if source.dims is None and not ctx.strict:
        return
    if not 3 <= rank_of(source) <= 5:
        raise Refusal(f"its {node.op_type} has one to three spatial dims")


CONVOLUTION: dict[str, Lowering] = {
    "AveragePool": lower_pool,
    "Conv": lower_conv,
    "ConvTranspose": lower_conv_transpose,
    "GlobalAveragePool": lower_global_pool,
    "GlobalLpPool": lower_global_pool,
    "GlobalMaxPool": lower_global_pool,
    "LRN": lower_lrn,
    "LpPool": lower_pool,
    "MaxPool": lower_pool,
    "Resize": lower_resize,
}
