"""SpellDequantizeLinear: what is not signed numbers around zero is dequantised in floats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import ml_dtypes
import numpy as np
import onnx_ir as ir

from graphopt.backends.tensorrt.legalize._steps import (
    RANGES,
    SIGNED,
    axis_of,
    broadcast,
    is_zero,
    layout,
    shift_of,
    spread,
)
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Array, Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Constant, Replacement
from graphopt.rewrite.rule import Refusal, Rule

_FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
_WIDE = (ir.DataType.INT16, ir.DataType.UINT16, ir.DataType.INT32)


def _kind(match: Match) -> ir.DataType:
    kind = match.dtype("x")
    assert kind is not None, "the guard let only known types through"
    return kind


def _refuses(match: Match) -> str | None:
    """What no rule of this pass takes, and what TensorRT takes as it is."""
    kind = match.dtype("x")
    if kind not in SIGNED and kind not in _WIDE:
        return ""
    if SIGNED.get(kind) == kind and is_zero(match, "z"):
        return ""
    if match.dtype("y") not in _FLOATS or match.dtype("s") not in _FLOATS:
        return "it is dequantised to a type that TensorRT does not compute in"
    return None if layout(match, "x", "s") else "its scales do not fit its axes"


def _weight(match: Match) -> Array | None:
    """The numbers of a constant less its constant zero point, as wide integers; None for anything else."""
    numbers = match.constant("x")
    zero = match.constant("z") if "z" in match else np.zeros((), np.int32)
    if numbers is None or zero is None:
        return None
    if match.attr_int("block") and match.static_shape("x") is None:
        return None
    return numbers.astype(np.int32) - spread(zero, match, "x").astype(np.int32)


def _refuses_shift(match: Match) -> str | None:
    reason = _refuses(match)
    if reason is not None:
        return reason
    if match.dtype("x") not in SIGNED:
        return ""
    numbers = _weight(match)
    if numbers is None:
        return ""
    low, high = RANGES[SIGNED[_kind(match)]]
    return None if low <= numbers.min(initial=0) and numbers.max(initial=0) <= high else ""


def _shifted(match: Match) -> Replacement:
    numbers = _weight(match)
    assert numbers is not None, "the guard let only constants through"
    signed = SIGNED[_kind(match)]
    text = "y = DequantizeLinear <axis = @axis, block_size = @block, **rest> (w, s)"
    return Replacement(text, constants={"w": _stored(numbers, signed)})


def _stored(numbers: Array, kind: ir.DataType) -> Constant:
    """Whole numbers as a tensor of ``kind``."""
    if kind == ir.DataType.INT4:
        return ir.tensor(numbers.astype(ml_dtypes.int4), dtype=kind)
    return numbers.astype(kind.numpy())


def _refuses_floats(match: Match) -> str | None:
    reason = _refuses(match)
    if reason is not None:
        return reason
    if layout(match, "x", "s") == "blocks":
        if not match.is_constant("s") or _weight(match) is None:
            return "it is quantised in blocks that are not constant"
        return None
    if match.is_constant("x") or match.rank("s") != 1 or match.rank("x"):
        return None
    return "the rank of its input is unknown"


def _in_floats(match: Match) -> Replacement:
    """(x - z) · s; the numbers of a weight come from int8 (or int4), so that it stays small."""
    if layout(match, "x", "s") == "blocks":
        return _folded(match)
    kind, scale_kind = _kind(match), match.dtype("s")
    assert scale_kind is not None, "the guard let only known types through"
    constants: dict[str, Constant] = {}
    shift, compute = 0, scale_kind if kind in SIGNED else ir.DataType.FLOAT
    numbers = match.constant("x") if kind in SIGNED else None
    if numbers is not None:
        shift = shift_of(kind)
        constants["w"] = _stored(numbers.astype(np.int32) - shift, SIGNED[kind])
        constants["one"] = np.ones((), scale_kind.numpy())
        lines = ["wide = DequantizeLinear (w, one)"]
    else:
        lines = [f"wide = Cast <to = {int(compute)}> (x)"]
    lines += _less_zero(match, shift, compute, constants)
    lines += _scaled(match, compute, constants)
    return Replacement("\n".join(lines), constants=constants)


def _less_zero(match: Match, shift: int, compute: ir.DataType, constants: dict[str, Constant]) -> list[str]:
    """``centred``: the numbers less their zero point, of which ``shift`` has been taken."""
    zero = match.constant("z") if "z" in match else np.zeros((), np.int32)
    if zero is None:
        lines = [
            f"z_wide = Cast <to = {int(compute)}> (z)",
            *_along(match, "z_wide", "z", "z_along", constants),
        ]
        if shift:
            constants["shift"] = np.asarray(shift, compute.numpy())
            lines += ["z_left = Sub (z_along, shift)", "centred = Sub (wide, z_left)"]
            return lines
        return [*lines, "centred = Sub (wide, z_along)"]
    left = broadcast(zero, match, "x").astype(np.int32) - shift
    if not left.any():
        return ["centred = wide"]
    constants["zero"] = left.astype(compute.numpy())
    return ["centred = Sub (wide, zero)"]


def _scaled(match: Match, compute: ir.DataType, constants: dict[str, Constant]) -> list[str]:
    """``y``: the centred numbers times their scale, in the type asked for."""
    kind, scale, lines, steps = match.dtype("y"), match.constant("s"), [], "s"
    assert kind is not None, "the guard let only known types through"
    if scale is not None:
        steps, constants["scale"] = "scale", broadcast(scale, match, "x").astype(compute.numpy())
    else:
        if match.dtype("s") != compute:
            steps = "s_wide"
            lines.append(f"s_wide = Cast <to = {int(compute)}> (s)")
        lines += _along(match, steps, "s", "s_along", constants)
        steps = "s_along"
    if kind == compute:
        return [*lines, f"y = Mul (centred, {steps})"]
    return [*lines, f"scaled = Mul (centred, {steps})", f"y = Cast <to = {int(kind)}> (scaled)"]


def _along(match: Match, value: str, shape_of: str, result: str, constants: dict[str, Constant]) -> list[str]:
    """A computed scale or zero point with the axes it lacks behind its own."""
    rank, axis = match.rank("x"), axis_of(match, "x")
    if match.static_shape(shape_of) in ((), (1,)) or rank is None or axis is None or rank - axis == 1:
        return [f"{result} = {value}"]
    constants[f"{result}_axes"] = np.arange(1, rank - axis, dtype=np.int64)
    return [f"{result} = Unsqueeze ({value}, {result}_axes)"]


def _folded(match: Match) -> Replacement:
    """A weight in blocks whose zero points do not go away: floats."""
    numbers, scale, kind = _weight(match), match.constant("s"), match.dtype("y")
    assert numbers is not None, "the guard let only constants through"
    assert scale is not None, "the guard let only constants through"
    assert kind is not None, "the guard let only known types through"
    floats = numbers.astype(np.float32) * spread(scale, match, "x").astype(np.float32)
    return Replacement("y = floats", constants={"floats": floats.astype(kind.numpy())})


def _draw(draw: Draw) -> None:
    kind = draw.choice(ir.DataType.UINT8, ir.DataType.INT8)
    axis = draw.choice(0, 1, -1)
    size = (3, 4, 5)[axis]
    scale = draw.choice((), (1,), (size,))
    if draw.flag():
        draw.input("x", 3, 4, 5, dtype=kind)
        draw.feeds["x"] = draw.rng.integers(0, 256, (3, 4, 5)).astype(np.uint8).view(kind.numpy())
    else:
        draw.constant("x", draw.rng.integers(0, 256, (3, 4, 5)).astype(np.uint8).view(kind.numpy()))
    draw.constant("s", np.abs(draw.array(*scale)) + np.asarray(0.01, draw.dtype.numpy()))
    draw.constant("z", draw.rng.integers(1, 100, scale).astype(kind.numpy()))
    if draw.flag():
        draw.input("s", *scale)
        del draw.constants["s"]
    if draw.flag():
        draw.input("z", *scale, dtype=kind)
        del draw.constants["z"]
    draw.attribute("axis", axis)
    draw.attribute("block", None)
    draw.attribute("rest", {})


def _draw_blocks(draw: Draw) -> None:
    _draw(draw)
    draw.constant("x", draw.rng.integers(0, 256, (4, 6)).astype(np.uint8))
    draw.constant("s", np.abs(draw.array(2, 6)) + np.asarray(0.01, draw.dtype.numpy()))
    draw.constant("z", draw.rng.integers(1, 100, (2, 6)).astype(np.uint8))
    draw.attribute("axis", 0)
    draw.attribute("block", 2)


def _draw_any(draw: Draw) -> None:
    (_draw if draw.flag() else _draw_blocks)(draw)


def _draw_near(draw: Draw) -> None:
    """Numbers of uint8 that int8 holds once their zero point is taken away."""
    _draw(draw)
    size = int(np.prod(draw.choice((), (4,)), dtype=int))
    zero = draw.rng.integers(100, 140, (size,) if size > 1 else ()).astype(np.uint8)
    draw.constant("x", (draw.rng.integers(-100, 100, (3, 4, 5)) + zero.reshape(-1, 1)).astype(np.uint8))
    draw.constant("z", zero)
    draw.constant("s", np.abs(draw.array(*zero.shape)) + np.asarray(0.01, draw.dtype.numpy()))
    draw.attribute("axis", 1)


def _draw_signed(draw: Draw) -> None:
    """What TensorRT takes as it is."""
    _draw(draw)
    draw.input("x", 3, 4, 5, dtype=ir.DataType.INT8)
    draw.constants.pop("x", None)
    draw.constant("z", 0, dtype=ir.DataType.INT8)
    draw.constant("s", 0.5)
    if draw.flag():
        draw.omit("z")


RULES = (
    Rule(
        "weight",
        before="y = DequantizeLinear <axis = @axis, block_size = @block, **rest> (x, s, z?)",
        after=_shifted,
        guard=_refuses_shift,
        min_opset=21,
        dtypes=(ir.DataType.FLOAT, ir.DataType.FLOAT16),
        draw=_draw_near,
        refusals=(Refusal(_draw_signed),),
    ),
    Rule(
        "floats",
        before="y = DequantizeLinear <axis = @axis, block_size = @block, **rest> (x, s, z?)",
        after=_in_floats,
        guard=_refuses_floats,
        min_opset=21,
        dtypes=(ir.DataType.FLOAT, ir.DataType.FLOAT16),
        draw=_draw_any,
        refusals=(Refusal(_draw_signed),),
    ),
)


@dataclass(frozen=True)
class SpellDequantizeLinear(Pass):
    """Dequantise in floats what TensorRT does not: it takes signed numbers with zero point 0.

    It reads uint8 with zero point 0 as int8 and only warns: numbers from 128 on would come out wrong.

    Before: ``y = DequantizeLinear(x, s, z)`` of uint8, or with a zero point that is not 0.
    After:  for a weight whose numbers fit, ``y = DequantizeLinear(x - z, s)`` in int8 (or int4);
            else ``y = Mul(Sub(Cast(x), z), s)``, where a weight comes from int8 numbers of scale 1.
    Needs:  known types; a scale of one number, or one for each slice of an axis; constant blocks.
    Keeps:  every bit; weights of 8 and 4 bits, but for those in blocks with a zero point that stays.
    Skips:  int8 and int4 around zero, which TensorRT multiplies as they are; 8-bit floats.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
