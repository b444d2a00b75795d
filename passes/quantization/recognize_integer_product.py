"""RecognizeIntegerProduct: a product of quantised matrices, its scales and its bias are one operator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.ops.bias_mat_mul_integer_to_float import BIAS_MAT_MUL_INTEGER_TO_FLOAT
from graphopt.ops.mat_mul_integer_to_float import MAT_MUL_INTEGER_TO_FLOAT
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.dims import same_dim
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Constant, Replacement
from graphopt.rewrite.rule import Refusal, Rule

_PRODUCT = "p = MatMulInteger (a, b, az?, bz?); n = Cast <to = @to, **attrs> (p)"


def _is_scalar(match: Match, name: str) -> bool:
    """One number that enlarges nothing."""
    return match.static_shape(name) in ((), (1,))


def _is_per_column(match: Match, name: str) -> bool:
    """One number, or one for each column of b."""
    shape, columns = match.shape(name), match.shape("b")
    if _is_scalar(match, name):
        return True
    return (
        shape is not None and len(shape) == 1 and bool(columns) and same_dim(shape[0], (columns or (0,))[-1])
    )


def _typed(match: Match, scale: str) -> str | None:
    if match.dtype("b") is None or match.dtype("a") is None:
        return "the element types of its operands are unknown"
    if match.rank("b") is None or (match.rank("b") or 0) < 2:
        return "its right operand is no matrix"
    return None if match.attr_int("to") == match.dtype(scale) else "it is scaled in another type"


def _scaled(match: Match) -> str | None:
    if match.is_constant("b") and match.is_constant("a_scale") and not match.is_constant("b_scale"):
        return "its scales are the other way round"
    if not _is_scalar(match, "a_scale"):
        return "the scale of its left operand is no single number"
    if not _is_per_column(match, "b_scale"):
        return "the scale of its right operand is not one number per column"
    return _typed(match, "b_scale")


def _scaled_once(match: Match) -> str | None:
    """A constant scale; what is computed may be the product of two, which says more."""
    if not match.is_constant("s"):
        return ""
    if not _is_per_column(match, "s"):
        return "its scale is not one number per column"
    return _typed(match, "s")


def _call(match: Match, scales: str, constants: dict[str, Constant]) -> Replacement:
    """The call, with the zero points that were left out."""
    for zero, operand in (("az", "a"), ("bz", "b")):
        kind = match.dtype(operand)
        if zero not in match and kind is not None:
            constants[zero] = np.zeros((), kind.numpy())
    return Replacement(f"y = graphopt.MatMulIntegerToFloat (a, b, {scales}, az, bz)", constants=constants)


def _with_both(match: Match) -> Replacement:
    return _call(match, "a_scale, b_scale", {})


def _with_one(match: Match) -> Replacement:
    kind = match.dtype("s")
    assert kind is not None, "the guard let only what has a type through"
    return _call(match, "one, s", {"one": np.ones((), kind.numpy())})


def _one_per_column(match: Match) -> str | None:
    if match.rank("bias") != 1 or not _is_per_column(match, "bias") or _is_scalar(match, "bias"):
        return "what is added is not one number per column"
    return None


def _draw(draw: Draw) -> None:
    left = draw.choice(ir.DataType.UINT8, ir.DataType.INT8)
    right = ir.DataType.INT8 if left == ir.DataType.INT8 else draw.choice(left, ir.DataType.INT8)
    draw.input("a", "N", 3, 8, dtype=left)
    draw.constant("b", draw.array(8, 5, dtype=right))
    draw.input("a_scale", *draw.choice((), (1,)))
    draw.constant("b_scale", draw.array(*draw.choice((), (1,), (5,))))
    draw.constant("s", draw.array(*draw.choice((), (1,), (5,))))
    draw.input("az", dtype=left)
    draw.constant("bz", 0, dtype=right)
    for zero in ("az", "bz"):
        if "MatMulInteger" in draw.ops and draw.flag():
            draw.omit(zero)
            draw.inputs.pop(zero, None)
    draw.constant("bias", draw.array(5))
    draw.attribute("to", int(draw.dtype))
    draw.attribute("attrs", {})
    draw.function(MAT_MUL_INTEGER_TO_FLOAT.function)
    draw.result("t", "N", 3, 5)


def _draw_scales_per_row(draw: Draw) -> None:
    _draw(draw)
    draw.input("a_scale", 3, 1)


def _draw_scalar_bias(draw: Draw) -> None:
    _draw(draw)
    draw.constant("bias", draw.array(1))


_FLOATS = (ir.DataType.FLOAT, ir.DataType.DOUBLE)

RULES = (
    Rule(
        "scales-first",
        before=f"{_PRODUCT}; s = Mul (a_scale, b_scale); y = Mul (n, s)",
        after=_with_both,
        guard=_scaled,
        shared=("s",),
        functions=(MAT_MUL_INTEGER_TO_FLOAT.function,),
        min_opset=15,
        dtypes=_FLOATS,
        draw=_draw,
        refusals=(Refusal(_draw_scales_per_row),),
    ),
    Rule(
        "scales-in-turn",
        before=f"{_PRODUCT}; t = Mul (n, a_scale); y = Mul (t, b_scale)",
        after=_with_both,
        guard=_scaled,
        functions=(MAT_MUL_INTEGER_TO_FLOAT.function,),
        min_opset=15,
        exact=False,
        dtypes=_FLOATS,
        draw=_draw,
        refusals=(Refusal(_draw_scales_per_row),),
    ),
    Rule(
        "one-scale",
        before=f"{_PRODUCT}; y = Mul (n, s)",
        after=_with_one,
        guard=_scaled_once,
        functions=(MAT_MUL_INTEGER_TO_FLOAT.function,),
        min_opset=15,
        dtypes=_FLOATS,
        draw=_draw,
    ),
    Rule(
        "bias",
        before="t = graphopt.MatMulIntegerToFloat (a, b, a_scale, b_scale, az, bz); y = Add (t, bias)",
        after="y = graphopt.BiasMatMulIntegerToFloat (a, b, a_scale, b_scale, az, bz, bias)",
        guard=_one_per_column,
        functions=(BIAS_MAT_MUL_INTEGER_TO_FLOAT.function,),
        min_opset=15,
        dtypes=_FLOATS,
        draw=_draw,
        refusals=(Refusal(_draw_scalar_bias, because="not one number per column"),),
    ),
)


@dataclass(frozen=True)
class RecognizeIntegerProduct(Pass):
    """Name what dynamic quantisation makes of a product: integers, their two scales, a bias.

    Before: ``n = Cast(MatMulInteger(a, b, az, bz)); y = Add(Mul(n, Mul(a_scale, b_scale)), bias)``.
    After:  ``y = graphopt.BiasMatMulIntegerToFloat(a, b, a_scale, b_scale, az, bz, bias)``.
    Needs:  a single scale for a, and one number or one per column for b and the bias.
    Keeps:  the quantised weights, and DynamicQuantizeLinear: products of the same value share it.
    Skips:  products whose integers are read as they are.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
