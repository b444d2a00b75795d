"""SpellQuantizeLinear: what is not signed numbers around zero is quantised in floats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.backends.tensorrt.legalize._steps import RANGES, SIGNED, axis_of, broadcast, is_zero, layout
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Constant, Replacement
from graphopt.rewrite.rule import Refusal, Rule

_KINDS = (ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.INT16, ir.DataType.UINT16)
_NUMBERS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.INT32)


def _refuses(match: Match) -> str | None:
    kind = match.dtype("y")
    if kind not in _KINDS:
        return ""
    if SIGNED.get(kind) == kind and is_zero(match, "z") and match.dtype("x") != ir.DataType.INT32:
        return ""
    if match.dtype("x") not in _NUMBERS or match.dtype("s") not in _NUMBERS:
        return "it quantises a type that TensorRT does not compute in"
    if match.attr_int("precision") not in (None, 0, 1):
        return "it divides in another type than float32"
    found = layout(match, "x", "s")
    if found == "axis" and not match.is_constant("s"):
        return "its scales along an axis are computed"
    return None if found in ("one", "axis") else "its scales do not fit its axes"


def _in_floats(match: Match) -> Replacement:
    """Clip(round(x / s) + z), in float32 whatever comes in."""
    kind, scale = match.dtype("y"), match.constant("s")
    assert kind is not None, "the guard let only known types through"
    low, high = RANGES[kind]
    constants: dict[str, Constant] = {
        "low": np.asarray(low, np.float32),
        "high": np.asarray(high, np.float32),
    }
    wide = match.dtype("x") == ir.DataType.FLOAT
    lines = ["wide = x" if wide else "wide = Cast <to = 1> (x)"]
    if scale is not None:
        constants["steps"] = broadcast(scale, match, "x").astype(np.float32)
    else:
        lines.append("steps = s" if match.dtype("s") == ir.DataType.FLOAT else "steps = Cast <to = 1> (s)")
    lines += ["scaled = Div (wide, steps)", "whole = Round (scaled)", *_zero(match, constants)]
    lines += ["inside = Clip (shifted, low, high)", f"y = Cast <to = {int(kind)}> (inside)"]
    return Replacement("\n".join(lines), constants=constants)


def _zero(match: Match, constants: dict[str, Constant]) -> list[str]:
    if is_zero(match, "z"):
        return ["shifted = whole"]
    zero = match.constant("z")
    if zero is not None:
        constants["zero"] = broadcast(zero, match, "x").astype(np.float32)
        return ["shifted = Add (whole, zero)"]
    rank, axis = match.rank("x"), axis_of(match, "x")
    lines = ["zero = Cast <to = 1> (z)"]
    if (
        match.static_shape("z") not in ((), (1,))
        and rank is not None
        and axis is not None
        and rank - axis > 1
    ):
        constants["axes"] = np.arange(1, rank - axis, dtype=np.int64)
        lines = ["z_wide = Cast <to = 1> (z)", "zero = Unsqueeze (z_wide, axes)"]
    return [*lines, "shifted = Add (whole, zero)"]


def _draw(draw: Draw) -> None:
    kind = draw.choice(ir.DataType.UINT8, ir.DataType.INT8)
    axis = draw.choice(0, 1, -1)
    scale = draw.choice((), (1,), ((3, 4, 5)[axis],))
    draw.input("x", 3, 4, 5)
    draw.feeds["x"] = draw.feeds["x"] * np.asarray(20, draw.dtype.numpy())
    draw.constant("s", np.abs(draw.array(*scale)) + np.asarray(0.1, draw.dtype.numpy()))
    draw.constant("z", draw.rng.integers(1, 100, scale).astype(kind.numpy()))
    if draw.flag():
        draw.input("z", *scale, dtype=kind)
        del draw.constants["z"]
    elif draw.flag():
        draw.omit("z")  # which makes it uint8
        draw.constants.pop("z")
    draw.attribute("axis", axis)
    draw.attribute("block", None)
    draw.attribute("precision", None)
    draw.attribute("rest", {})


def _draw_signed(draw: Draw) -> None:
    _draw(draw)
    draw.inputs.pop("z", None)
    draw.missing.discard("z")
    draw.constant("s", 0.5)
    draw.constant("z", 0, dtype=ir.DataType.INT8)


def _draw_computed(draw: Draw) -> None:
    _draw(draw)
    draw.constants.pop("s")
    draw.input("s", 4)
    draw.omit("z")
    draw.attribute("axis", 1)


RULES = (
    Rule(
        "floats",
        before="""
            y = QuantizeLinear <axis = @axis, block_size = @block, precision = @precision, **rest> (x, s, z?)
        """,
        after=_in_floats,
        guard=_refuses,
        min_opset=23,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw,
        refusals=(Refusal(_draw_signed), Refusal(_draw_computed, because="are computed")),
    ),
)


@dataclass(frozen=True)
class SpellQuantizeLinear(Pass):
    """Quantise in floats what TensorRT does not: it gives int8 with zero point 0.

    It takes uint8 with zero point 0 for int8 and only warns: numbers from 128 on would come out wrong.
    The last cast goes away wherever the numbers are dequantised, or only moved until they are.

    Before: ``y = QuantizeLinear(x, s, z)`` to uint8 (the default), or with a zero point that is not 0.
    After:  ``y = Cast(Clip(Add(Round(Div(x, s)), z), 0, 255))``.
    Needs:  a scale of one number, or constants along an axis.
    Keeps:  every bit in float32; narrower types are divided in float32.
    Skips:  int8 around zero; blocks; numbers of 4 bits and 8-bit floats.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, RULES, self.name(), ctx)
