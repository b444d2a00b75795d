"""SpellIntegerProducts: products of quantised matrices by ONNX Runtime's own names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ops.bias_mat_mul_integer_to_float import BIAS_MAT_MUL_INTEGER_TO_FLOAT
from graphopt.ops.mat_mul_integer_to_float import MAT_MUL_INTEGER_TO_FLOAT
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.rule import Refusal, Rule


def _has_kernel(match: Match) -> str | None:
    kind = match.dtype("b_scale")
    return None if kind == ir.DataType.FLOAT else "ONNX Runtime scales only in float32"


def _draw(draw: Draw) -> None:
    right = draw.choice(ir.DataType.UINT8, ir.DataType.INT8)
    draw.input("x", "N", 3, 8)
    draw.input("a", "N", 3, 8, dtype=ir.DataType.UINT8)
    draw.input("a_scale")
    draw.input("az", dtype=ir.DataType.UINT8)
    draw.constant("b", draw.array(8, 5, dtype=right))
    draw.constant("b_scale", draw.array(*draw.choice((), (5,))))
    draw.constant("bz", 0, dtype=right)
    draw.constant("bias", draw.array(5))
    draw.function(MAT_MUL_INTEGER_TO_FLOAT.function)
    draw.function(BIAS_MAT_MUL_INTEGER_TO_FLOAT.function)
    draw.result("y", "N", 3, 5)


def _draw_double(draw: Draw) -> None:
    _draw(draw)
    draw.constant("b_scale", 0.5, dtype=ir.DataType.DOUBLE)


def _rule(name: str, quantise: str, call: str, after: str) -> Rule:
    return Rule(
        name,
        before=f"{quantise}; y = graphopt.{call}" if quantise else f"y = graphopt.{call}",
        after=f"y = com.microsoft.{after}",
        guard=_has_kernel,
        min_opset=15,
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw,
        refusals=(Refusal(_draw_double, because="only in float32"),),
    )


_QUANTISE = "a, a_scale, az = DynamicQuantizeLinear (x)"
_PLAIN = "MatMulIntegerToFloat (a, b, a_scale, b_scale, az, bz)"
_BIASED = "BiasMatMulIntegerToFloat (a, b, a_scale, b_scale, az, bz, bias)"

RULES = (
    _rule("dynamic", _QUANTISE, _PLAIN, "DynamicQuantizeMatMul (x, b, b_scale, bz)"),
    _rule("dynamic-with-bias", _QUANTISE, _BIASED, "DynamicQuantizeMatMul (x, b, b_scale, bz, bias)"),
    _rule("integers", "", _PLAIN, _PLAIN),
    _rule("integers-with-bias", "", _BIASED, _PLAIN.replace("bz)", "bz, bias)")),
)


@dataclass(frozen=True)
class SpellIntegerProducts(Pass):
    """Write products of quantised matrices as ONNX Runtime's kernel, with what it computes on the way.

    Before: ``a, s, z = DynamicQuantizeLinear(x); y = graphopt.MatMulIntegerToFloat(a, b, s, t, z, w)``.
    After:  ``y = com.microsoft.DynamicQuantizeMatMul(x, b, t, w)``.
    Needs:  float32 results.
    Keeps:  one DynamicQuantizeLinear for all products that share it: com.microsoft.MatMulIntegerToFloat.
    Skips:  scales of other types, for which there is no kernel: the body is computed step by step.
    """

    backend: ClassVar[str] = "onnxruntime"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
