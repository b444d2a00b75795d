"""SpellQuantizedProducts: quantised products with their scales are integer products and steps around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Constant, Replacement
from graphopt.rewrite.rule import Refusal, Rule

_BYTES = (ir.DataType.INT8, ir.DataType.UINT8)


def _is_one(match: Match, name: str) -> bool:
    return name not in match or match.static_shape(name) in ((), (1,))


def _as_float(match: Match, *names: str) -> list[str]:
    """``<name>_wide`` for each scale, in float32."""
    return [
        f"{name}_wide = {name}"
        if match.dtype(name) == ir.DataType.FLOAT
        else f"{name}_wide = Cast <to = 1> ({name})"
        for name in names
    ]


def _requantised(match: Match, numbers: str) -> list[str]:
    """``y`` from sums and from what one of them stands for, ``factor``, by the scale of the result."""
    return [
        *_as_float(match, "ys"),
        "ratio = Div (factor, ys_wide)",
        f"steps = Mul ({numbers}, ratio)",
        "y = QuantizeLinear (steps, one, yz)",
    ]


def _refuses_matmul(match: Match) -> str | None:
    if not all(_is_one(match, name) for name in ("as", "az", "ys", "yz")):
        return "its rows have scales of their own"
    if not _is_one(match, "bs") and (match.rank("bs") != 1 or match.rank("b") != 2):
        return "its scales are not one for each column"
    return None


def _matmul(match: Match) -> Replacement:
    lines = ["sums = MatMulInteger (a, b, az, bz)", "numbers = Cast <to = 1> (sums)"]
    lines += [
        *_as_float(match, "as", "bs"),
        "factor = Mul (as_wide, bs_wide)",
        *_requantised(match, "numbers"),
    ]
    return Replacement("\n".join(lines), constants={"one": np.ones((), np.float32)})


def _refuses_conv(match: Match) -> str | None:
    if not all(_is_one(match, name) for name in ("xs", "xz", "ys", "yz")):
        return "it has several scales"
    return None if match.rank("w") is not None else "the rank of its weight is unknown"


def _conv(match: Match) -> Replacement:
    rank = match.rank("w")
    assert rank is not None, "the guard let only known ranks through"
    constants: dict[str, Constant] = {"one": np.ones((), np.float32)}
    constants["axes"] = np.arange(1, rank - 1, dtype=np.int64)
    lines = ["sums = ConvInteger <**attrs> (x, w, xz, wz)", "numbers = Cast <to = 1> (sums)"]
    lines += _as_float(match, "xs", "ws")
    along = "ws_wide"
    if not _is_one(match, "ws"):
        lines.append("ws_along = Unsqueeze (ws_wide, axes)")
        along = "ws_along"
    lines.append(f"factor = Mul (xs_wide, {along})")
    if "bias" not in match:
        return Replacement("\n".join([*lines, *_requantised(match, "numbers")]), constants=constants)
    lines += ["bias_wide = Cast <to = 1> (bias)", "bias_along = Unsqueeze (bias_wide, axes)"]
    lines += ["biased = Add (numbers, bias_along)", *_requantised(match, "biased")]
    return Replacement("\n".join(lines), constants=constants)


def _refuses_gemm(match: Match) -> str | None:
    if match.attr_int("trans_a") or not match.is_constant("b") or match.rank("b") != 2:
        return "its left operand is transposed, or its weight computed"
    return None if all(_is_one(match, name) for name in ("as", "az", "ys", "yz")) else "it has several scales"


def _gemm(match: Match) -> Replacement:
    weight, alpha = match.constant("b"), match.attr("alpha")
    assert weight is not None, "the guard let only constants through"
    scale = alpha if isinstance(alpha, float) else 1.0
    constants: dict[str, Constant] = {"alpha": np.asarray(scale, np.float32), "one": np.ones((), np.float32)}
    if match.attr_int("trans_b"):
        constants["columns"] = np.ascontiguousarray(weight.T)
    operand = "columns" if "columns" in constants else "b"
    lines = [f"sums = MatMulInteger (a, {operand}, az, bz)", "plain = Cast <to = 1> (sums)"]
    numbers = "plain"
    if "c" in match:
        # The bias is of the scale of a sum: alpha is part of that.
        lines += ["c_wide = Cast <to = 1> (c)", "numbers = Add (plain, c_wide)"]
        numbers = "numbers"
    lines += ["both = Mul (as, bs)", "factor = Mul (both, alpha)"]
    lines += _requantised(match, numbers) if "ys" in match else [f"y = Mul ({numbers}, factor)"]
    return Replacement("\n".join(lines), constants=constants)


def _refuses_float(match: Match) -> str | None:
    if not _is_one(match, "as") or not _is_one(match, "az"):
        return "its rows have scales of their own"
    return None


_TO_FLOAT = """
    sums = MatMulInteger (a, b, az?, bz?)
    numbers = Cast <to = 1> (sums)
    factor = Mul (as, bs)
"""


def _to_float(match: Match) -> str:
    if "bias" in match:
        return f"{_TO_FLOAT}; floats = Mul (numbers, factor); y = Add (floats, bias)"
    return f"{_TO_FLOAT}; y = Mul (numbers, factor)"


def _dynamic(match: Match) -> str:
    return f"a, as, az = DynamicQuantizeLinear (x); {_to_float(match)}"


def _draw_bytes(draw: Draw, name: str, kind: ir.DataType, *shape: int) -> None:
    draw.constant(name, draw.rng.integers(0, 256, shape).astype(np.uint8).view(kind.numpy()))


def _draw_operands(draw: Draw) -> None:
    """Scales that are powers of two: no product is on the edge between two numbers."""
    left = draw.choice(*_BYTES)
    right = ir.DataType.INT8 if left == ir.DataType.INT8 else draw.choice(*_BYTES)
    draw.input("a", 3, 8, dtype=left)
    draw.feeds["a"] = draw.rng.integers(0, 256, (3, 8)).astype(np.uint8).view(left.numpy())
    _draw_bytes(draw, "b", right, 8, 5)
    draw.constant("as", 0.5, dtype=ir.DataType.FLOAT)
    draw.constant("bs", draw.choice(np.asarray(0.25, np.float32), np.full(5, 0.25, np.float32)))
    draw.constant("ys", 32.0, dtype=ir.DataType.FLOAT)
    draw.constant("az", 3, dtype=left)
    draw.constant("bz", np.zeros(draw.constants["bs"].shape, right.numpy()))
    draw.constant("yz", 5, dtype=left)
    draw.result("y", 3, 5, dtype=left)


def _draw_gemm(draw: Draw) -> None:
    _draw_operands(draw)
    draw.constant("bs", 0.25, dtype=ir.DataType.FLOAT)
    draw.constant("bz", 0, dtype=ir.DataType.from_numpy(draw.constants["b"].dtype))
    transposed = draw.flag()
    if transposed:
        draw.constant("b", np.ascontiguousarray(draw.constants["b"].T))
    draw.attribute("trans_a", 0)
    draw.attribute("trans_b", int(transposed))
    draw.attribute("alpha", 1.0)
    draw.constant("c", draw.rng.integers(-900, 900, 5).astype(np.int32))
    if draw.flag():
        draw.omit("c")
    if draw.flag():
        draw.omit("ys")
        draw.omit("yz")
        draw.result("y", 3, 5, dtype=ir.DataType.FLOAT)


def _draw_conv(draw: Draw) -> None:
    _draw_operands(draw)
    kind = draw.constants["yz"].dtype
    draw.input("x", 1, 2, 5, 5, dtype=ir.DataType.from_numpy(kind))
    draw.feeds["x"] = draw.rng.integers(0, 256, (1, 2, 5, 5)).astype(np.uint8).view(kind)
    draw.constant("w", draw.rng.integers(-99, 99, (3, 2, 3, 3)).astype(np.int8))
    draw.constant("wz", 0, dtype=ir.DataType.INT8)
    draw.constant("xs", 0.5, dtype=ir.DataType.FLOAT)
    draw.constant("xz", 7, dtype=ir.DataType.from_numpy(kind))
    draw.constant("ws", draw.choice(np.asarray(0.25, np.float32), np.full(3, 0.25, np.float32)))
    draw.constant("bias", draw.rng.integers(-900, 900, 3).astype(np.int32))
    if draw.flag():
        draw.omit("bias")
    draw.attribute("attrs", draw.choice({}, {"pads": (1, 0, 1, 1)}))


def _draw_float(draw: Draw) -> None:
    _draw_operands(draw)
    draw.input("x", 3, 8)
    draw.constant("bias", draw.rng.random(5).astype(np.float32))
    for name in ("az", "bz", "bias"):
        if draw.flag():
            draw.omit(name)
    draw.result("y", 3, 5, dtype=ir.DataType.FLOAT)


def _draw_rows(draw: Draw) -> None:
    _draw_operands(draw)
    draw.constant("as", np.full(3, 0.5, np.float32))
    draw.constant("az", np.zeros(3, draw.constants["az"].dtype))


_FLOAT = (ir.DataType.FLOAT,)

RULES = (
    Rule(
        "matmul",
        before="y = QLinearMatMul (a, as, az, b, bs, bz, ys, yz)",
        after=_matmul,
        guard=_refuses_matmul,
        dtypes=_FLOAT,
        draw=_draw_operands,
        refusals=(Refusal(_draw_rows, because="scales of their own"),),
    ),
    Rule(
        "conv",
        before="y = QLinearConv <**attrs> (x, xs, xz, w, ws, wz, ys, yz, bias?)",
        after=_conv,
        guard=_refuses_conv,
        dtypes=_FLOAT,
        draw=_draw_conv,
    ),
    Rule(
        "gemm",
        before="""
            y = com.microsoft.QGemm <transA = @trans_a, transB = @trans_b, alpha = @alpha>
                (a, as, az, b, bs, bz, c?, ys?, yz?)
        """,
        after=_gemm,
        guard=_refuses_gemm,
        dtypes=_FLOAT,
        draw=_draw_gemm,
    ),
    Rule(
        "to-float",
        before="y = com.microsoft.MatMulIntegerToFloat (a, b, as, bs, az?, bz?, bias?)",
        after=_to_float,
        guard=_refuses_float,
        exact=False,
        dtypes=_FLOAT,
        draw=_draw_float,
    ),
    Rule(
        "dynamic",
        before="y = com.microsoft.DynamicQuantizeMatMul (x, b, bs, bz?, bias?)",
        after=_dynamic,
        exact=False,
        dtypes=_FLOAT,
        draw=_draw_float,
    ),
)


@dataclass(frozen=True)
class SpellQuantizedProducts(Pass):
    """Take quantised products apart: the product of the integers, and the scale of its sums.

    QLinearMatMul and QLinearConv of ONNX; QGemm, MatMulIntegerToFloat and DynamicQuantizeMatMul of ONNX
    Runtime. The passes behind this one write integer products as TensorRT multiplies in 8 bits.

    Before: ``y = QLinearMatMul(a, s, z, b, t, w, u, v)``.
    After:  ``y = QuantizeLinear(Mul(Cast(MatMulInteger(a, b, z, w)), s · t / u), 1, v)``.
    Needs:  a single scale for the activations; for the weights one for each channel at most.
    Keeps:  every bit of the integers.
    Skips:  scales for each row.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
