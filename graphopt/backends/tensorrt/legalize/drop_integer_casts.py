"""DropIntegerCasts: floats that hold whole numbers need not become integers in between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.backends.tensorrt.legalize._integers import whole
from graphopt.backends.tensorrt.legalize._steps import RANGES, is_zero
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.rule import Refusal, Rule


def _stays_whole(match: Match) -> str | None:
    kind = match.dtype("f")
    narrow = RANGES.get(ir.DataType(match.attr_int("narrow") or 0))
    if kind is None or not kind.is_floating_point() or narrow is None or narrow == (0, 1):
        return ""
    found = whole(match.value("f"))
    if found is None:
        return "it may hold fractions"
    return (
        None if narrow[0] <= found[0] and found[1] <= narrow[1] else "it may leave the range of the integers"
    )


def _cast(match: Match) -> str:
    if match.root.op_type == "CastLike":
        return "y = f" if match.dtype("like") == match.dtype("f") else "y = CastLike <**rest> (f, like)"
    if match.attr_int("wide") == match.dtype("f"):
        return "y = f"
    return "y = Cast <to = @wide, **rest> (f)"


def _refuses_scale(match: Match) -> str | None:
    if match.attr_int("narrow") != ir.DataType.INT8 or not is_zero(match, "z"):
        return ""
    if match.static_shape("s") != () and match.static_shape("s") != (1,):
        return "its scale is not a single number"
    if match.dtype("s") != match.dtype("f") or match.dtype("y") != match.dtype("f"):
        return "it is scaled in another type"
    return _stays_whole(match)


def _draw_whole(draw: Draw) -> None:
    """Numbers that are seen to be whole, because they are constants."""
    draw.constant("f", np.rint(draw.array(3, 4) * 40).clip(-128, 127).astype(draw.dtype.numpy()))
    draw.attribute("narrow", int(draw.choice(ir.DataType.INT8, ir.DataType.INT32)))
    draw.attribute("wide", int(draw.choice(draw.dtype, draw.dtype, ir.DataType.INT32)))
    draw.constant("like", draw.choice(np.zeros((), draw.dtype.numpy()), np.zeros((), np.int32)))
    for name in ("rest", "more", "attrs"):
        draw.attribute(name, {})


def _draw_scaled(draw: Draw) -> None:
    _draw_whole(draw)
    draw.attribute("narrow", int(ir.DataType.INT8))
    draw.constant("s", 0.25, dtype=draw.dtype)
    draw.constant("z", 0, dtype=ir.DataType.INT8)
    if draw.flag():
        draw.omit("z")


def _draw_beyond(draw: Draw) -> None:
    _draw_scaled(draw)
    draw.constant("f", np.asarray([1, 128], draw.dtype.numpy()))


def _draw_fractions(draw: Draw) -> None:
    _draw_scaled(draw)
    draw.constant("f", np.asarray([1, 0.5], draw.dtype.numpy()))


_REFUSALS = (
    Refusal(_draw_beyond, because="leave the range"),
    Refusal(_draw_fractions, because="fractions"),
)

RULES = (
    Rule(
        "round-trip",
        before="""
            c = Cast <to = @narrow, **more> (f)
            y = Cast <to = @wide, **rest> (c) | CastLike <**rest> (c, like)
        """,
        after=_cast,
        guard=_stays_whole,
        shared=("c",),
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw_whole,
        refusals=_REFUSALS,
    ),
    Rule(
        "scale",
        before="c = Cast <to = @narrow, **more> (f); y = DequantizeLinear <**attrs> (c, s, z?)",
        after="y = Mul (f, s)",
        guard=_refuses_scale,
        shared=("c",),
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw_scaled,
        refusals=_REFUSALS,
    ),
)


@dataclass(frozen=True)
class DropIntegerCasts(Pass):
    """Read floats as they are where a cast to integers and one back would change none of them.

    What makes them (Round, Clip, sums and products of such, tables of int8, moves) tells that they hold
    whole numbers, and how large they get.

    Before: ``y = Cast<to=float>(Cast<to=uint8>(Clip(Round(x), 0, 255)))``.
    After:  ``y = Clip(Round(x), 0, 255)``.
    Needs:  numbers that provably fit the integers in between.
    Keeps:  every number, the sign of a zero aside, and the integers for whoever else reads them.
    Skips:  casts that cut off fractions or wrap around.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
