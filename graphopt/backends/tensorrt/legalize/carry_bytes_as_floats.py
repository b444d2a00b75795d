"""CarryBytesAsFloats: uint8 between two operators becomes floats that hold the same whole numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.backends.tensorrt.legalize._steps import is_zero, shift_of
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Constant, Replacement
from graphopt.rewrite.rule import Refusal, Rule

_MOVES = {
    "Reshape": "(x, *rest)",
    "Flatten": "(x)",
    "Squeeze": "(x, *rest)",
    "Unsqueeze": "(x, *rest)",
    "Transpose": "(x)",
    "Slice": "(x, *rest)",
    "Expand": "(x, *rest)",
    "Tile": "(x, *rest)",
    "Gather": "(x, *rest)",
    "DepthToSpace": "(x)",
    "SpaceToDepth": "(x)",
}
"""Operators that only move what they are given."""

_CHOICES = ("Concat", "Max", "Min", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
"""Operators that choose among their operands, or compare them."""

_BYTES = (ir.DataType.INT8, ir.DataType.UINT8)
_LACKING = (ir.DataType.UINT8, ir.DataType.INT16, ir.DataType.UINT16)
"""Types that TensorRT has at the edges of a network only, or not at all; float32 holds their numbers."""

_SMALL = 256
"""Elements up to which a constant may as well be floats."""


def _refuses_move(match: Match) -> str | None:
    kind = match.dtype("x")
    return None if kind in _LACKING or (kind == ir.DataType.INT8 and match.is_constant("x")) else ""


def _moved(match: Match) -> Replacement:
    """A constant comes from int8 and is shifted once the elements asked for are there."""
    kind = match.dtype("x")
    assert kind is not None, "the guard let only bytes through"
    rest = ", *rest" if "rest" in match.values else ""
    operator, numbers = f"{match.root.op_type} <**attrs>", match.constant("x")
    if numbers is None or kind not in _BYTES:
        lines = ["wide = Cast <to = 1> (x)", f"moved = {operator} (wide{rest})"]
        return Replacement("\n".join([*lines, f"y = Cast <to = {int(kind)}> (moved)"]))
    shift = shift_of(kind)
    constants: dict[str, Constant] = {"one": np.ones((), np.float32)}
    constants["numbers"] = (numbers.astype(np.int16) - shift).astype(np.int8)
    lines = ["wide = DequantizeLinear (numbers, one)", f"moved = {operator} (wide{rest})"]
    if shift:
        constants["shift"] = np.asarray(shift, np.float32)
        lines.append("back = Add (moved, shift)")
    lines.append(f"y = Cast <to = {int(kind)}> ({'back' if shift else 'moved'})")
    return Replacement("\n".join(lines), constants=constants)


def _refuses_choice(match: Match) -> str | None:
    kinds = {value.dtype for value in match.all("xs")}
    return None if len(kinds) == 1 and kinds <= set(_LACKING) else ""


def _chosen(match: Match) -> Replacement:
    operands = match.all("xs")
    names = [f"x{index}" for index in range(len(operands))]
    lines = [f"{name}_wide = Cast <to = 1> ({name})" for name in names]
    choice = f"{match.root.op_type} <**attrs> ({', '.join(f'{name}_wide' for name in names)})"
    kind = match.dtype("y") or operands[0].dtype
    assert kind is not None, "the guard let only known types through"
    is_truth = kind == ir.DataType.BOOL
    lines += (
        [f"y = {choice}"] if is_truth else [f"chosen = {choice}", f"y = Cast <to = {int(kind)}> (chosen)"]
    )
    return Replacement("\n".join(lines), values=dict(zip(names, operands, strict=True)))


def _refuses_bytes(match: Match) -> str | None:
    return None if match.dtype("x") in _LACKING else ""


def _kind(match: Match) -> int:
    return int(match.dtype("x") or ir.DataType.UINT8)


def _refuses_pad(match: Match) -> str | None:
    """TensorRT pads int8, too, but takes no constant of it."""
    is_fill = "fill" in match and match.is_constant("fill")
    return None if match.dtype("x") in _LACKING or (match.dtype("x") == ir.DataType.INT8 and is_fill) else ""


def _padded(match: Match) -> str:
    if match.dtype("x") == ir.DataType.INT8 and is_zero(match, "fill"):
        return "y = Pad <**attrs> (x, pads, , axes?)"
    fill = "fill_wide = Cast <to = 1> (fill)\n" if "fill" in match else ""
    operand = "fill_wide" if fill else ""
    return f"""
        wide = Cast <to = 1> (x)
        {fill}t = Pad <**attrs> (wide, pads, {operand}, axes?)
        y = Cast <to = {_kind(match)}> (t)
    """


def _pooled(match: Match) -> str:
    return f"wide = Cast <to = 1> (x); t = MaxPool <**attrs> (wide); y = Cast <to = {_kind(match)}> (t)"


def _refuses_constant(match: Match) -> str | None:
    if match.dtype("x") not in _BYTES or not match.is_constant("x"):
        return ""
    return None if match.attr_int("to") == ir.DataType.FLOAT else ""


def _from_bytes(match: Match) -> Replacement:
    numbers, kind = match.constant("x"), match.dtype("x")
    assert numbers is not None, "the guard let only constants through"
    assert kind is not None, "the guard let only bytes through"
    if numbers.size <= _SMALL:
        return Replacement("y = floats", constants={"floats": numbers.astype(np.float32)})
    shift = shift_of(kind)
    constants: dict[str, Constant] = {"one": np.ones((), np.float32)}
    constants["numbers"] = (numbers.astype(np.int16) - shift).astype(np.int8)
    if not shift:
        return Replacement("y = DequantizeLinear (numbers, one)", constants=constants)
    constants["shift"] = np.asarray(shift, np.float32)
    return Replacement("wide = DequantizeLinear (numbers, one); y = Add (wide, shift)", constants=constants)


def _draw_bytes(draw: Draw, name: str, *shape: int) -> None:
    draw.input(name, *shape, dtype=ir.DataType.UINT8)
    draw.feeds[name] = draw.rng.integers(0, 256, shape).astype(np.uint8)


def _draw_move(draw: Draw) -> None:
    op = draw.ops[0]
    shape = (2, 4, 2, 2) if op in ("DepthToSpace", "SpaceToDepth") else (2, 1, 4)
    if draw.flag():
        _draw_bytes(draw, "x", *shape)
    else:
        kind = draw.choice(*_BYTES)
        draw.constant("x", draw.rng.integers(0, 256, shape).astype(np.uint8).view(kind.numpy()))
    draw.attribute("attrs", {"blocksize": 2} if op in ("DepthToSpace", "SpaceToDepth") else {})
    draw.counts["rest"] = 1
    operands = {"Reshape": [8], "Squeeze": [1], "Unsqueeze": [0], "Expand": [2, 3, 4], "Tile": [1, 2, 1]}
    draw.constant("rest_0", operands.get(op, [0]))
    if op == "Slice":
        draw.counts["rest"] = 2
        draw.constant("rest_1", [1])


def _draw_floats(draw: Draw) -> None:
    _draw_move(draw)
    draw.constants.pop("x", None)
    draw.input(
        "x", *((2, 4, 2, 2) if "DepthToSpace" in draw.ops or "SpaceToDepth" in draw.ops else (2, 1, 4))
    )


def _draw_choice(draw: Draw) -> None:
    draw.counts["xs"] = 2
    for index in range(2):
        _draw_bytes(draw, f"xs_{index}", 3, 4)
    draw.attribute("attrs", {"axis": 1} if "Concat" in draw.ops else {})


def _draw_pad(draw: Draw) -> None:
    _draw_bytes(draw, "x", 3, 4)
    draw.constant("pads", [1, 0, 0, 2])
    draw.input("fill", dtype=ir.DataType.UINT8)
    draw.constant("axes", [0, 1])
    for name in ("fill", "axes"):
        if draw.flag():
            draw.omit(name)
    if draw.flag():
        draw.input("x", 3, 4, dtype=ir.DataType.INT8)
        draw.missing.discard("fill")
        draw.constant("fill", draw.choice(0, -3), dtype=ir.DataType.INT8)
    draw.attribute("attrs", {})


def _draw_pool(draw: Draw) -> None:
    _draw_bytes(draw, "x", 1, 2, 5, 5)
    draw.attribute("attrs", {"kernel_shape": (2, 2)})


def _draw_constant(draw: Draw) -> None:
    kind = draw.choice(*_BYTES)
    size = draw.choice((3, 4), (20, 20), ())
    draw.constant(
        "x", draw.rng.integers(0, 256, (1, *size)).astype(np.uint8).view(kind.numpy()).reshape(size)
    )
    draw.attribute("to", int(ir.DataType.FLOAT))
    draw.attribute("attrs", {})


_FLOAT = (ir.DataType.FLOAT,)

RULES = (
    Rule(
        "move",
        before=f"y = {' | '.join(f'{op} <**attrs> {operands}' for op, operands in _MOVES.items())}",
        after=_moved,
        guard=_refuses_move,
        dtypes=_FLOAT,
        draw=_draw_move,
        refusals=(Refusal(_draw_floats),),
    ),
    Rule(
        "choose",
        before=f"y = {' | '.join(f'{op} <**attrs> (*xs)' for op in _CHOICES)}",
        after=_chosen,
        guard=_refuses_choice,
        dtypes=_FLOAT,
        draw=_draw_choice,
    ),
    Rule(
        "pad",
        before="y = Pad <**attrs> (x, pads, fill?, axes?)",
        after=_padded,
        guard=_refuses_pad,
        min_opset=18,
        dtypes=_FLOAT,
        draw=_draw_pad,
    ),
    Rule(
        "pool",
        before="y = MaxPool <**attrs> (x)",
        after=_pooled,
        guard=_refuses_bytes,
        dtypes=_FLOAT,
        draw=_draw_pool,
    ),
    Rule(
        "constant",
        before="y = Cast <to = @to, **attrs> (x)",
        after=_from_bytes,
        guard=_refuses_constant,
        dtypes=_FLOAT,
        draw=_draw_constant,
    ),
)


@dataclass(frozen=True)
class CarryBytesAsFloats(Pass):
    """Move, choose and compare uint8 as floats: TensorRT has uint8 at the edges of a network only.

    16 bits, which it has nowhere, are treated alike.

    The casts around an operator cancel with those of its neighbours (drop-integer-casts). A table of
    bytes stays one: TensorRT takes constants of int8 before DequantizeLinear, and gathers and scales in
    one kernel.

    Before: ``y = Transpose(x)``, or Gather, Concat, MaxPool, Equal … of uint8.
    After:  ``y = Cast<to=uint8>(Transpose(Cast<to=float>(x)))``;
            a constant x is ``DequantizeLinear(x - 128, 1)``, and 128 is added to what was taken of it.
    Needs:  an element type that is known.
    Keeps:  every number.
    Skips:  arithmetic on uint8, which wraps around; computed int8, which TensorRT has.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
