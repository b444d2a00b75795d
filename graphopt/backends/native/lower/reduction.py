"""Reductions, and what else runs along an axis."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.backends.native.expression import apply, number
from graphopt.backends.native.lower.context import Context, Refusal, copied, integer, integers, real
from graphopt.backends.native.lower.movement import Lowering
from graphopt.backends.native.plan import Attribute
from graphopt.rewrite.constants import constant_array

_KINDS = {
    "ReduceL1": "l1",
    "ReduceL2": "l2",
    "ReduceLogSum": "log_sum",
    "ReduceLogSumExp": "log_sum_exp",
    "ReduceMax": "max",
    "ReduceMean": "mean",
    "ReduceMin": "min",
    "ReduceProd": "prod",
    "ReduceSum": "sum",
    "ReduceSumSquare": "sum_square",
}
_OF_ONE = {"l1": "abs", "l2": "abs", "log_sum": "log"}
"""What a reduction of single elements does to each; sum_square squares it, the others leave it as it is."""


def lower_reduce(node: ir.Node, ctx: Context) -> None:
    """``reduce`` over axes that are an attribute here, unless they are computed."""
    kind = _KINDS[node.op_type]
    attributes: dict[str, Attribute] = {"kind": kind, "keepdims": integer(node, "keepdims", 1)}
    inputs = [ctx.value(node.inputs[0])]
    axes = integers(node, "axes")
    if axes is None and len(node.inputs) > 1 and node.inputs[1] is not None:
        array = constant_array(node.inputs[1])
        if array is None:
            if integer(node, "noop_with_empty_axes", 0):
                raise Refusal("its reductions over computed axes are over at least one")
            inputs.append(ctx.value(node.inputs[1]))
        else:
            axes = tuple(int(axis) for axis in array.ravel())
    if len(inputs) == 1 and not axes and integer(node, "noop_with_empty_axes", 0):
        _reduce_nothing(node, ctx, kind)
        return
    if axes:
        attributes["axes"] = axes
    ctx.emit(node, "reduce", inputs, [ctx.output(node)], attributes)


def _reduce_nothing(node: ir.Node, ctx: Context, kind: str) -> None:
    x = ctx.operand(node, 0)
    result = apply("mul", x, x) if kind == "sum_square" else apply(_OF_ONE.get(kind, "identity"), x)
    ctx.emit_elementwise(node, result, ctx.output(node))


def lower_softmax(node: ir.Node, ctx: Context) -> None:
    """``softmax`` or its logarithm along one axis."""
    attributes: dict[str, Attribute] = {"axis": integer(node, "axis", -1)}
    if node.op_type == "LogSoftmax":
        attributes["log"] = 1
    ctx.emit(node, "softmax", ctx.inputs(node), [ctx.output(node)], attributes)


def lower_masked_softmax(node: ir.Node, ctx: Context) -> None:
    """Scores or a number where a mask says so, then ``softmax`` along the last axis."""
    scores, mask = ctx.operand(node, 0), ctx.operand(node, 1)
    fill = number(real(node, "fill", -10000.0), scores.dtype)
    chosen = (fill, scores) if node.op_type == "MaskedFillSoftmax" else (scores, fill)
    output = ctx.output(node)
    kept = ctx.intermediate(f"{node.name}_kept", output, output.dims)
    ctx.emit_elementwise(node, apply("where", mask, *chosen), kept)
    ctx.emit(node, "softmax", [kept], [output], {"axis": -1})


def lower_arg_reduce(node: ir.Node, ctx: Context) -> None:
    """``arg_reduce``: the first or last place of the largest or smallest element."""
    attributes = copied(node, "axis", "keepdims", "select_last_index")
    attributes["kind"] = "max" if node.op_type == "ArgMax" else "min"
    ctx.emit(node, "arg_reduce", ctx.inputs(node), [ctx.output(node)], attributes)


def lower_cum_sum(node: ir.Node, ctx: Context) -> None:
    """``cumsum`` along the axis of input 1."""
    ctx.emit(node, "cumsum", ctx.inputs(node), [ctx.output(node)], copied(node, "exclusive", "reverse"))


def lower_top_k(node: ir.Node, ctx: Context) -> None:
    """``top_k``: values and places."""
    outputs = [ctx.output(node, index) for index in range(2)]
    ctx.emit(node, "top_k", ctx.inputs(node), [*outputs], copied(node, "axis", "largest", "sorted"))


REDUCTION: dict[str, Lowering] = {
    **dict.fromkeys(_KINDS, lower_reduce),
    "ArgMax": lower_arg_reduce,
    "ArgMin": lower_arg_reduce,
    "CumSum": lower_cum_sum,
    "LogSoftmax": lower_softmax,
    "Softmax": lower_softmax,
    "TopK": lower_top_k,
}
NAMED_REDUCTION: dict[str, Lowering] = {
    "MaskedFillSoftmax": lower_masked_softmax,
    "MaskedSoftmax": lower_masked_softmax,
}
