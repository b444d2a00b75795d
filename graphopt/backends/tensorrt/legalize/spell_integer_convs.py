"""SpellIntegerConvs: convolutions of small integers as TensorRT computes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.backends.tensorrt.legalize._steps import Array, is_zero, shift_of
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Constant, Replacement
from graphopt.rewrite.rule import Refusal, Rule

_BYTES = (ir.DataType.INT8, ir.DataType.UINT8)


def _refuses(match: Match) -> str | None:
    if match.dtype("x") not in _BYTES or match.dtype("w") not in _BYTES:
        return "its operands are not of 8 bits"
    if match.attr("auto") not in (None, "NOTSET", "VALID"):
        return "its padding depends on the size of the image"
    if (match.rank("w") or 0) < 3:
        return "the rank of its weight is unknown"
    if "z" in match and match.static_shape("z") not in ((), (1,)):
        return "its input has several zero points"
    return None


def _weight(match: Match) -> Array | None:
    """A constant weight less its zero point, one for each channel at most, as wide integers."""
    weight, zero = match.constant("w"), match.constant("v") if "v" in match else None
    if weight is None or ("v" in match and zero is None):
        return None
    if zero is None:
        return weight.astype(np.int32)
    size = (-1, *(1,) * (weight.ndim - 1)) if zero.size > 1 else ()
    return weight.astype(np.int32) - zero.astype(np.int32).reshape(size)


def _pads(match: Match) -> tuple[int, ...]:
    pads = match.attr_ints("pads") or ()
    return pads if any(pads) and match.attr("auto") != "VALID" else ()


def _convolved(match: Match) -> Replacement:
    """conv(x - z) = conv(x - m) - (z - m)·Σw, where m makes x signed and the padding is z - m."""
    kind, weight = match.dtype("x"), _weight(match)
    assert kind is not None, "the guard let only bytes through"
    constants: dict[str, Constant] = {"one": np.ones((), np.float32)}
    if weight is None or weight.min(initial=0) < -128 or weight.max(initial=0) > 127:
        return _in_floats(match, constants)
    constants["bytes"] = weight.astype(np.int8)
    shift = shift_of(kind)
    if not shift and is_zero(match, "z"):
        attributes = "auto_pad = @auto, pads = @pads, **attrs"
        lines = ["image = DequantizeLinear (x, one)", "filter = DequantizeLinear (bytes, one)"]
        lines += [f"sums = Conv <{attributes}> (image, filter)", "y = Cast <to = 6> (sums)"]
        return Replacement("\n".join(lines), constants=constants)
    constants["centre"] = np.zeros((), np.int8)
    of_filter = weight.reshape(weight.shape[0], -1).sum(axis=1).astype(np.float32)
    constants["of_filter"] = of_filter.reshape((-1, *(1,) * (weight.ndim - 2)))
    lines = ["wide = Cast <to = 1> (x)", *_offset(match, shift, constants), *_moved(match, shift, constants)]
    lines += [
        "byte = QuantizeLinear (moved, one, centre)",
        "image = DequantizeLinear (byte, one, centre)",
        "filter = DequantizeLinear (bytes, one)",
        "sums = Conv <**attrs> (image, filter)",
        "of_offset = Mul (of_filter, offset)",
        "without = Sub (sums, of_offset)",
        "y = Cast <to = 6> (without)",
    ]
    return Replacement("\n".join(lines), constants=constants)


def _offset(match: Match, shift: int, constants: dict[str, Constant]) -> list[str]:
    """``offset``: the zero point of the image less its shift, as a float."""
    zero = match.constant("z") if "z" in match else np.zeros((), np.int32)
    if zero is not None:
        constants["offset"] = zero.astype(np.float32).reshape(()) - np.float32(shift)
        return []
    constants["shift"] = np.asarray(shift, np.float32)
    return ["z_wide = Cast <to = 1> (z)", "offset = Sub (z_wide, shift)"]


def _moved(match: Match, shift: int, constants: dict[str, Constant]) -> list[str]:
    """``moved``: the image less its shift, and padded by its zero point less the shift."""
    pads = _pads(match)
    constants["shift"] = np.asarray(shift, np.float32)
    if not pads:
        return ["moved = Sub (wide, shift)"]
    half = len(pads) // 2
    constants["around"] = np.asarray([0, 0, *pads[:half], 0, 0, *pads[half:]], np.int64)
    lines = ["signed = Sub (wide, shift)", "centred = Sub (signed, offset)"]
    return [*lines, "padded = Pad (centred, around)", "moved = Add (padded, offset)"]


def _in_floats(match: Match, constants: dict[str, Constant]) -> Replacement:
    """A weight that is computed, or too wide for int8 without its zero point: products of whole floats."""
    lines = ["x_wide = Cast <to = 1> (x)", *_centred(match, "x_wide", "z", "image", constants)]
    lines += ["w_wide = Cast <to = 1> (w)", *_centred(match, "w_wide", "v", "filter", constants)]
    lines += [
        "sums = Conv <auto_pad = @auto, pads = @pads, **attrs> (image, filter)",
        "y = Cast <to = 6> (sums)",
    ]
    return Replacement("\n".join(lines), constants=constants)


def _centred(match: Match, value: str, zero: str, result: str, constants: dict[str, Constant]) -> list[str]:
    """An operand less its zero point, one for each slice of its first axis at most, as floats."""
    if is_zero(match, zero):
        return [f"{result} = {value}"]
    lines, shape = [f"{zero}_wide = Cast <to = 1> ({zero})"], match.static_shape(zero)
    if shape in ((), (1,)):
        return [*lines, f"{result} = Sub ({value}, {zero}_wide)"]
    constants["axes"] = np.arange(1, match.rank("w") or 1, dtype=np.int64)
    return [
        *lines,
        f"{zero}_along = Unsqueeze ({zero}_wide, axes)",
        f"{result} = Sub ({value}, {zero}_along)",
    ]


def _draw(draw: Draw) -> None:
    left = draw.choice(*_BYTES)
    right = draw.choice(*_BYTES) if left == ir.DataType.UINT8 else ir.DataType.INT8
    draw.input("x", "N", 4, 5, 6, dtype=left)
    size = draw.feeds["x"].shape
    draw.feeds["x"] = draw.rng.integers(0, 256, size).astype(np.uint8).view(left.numpy())
    group = draw.choice(1, 2)
    numbers = draw.rng.integers(0, 256, (6, 4 // group, 3, 3)).astype(np.uint8).view(right.numpy())
    if draw.flag():
        draw.constant("w", numbers)
    else:
        draw.input("w", *numbers.shape, dtype=right)
        draw.feeds["w"] = numbers
    if draw.flag():
        draw.input("z", dtype=left)
    else:
        draw.constant("z", 5, dtype=left)
    draw.constant(
        "v", np.asarray(draw.rng.integers(0, 200) if right == ir.DataType.UINT8 else 0, right.numpy())
    )
    for name in ("z", "v"):
        if draw.flag():
            draw.omit(name)
    draw.attribute("auto", draw.choice(None, "NOTSET"))
    draw.attribute("pads", draw.choice(None, (1, 0, 2, 1)))
    draw.attribute("attrs", {"group": group, "strides": draw.choice((1, 1), (2, 1))})


def _draw_same(draw: Draw) -> None:
    _draw(draw)
    draw.attribute("auto", "SAME_UPPER")
    draw.attribute("pads", None)


RULES = (
    Rule(
        "conv",
        before="y = ConvInteger <auto_pad = @auto, pads = @pads, **attrs> (x, w, z?, v?)",
        after=_convolved,
        guard=_refuses,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw,
        refusals=(Refusal(_draw_same, because="size of the image"),),
    ),
)


@dataclass(frozen=True)
class SpellIntegerConvs(Pass):
    """Write ConvInteger as Conv between DequantizeLinear of scale 1, which TensorRT runs in 8 bits.

    Signed numbers with zero point 0 are all it takes: uint8 is moved by 128, the image is padded with
    what its zero point became, and what that adds to each sum is taken away again.

    Before: ``y = ConvInteger<pads=p>(x, w, z)``.
    After:  ``y = Conv(DequantizeLinear(QuantizeLinear(Pad(x - z) + z - 128, 1), 1), DequantizeLinear(w, 1))
            - (z - 128) · Σw``, cast to int32.
    Needs:  operands of 8 bits; a single zero point of the image; padding in numbers.
    Keeps:  weights of 8 bits; every bit of sums below 2²⁴, which float32 holds.
    Skips:  8-bit products where a weight is computed, or does not fit int8 without its zero point:
            whole floats then.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, RULES, self.name(), ctx)
