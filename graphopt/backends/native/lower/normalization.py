"""Normalisations."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphopt.backends.native.expression import Expression, apply, number, operand
from graphopt.backends.native.lower.context import Context, Refusal, integer, is_wanted, rank_of, real
from graphopt.backends.native.lower.movement import Lowering
from graphopt.backends.native.plan import Attribute, Dims, Value
from graphopt.rewrite.constants import constant_array


def lower_layer_normalization(node: ir.Node, ctx: Context) -> None:
    """``layer_norm`` without a skip connection."""
    x, scale, shift = ctx.value(node.inputs[0]), ctx.value(node.inputs[1]), ctx.optional(node, 2)
    outputs = ctx.outputs(node)
    mean, deviation = (*outputs[1:], None, None)[:2]
    attributes = _layer_attributes(node, "layer")
    given = [outputs[0], None, mean, deviation] if mean or deviation else outputs[:1]
    ctx.emit(node, "layer_norm", [x, None, None, scale, shift], given, attributes)


def lower_rms_normalization(node: ir.Node, ctx: Context) -> None:
    """``layer_norm`` by the root mean square."""
    x, scale = ctx.value(node.inputs[0]), ctx.value(node.inputs[1])
    inputs = [x, None, None, scale]
    ctx.emit(node, "layer_norm", inputs, [ctx.output(node)], _layer_attributes(node, "rms"))


def lower_skip_normalization(node: ir.Node, ctx: Context) -> None:
    """``layer_norm`` of a sum, which is a result too where somebody wants it."""
    kind = "rms" if node.op_type == "SkipRMSNormalization" else "layer"
    x, skip, scale, shift = (ctx.optional(node, i) for i in range(4))
    outputs = ctx.outputs(node)
    if len(outputs) > 1 and outputs[1] is None:
        outputs = outputs[:1]
    ctx.emit(node, "layer_norm", [x, skip, None, scale, shift], outputs, _layer_attributes(node, kind))


def lower_embed_layer_normalization(node: ir.Node, ctx: Context) -> None:
    """Three gathers and the ``layer_norm`` of their sum."""
    tables = [ctx.value(value) for value in node.inputs[3:6]]
    rows: list[Value | None] = []
    for index, table in enumerate(tables):
        numbers = ctx.value(node.inputs[index])
        dims = None if numbers.dims is None or table.dims is None else (*numbers.dims, *table.dims[1:])
        rows.append(ctx.intermediate(f"{table.name}_rows", table, dims))
        ctx.emit(node, "gather", [table, numbers], [rows[-1]], {"axis": 0})
    inputs = [*rows, ctx.value(node.inputs[6]), ctx.value(node.inputs[7])]
    ctx.emit(node, "layer_norm", inputs, [ctx.output(node)], _layer_attributes(node, "layer"))


def _layer_attributes(node: ir.Node, kind: str) -> dict[str, Attribute]:
    return {"kind": kind, "axis": integer(node, "axis", -1), "epsilon": real(node, "epsilon", 1e-5)}


def lower_group_normalization(node: ir.Node, ctx: Context) -> None:
    """``group_norm``; the scale is one number per channel."""
    x, scale, bias = (ctx.value(node.inputs[i]) for i in range(3))
    groups = integer(node, "num_groups", 1)
    channels = x.dims[1] if x.dims is not None and len(x.dims) > 1 else None
    if scale.dims is not None and channels is not None and scale.dims != (channels,):
        raise Refusal("its group norm has one scale per channel")
    attributes: dict[str, Attribute] = {"num_groups": groups, "epsilon": real(node, "epsilon", 1e-5)}
    ctx.emit(node, "group_norm", [x, scale, bias], [ctx.output(node)], attributes)


def lower_instance_normalization(node: ir.Node, ctx: Context) -> None:
    """``group_norm`` with groups of one channel."""
    x, scale, bias = (ctx.value(node.inputs[i]) for i in range(3))
    channels = next((v.dims[0] for v in (scale, bias) if v.dims and isinstance(v.dims[0], int)), None)
    if not isinstance(channels, int):
        raise Refusal("the number of channels is not known")
    attributes: dict[str, Attribute] = {"num_groups": channels, "epsilon": real(node, "epsilon", 1e-5)}
    ctx.emit(node, "group_norm", [x, scale, bias], [ctx.output(node)], attributes)


def lower_batch_normalization(node: ir.Node, ctx: Context) -> None:
    """x·a + b with one a and b per channel, computed here where the statistics are constants."""
    if integer(node, "training_mode", 0) or any(is_wanted(node, i) for i in range(1, len(node.outputs))):
        raise Refusal("its batch norm has no training mode")
    x = ctx.operand(node, 0)
    assert x.value is not None
    rank = rank_of(x.value)
    if rank < 2:
        raise Refusal("there is no dim of channels")
    epsilon = real(node, "epsilon", 1e-5)
    arrays = [constant_array(value) for value in node.inputs[1:5]]
    if all(array is not None for array in arrays):
        scale, shift, mean, variance = (np.asarray(array, np.float64) for array in arrays)
        factor = scale / np.sqrt(variance + epsilon)
        kind = x.dtype.numpy()
        tail = (1,) * (rank - 2)
        a = ctx.constant(f"{node.name}_factor", factor.astype(kind).reshape(-1, *tail))
        b = ctx.constant(f"{node.name}_shift", (shift - mean * factor).astype(kind).reshape(-1, *tail))
        ctx.emit_elementwise(node, apply("add", apply("mul", x, operand(a)), operand(b)), ctx.output(node))
        return
    scale_, shift_, mean_, variance_ = (_per_channel(node, ctx, i, rank) for i in range(1, 5))
    deviation = apply("sqrt", apply("add", variance_, number(epsilon, variance_.dtype)))
    normal = apply("div", apply("sub", x, mean_), deviation)
    ctx.emit_elementwise(node, apply("add", apply("mul", normal, scale_), shift_), ctx.output(node))


def _per_channel(node: ir.Node, ctx: Context, index: int, rank: int) -> Expression:
    """An input [C] as [C, 1, …]."""
    value = ctx.operand(node, index).value
    assert value is not None
    if rank == 2:
        return operand(value)
    dims: Dims | None = None if value.dims is None else (*value.dims, *(1,) * (rank - 2))
    grown = ctx.intermediate(f"{value.name}_grown", value, dims)
    ctx.emit(node, "unsqueeze", [value], [grown], {"axes": tuple(range(1, rank - 1))})
    return operand(grown)


def lower_lp_normalization(node: ir.Node, ctx: Context) -> None:
    """x divided by its norm along an axis; where the norm is zero, zero."""
    x = ctx.operand(node, 0)
    assert x.value is not None
    rank = rank_of(x.value)
    axis = integer(node, "axis", -1) % rank
    norm = _reduced(node, ctx, x.value, "l1" if integer(node, "p", 2) == 1 else "l2", (axis,))
    zero = number(0.0, x.dtype)
    divided = apply("div", x, operand(norm))
    ctx.emit_elementwise(
        node, apply("where", apply("equal", operand(norm), zero), zero, divided), ctx.output(node)
    )


def lower_mean_variance_normalization(node: ir.Node, ctx: Context) -> None:
    """(x - mean)/(deviation + 1e-9), as the ONNX function has it."""
    x = ctx.operand(node, 0)
    assert x.value is not None
    rank = rank_of(x.value)
    attr = node.attributes.get("axes")
    axes = tuple(int(a) % rank for a in attr.as_ints()) if attr is not None else (0, 2, 3)
    if any(axis >= rank for axis in axes):
        raise Refusal("there are fewer dims than axes")
    mean = _reduced(node, ctx, x.value, "mean", axes)
    centred = ctx.intermediate(f"{node.name}_centred", x.value, x.value.dims)
    ctx.emit_elementwise(node, apply("sub", x, operand(mean)), centred)
    square = ctx.intermediate(f"{node.name}_square", x.value, x.value.dims)
    ctx.emit_elementwise(node, apply("mul", operand(centred), operand(centred)), square)
    variance = _reduced(node, ctx, square, "mean", axes)
    deviation = apply("add", apply("sqrt", operand(variance)), number(1e-9, x.dtype))
    ctx.emit_elementwise(node, apply("div", operand(centred), deviation), ctx.output(node))


def _reduced(node: ir.Node, ctx: Context, value: Value, kind: str, axes: tuple[int, ...]) -> Value:
    dims = None if value.dims is None else tuple(1 if i in axes else d for i, d in enumerate(value.dims))
    result = ctx.intermediate(f"{value.name}_{kind}", value, dims)
    ctx.emit(node, "reduce", [value], [result], {"kind": kind, "axes": axes, "keepdims": 1})
    return result


NORMALIZATION: dict[str, Lowering] = {
    "BatchNormalization": lower_batch_normalization,
    "GroupNormalization": lower_group_normalization,
    "InstanceNormalization": lower_instance_normalization,
    "LayerNormalization": lower_layer_normalization,
    "LpNormalization": lower_lp_normalization,
    "MeanVarianceNormalization": lower_mean_variance_normalization,
    "RMSNormalization": lower_rms_normalization,
}
NAMED_NORMALIZATION: dict[str, Lowering] = {
    "EmbedLayerNormalization": lower_embed_layer_normalization,
    "SkipLayerNormalization": lower_skip_normalization,
    "SkipRMSNormalization": lower_skip_normalization,
}
