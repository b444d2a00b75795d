"""Elementwise operators as expressions."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import onnx_ir as ir

from graphopt.backends.native.expression import Expression, apply, cast, number
from graphopt.backends.native.lower.context import Context, integer, real, text

Formula = Callable[[ir.Node, Context, Expression], Expression]

_UNARY = """
    Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Ceil Cos Cosh Erf Exp Floor HardSwish Log Mish Neg Not
    Reciprocal Relu Round Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Tan Tanh
"""
_BINARY = """
    Add And BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less LessOrEqual Mul Or Sub
    Xor
"""
_FOLDED = {"Max": "max", "Min": "min", "Sum": "add"}


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


def lower_elementwise(node: ir.Node, ctx: Context) -> None:
    """One step with one expression."""
    ctx.emit_elementwise(node, expression_of(node, ctx), ctx.output(node))


def expression_of(node: ir.Node, ctx: Context) -> Expression:
    """What an elementwise node computes."""
    name = node.op_type
    if name in _FOLDED:
        terms = [ctx.operand(node, i) for i in range(len(node.inputs))]
        return terms[0] if len(terms) == 1 else reduce(lambda a, b: apply(_FOLDED[name], a, b), terms)
    if name in _BINARY_NAMES:
        return apply(_BINARY_NAMES[name], ctx.operand(node, 0), ctx.operand(node, 1))
    if name in _SPECIAL:
        return _SPECIAL[name](node, ctx)
    x = ctx.operand(node, 0)
    if name in _PARAMETRIC:
        return _PARAMETRIC[name](node, x)
    return apply(_UNARY_NAMES[name], x)


def _with(op: str, **defaults: float) -> Callable[[ir.Node, Expression], Expression]:
    """An activation whose float attributes become operands."""

    def formula(node: ir.Node, x: Expression) -> Expression:
        return apply(
            op, x, *(number(real(node, name, default), x.dtype) for name, default in defaults.items())
        )

    return formula


def _gelu(node: ir.Node, x: Expression) -> Expression:
    return apply("gelu_tanh" if text(node, "approximate", "none") == "tanh" else "gelu", x)


def _is_inf(node: ir.Node, x: Expression) -> Expression:
    signs = integer(node, "detect_negative", 1), integer(node, "detect_positive", 1)
    if signs == (0, 0):
        return apply("xor", apply("is_inf", x), apply("is_inf", x))
    return apply({(1, 1): "is_inf", (1, 0): "is_inf_negative", (0, 1): "is_inf_positive"}[signs], x)


def _mean(node: ir.Node, ctx: Context) -> Expression:
    terms = [ctx.operand(node, i) for i in range(len(node.inputs))]
    total = reduce(lambda a, b: apply("add", a, b), terms)
    return apply("div", total, number(len(terms), total.dtype))


def _mod(node: ir.Node, ctx: Context) -> Expression:
    return apply("fmod" if integer(node, "fmod", 0) else "mod", ctx.operand(node, 0), ctx.operand(node, 1))


def _pow(node: ir.Node, ctx: Context) -> Expression:
    base, exponent = ctx.operand(node, 0), ctx.operand(node, 1)
    if exponent.dtype.is_floating_point() and not base.dtype.is_floating_point():
        # An integer to a broken power: computed in the exponent's dtype, as onnx.reference does.
        return cast(apply("pow", cast(base, exponent.dtype), exponent), base.dtype)
    return apply("pow", base, cast(exponent, base.dtype))


def _shift(node: ir.Node, ctx: Context) -> Expression:
    side = text(node, "direction", "").lower()
    return apply(f"bit_shift_{side}", ctx.operand(node, 0), ctx.operand(node, 1))


def _where(node: ir.Node, ctx: Context) -> Expression:
    return apply("where", *(ctx.operand(node, i) for i in range(3)))


def _clip(node: ir.Node, ctx: Context) -> Expression:
    x = ctx.operand(node, 0)
    low, high = (i < len(node.inputs) and node.inputs[i] is not None for i in (1, 2))
    if low and high:
        return apply("clip", x, ctx.operand(node, 1), ctx.operand(node, 2))
    if low:
        return apply("max", x, ctx.operand(node, 1))
    return apply("min", x, ctx.operand(node, 2)) if high else apply("identity", x)


def _cast(node: ir.Node, ctx: Context) -> Expression:
    x = ctx.operand(node, 0)
    return cast(x, ir.DataType(integer(node, "to", 0))) if x.dtype != integer(node, "to", 0) else _copy(x)


def _cast_like(node: ir.Node, ctx: Context) -> Expression:
    x, like = ctx.operand(node, 0), ctx.operand(node, 1)
    return cast(x, like.dtype) if x.dtype != like.dtype else _copy(x)


def _copy(x: Expression) -> Expression:
    return apply("identity", x)


def _prelu(node: ir.Node, ctx: Context) -> Expression:
    return apply("prelu", ctx.operand(node, 0), ctx.operand(node, 1))


_UNARY_NAMES = {name: _snake(name) for name in _UNARY.split()}
_BINARY_NAMES = {name: _snake(name) for name in _BINARY.split()}
_SPECIAL: dict[str, Callable[[ir.Node, Context], Expression]] = {
    "Mean": _mean,
    "Mod": _mod,
    "Pow": _pow,
    "BitShift": _shift,
    "Where": _where,
    "Clip": _clip,
    "Cast": _cast,
    "CastLike": _cast_like,
    "PRelu": _prelu,
}
_PARAMETRIC: dict[str, Callable[[ir.Node, Expression], Expression]] = {
    "Celu": _with("celu", alpha=1.0),
    "Elu": _with("elu", alpha=1.0),
    "Gelu": _gelu,
    "HardSigmoid": _with("hard_sigmoid", alpha=0.2, beta=0.5),
    "IsInf": _is_inf,
    "IsNaN": lambda _, x: apply("is_nan", x),
    "LeakyRelu": _with("leaky_relu", alpha=0.01),
    "QuickGelu": _with("quick_gelu", alpha=1.702),
    "Selu": _with("selu", alpha=1.67326319217681884765625, gamma=1.05070102214813232421875),
    "Shrink": _with("shrink", bias=0.0, lambd=0.5),
    "Silu": lambda _, x: apply("silu", x),
    "Swish": _with("quick_gelu", alpha=1.0),
    "ThresholdedRelu": _with("thresholded_relu", alpha=1.0),
}
STANDARD = (*_UNARY_NAMES, *_BINARY_NAMES, *_FOLDED, *_SPECIAL, *(set(_PARAMETRIC) - {"QuickGelu", "Silu"}))
"""Standard operators that ``lower_elementwise`` takes."""
NAMED = ("QuickGelu", "Silu")
"""Operators of graphopt's own that it takes."""
