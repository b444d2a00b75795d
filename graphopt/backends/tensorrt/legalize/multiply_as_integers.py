"""MultiplyAsIntegers: products of quantised activations and weights are products of integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.backends.tensorrt.legalize._steps import Array, is_zero
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Constant, Replacement
from graphopt.rewrite.rule import Refusal, Rule

_BYTES = (ir.DataType.INT8, ir.DataType.UINT8)
_FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16)

_OPERANDS = """
    d = DequantizeLinear <axis = @x_axis, block_size = @x_block, **of_x> (x, s, z?)
    a = Cast <to = @x_to, **x_cast> (d) | d
    e = DequantizeLinear <axis = @axis, block_size = @block, **of_w> (w, t, v?)
    b = Cast <to = @w_to, **w_cast> (e) | e
"""


def _refuses(match: Match, channels: int) -> str | None:
    """Why a product stays one of floats; ``channels`` is the axis of the weight with one scale for each."""
    if match.dtype("x") not in _BYTES or match.dtype("w") not in _BYTES or match.is_constant("x"):
        return ""
    if match.dtype("x") == ir.DataType.INT8 and is_zero(match, "z"):
        return ""  # TensorRT multiplies it as it is
    if not match.is_constant("w") or match.dtype("y") not in _FLOATS:
        return ""
    if not _is_one(match, "s") or match.attr_int("x_block") or match.attr_int("block"):
        return "it is quantised by slices of its sums"
    if not all(match.is_constant(name) for name in "stz" if name in match):
        return "its scales are computed"
    if not _fits(match, "t", channels) or not (is_zero(match, "v") or _fits(match, "v", channels)):
        return "its weight has other scales than one for each channel"
    return None


def _fits(match: Match, name: str, channels: int) -> bool:
    """Whether a scale or zero point of the weight is a constant of one number, or one for each channel."""
    shape, weight, axis = match.static_shape(name), match.static_shape("w"), match.attr_int("axis")
    if not match.is_constant(name) or shape is None or weight is None or axis is None:
        return False
    return shape in ((), (1,)) or (len(shape) == 1 and axis % len(weight) == channels % len(weight))


def _is_one(match: Match, name: str) -> bool:
    return match.static_shape(name) in ((), (1,))


def _scale(match: Match) -> Array:
    """Both scales as one, in float32."""
    activation, weight = match.constant("s"), match.constant("t")
    assert activation is not None, "the guard let only constants through"
    assert weight is not None, "the guard let only constants through"
    product = activation.astype(np.float32).reshape(()) * weight.astype(np.float32)
    return np.asarray(product.reshape(()) if product.size == 1 else product)


def _cast(match: Match, value: str, result: str) -> list[str]:
    """The result in the type the product had."""
    kind = match.dtype("y")
    assert kind is not None, "the guard let only known types through"
    return [
        f"{result} = {value}"
        if kind == ir.DataType.FLOAT
        else f"{result} = Cast <to = {int(kind)}> ({value})"
    ]


def _scaled(match: Match, constants: dict[str, Constant], operator: str, last: bool) -> list[str]:
    """The integers of ``operator`` as floats, scaled and in the type the product had, as y or ``floats``."""
    constants.setdefault("scale", _scale(match))
    lines = [f"sums = {operator}", "numbers = Cast <to = 1> (sums)"]
    result = "y" if last else "floats"
    if match.dtype("y") == ir.DataType.FLOAT:
        return [*lines, f"{result} = Mul (numbers, scale)"]
    return [*lines, "scaled = Mul (numbers, scale)", *_cast(match, "scaled", result)]


def _refuses_matmul(match: Match) -> str | None:
    if match.rank("w") != 2 or (match.rank("x") or 0) < 2:
        return ""
    return _refuses(match, -1)


def _matmul(match: Match) -> Replacement:
    constants: dict[str, Constant] = {}
    lines = _scaled(match, constants, "MatMulInteger (x, w, z?, v?)", last=True)
    return Replacement("\n".join(lines), constants=constants)


def _refuses_gemm(match: Match) -> str | None:
    if match.attr_int("trans_a") or match.attr("beta") != 1.0:
        return "its left operand is transposed, or its bias scaled"
    return _refuses(match, 0 if match.attr_int("trans_b") else 1)


def _gemm(match: Match) -> Replacement:
    alpha, weight = match.attr("alpha"), match.constant("w")
    assert isinstance(alpha, float), "it has a default"
    assert weight is not None, "the guard let only constants through"
    scale = _scale(match).astype(np.float32) * np.float32(alpha)
    constants: dict[str, Constant] = {"scale": np.asarray(scale)}
    if match.attr_int("trans_b"):
        constants["columns"] = np.ascontiguousarray(weight.T)
    operator = f"MatMulInteger (x, {'columns' if 'columns' in constants else 'w'}, z?, v?)"
    lines = _scaled(match, constants, operator, last="c" not in match)
    return Replacement(
        "\n".join([*lines, *(["y = Add (floats, c)"] if "c" in match else [])]), constants=constants
    )


def _refuses_conv(match: Match) -> str | None:
    if (match.rank("w") or 0) < 3 or ("c" in match and not match.is_constant("c")):
        return ""
    reason = _refuses(match, 0)
    if reason is None and "v" in match and _centred(match) is None and not _is_one(match, "v"):
        return "its weight has several zero points and does not fit int8 without them"
    return reason


def _centred(match: Match) -> Array | None:
    """The weight of a convolution less its zero point, where int8 holds that."""
    weight, zero = match.constant("w"), match.constant("v") if "v" in match else np.zeros((), np.int32)
    if weight is None or zero is None:
        return None
    along = (-1, *(1,) * (weight.ndim - 1)) if zero.size > 1 else ()
    numbers = weight.astype(np.int32) - zero.astype(np.int32).reshape(along)
    fits = numbers.min(initial=0) >= -128 and numbers.max(initial=0) <= 127
    return numbers.astype(np.int8) if fits else None


def _conv(match: Match) -> Replacement:
    rank, bias, scale = match.rank("w"), match.constant("c"), _scale(match)
    assert rank is not None, "the guard let only known ranks through"
    along = (-1, *(1,) * (rank - 2))
    constants: dict[str, Constant] = {"scale": scale.reshape(along) if scale.ndim else scale}
    weight = _centred(match)
    operator = "ConvInteger <**attrs> (x, w, z?, v?)"
    if weight is not None:
        operator, constants["centred"] = "ConvInteger <**attrs> (x, centred, z?)", weight
    lines = _scaled(match, constants, operator, last=bias is None)
    if bias is not None:
        constants["bias"] = bias.reshape(along)
        lines.append("y = Add (floats, bias)")
    return Replacement("\n".join(lines), constants=constants)


def _draw(draw: Draw, *shape: int, weight: tuple[int, ...], channels: int) -> None:
    left, right = draw.choice(*_BYTES), ir.DataType.INT8
    if left == ir.DataType.UINT8:
        right = draw.choice(*_BYTES)
    draw.input("x", *shape, dtype=left)
    draw.feeds["x"] = draw.rng.integers(0, 256, shape).astype(np.uint8).view(left.numpy())
    draw.constant("w", draw.rng.integers(0, 256, weight).astype(np.uint8).view(right.numpy()))
    draw.constant("s", 0.043, dtype=ir.DataType.FLOAT)
    draw.constant("z", 7, dtype=left)
    size = draw.choice((), (weight[channels],))
    draw.constant("t", (draw.rng.random(size) + 0.01).astype(np.float32))
    draw.constant(
        "v", draw.rng.integers(0, 20 if right == ir.DataType.UINT8 else 1, size).astype(right.numpy())
    )
    if draw.flag():
        draw.omit("v")
    for name in ("x_axis", "x_block", "block", "x_to", "w_to"):
        draw.attribute(name, None)
    draw.attribute("axis", channels % len(weight))
    for name in ("of_x", "of_w", "x_cast", "w_cast", "attrs"):
        draw.attribute(name, {})
    if "Cast" in draw.ops:
        draw.attribute("x_to", int(ir.DataType.FLOAT))
        draw.attribute("w_to", int(ir.DataType.FLOAT))


def _draw_matmul(draw: Draw) -> None:
    _draw(draw, 2, 3, 8, weight=(8, 5), channels=-1)


def _draw_gemm(draw: Draw) -> None:
    transposed = draw.flag()
    _draw(draw, 3, 8, weight=(5, 8) if transposed else (8, 5), channels=0 if transposed else 1)
    draw.constant("c", draw.rng.random(5).astype(np.float32))
    if draw.flag():
        draw.omit("c")
    draw.attribute("trans_a", 0)
    draw.attribute("trans_b", int(transposed))
    draw.attribute("alpha", draw.choice(1.0, 0.5))
    draw.attribute("beta", 1.0)


def _draw_conv(draw: Draw) -> None:
    _draw(draw, 1, 2, 5, 5, weight=(3, 2, 3, 3), channels=0)
    if draw.constants["v"].ndim and draw.constants["v"].dtype == np.uint8:
        draw.constant("w", draw.rng.integers(60, 188, (3, 2, 3, 3)).astype(np.uint8))
        draw.constant("v", draw.rng.integers(61, 188, 3).astype(np.uint8))
    draw.constant("c", draw.rng.random(3).astype(np.float32))
    if draw.flag():
        draw.omit("c")
    draw.attribute("attrs", draw.choice({}, {"pads": (1, 0, 1, 1)}))


def _draw_several_zeros(draw: Draw) -> None:
    _draw_conv(draw)
    draw.input("x", 1, 2, 5, 5, dtype=ir.DataType.UINT8)
    draw.constant("z", 7, dtype=ir.DataType.UINT8)
    draw.constant("w", draw.rng.integers(0, 256, (3, 2, 3, 3)).astype(np.uint8))
    draw.constant("t", np.full(3, 0.5, np.float32))
    draw.constant("v", np.asarray([0, 1, 255], np.uint8))
    draw.missing.discard("v")


def _draw_symmetric(draw: Draw) -> None:
    _draw_matmul(draw)
    draw.input("x", 2, 3, 8, dtype=ir.DataType.INT8)
    draw.constant("z", 0, dtype=ir.DataType.INT8)


def _draw_rows(draw: Draw) -> None:
    _draw_matmul(draw)
    draw.constant("t", np.full(8, 0.1, np.float32))
    draw.attribute("axis", 0)
    draw.omit("v")


_SHARED = ("d", "a", "e", "b")

RULES = (
    Rule(
        "matmul",
        before=f"{_OPERANDS}; y = MatMul (a, b)",
        after=_matmul,
        guard=_refuses_matmul,
        shared=_SHARED,
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw_matmul,
        refusals=(Refusal(_draw_symmetric), Refusal(_draw_rows, because="one for each channel")),
    ),
    Rule(
        "gemm",
        before=f"""{_OPERANDS}
            y = Gemm <transA = @trans_a, transB = @trans_b, alpha = @alpha, beta = @beta> (a, b, c?)
        """,
        after=_gemm,
        guard=_refuses_gemm,
        shared=_SHARED,
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw_gemm,
    ),
    Rule(
        "conv",
        before=f"{_OPERANDS}; y = Conv <**attrs> (a, b, c?)",
        after=_conv,
        guard=_refuses_conv,
        shared=_SHARED,
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw_conv,
        refusals=(Refusal(_draw_several_zeros, because="several zero points"),),
    ),
)


@dataclass(frozen=True)
class MultiplyAsIntegers(Pass):
    """Multiply 8-bit numbers that TensorRT would multiply as floats: those with a zero point, and uint8.

    The passes behind this one write the product of integers as one of int8 around zero, which runs in
    8 bits, and take away what the zero point adds. Sums are exact, which those of floats are not.

    Before: ``y = MatMul(DequantizeLinear(x, s, z), DequantizeLinear(w, t))``, or Gemm, or Conv.
    After:  ``y = Mul(Cast(MatMulInteger(x, w, z)), s · t)``, plus the bias.
    Needs:  a constant weight with one scale or one for each channel; a constant single scale of x.
    Keeps:  weights of 8 bits; the type of the result where casts stand in between.
    Skips:  int8 around zero, which TensorRT multiplies as it is; products of two activations.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
