"""FoldIntegerBias: a constant that TensorRT cannot dequantise is a constant of floats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.backends.tensorrt.legalize._steps import layout, spread
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule

_WIDE = (ir.DataType.INT16, ir.DataType.UINT16, ir.DataType.INT32)


def _is_bias(match: Match) -> str | None:
    if not match.is_constant("x") or not (match.dtype("x") in _WIDE or match.static_shape("x") == ()):
        return ""
    if not match.is_constant("s") or ("z" in match and not match.is_constant("z")):
        return "its scale or its zero point is computed"
    if match.dtype("y") not in (ir.DataType.FLOAT, ir.DataType.FLOAT16):
        return "the result is of a type that it is not computed in"
    return None if layout(match, "x", "s") else "its scales do not fit its axes"


def _folded(match: Match) -> Replacement:
    numbers, scale, zero = match.constant("x"), match.constant("s"), match.constant("z")
    kind = match.dtype("y")
    assert numbers is not None, "the guard let only constants through"
    assert scale is not None, "the guard let only constants through"
    assert kind is not None, "the guard let only known types through"
    whole = numbers.astype(np.int64)
    if zero is not None:
        whole = whole - spread(zero, match, "x").astype(np.int64)
    floats = whole.astype(np.float32) * spread(scale, match, "x").astype(np.float32)
    return Replacement("y = floats", constants={"floats": floats.astype(kind.numpy())})


def _draw(draw: Draw) -> None:
    axis = draw.choice(0, 1)
    draw.constant("x", draw.array(3, 4, dtype=ir.DataType.INT32))
    scale = draw.choice((), (1,), ((3, 4)[axis],))
    if draw.flag():
        draw.constant("x", 7, dtype=ir.DataType.INT32)
        scale = ()
    draw.constant("s", np.abs(draw.array(*scale)) + np.asarray(0.01, draw.dtype.numpy()))
    draw.constant("z", np.zeros(scale, np.int32))
    if draw.flag():
        draw.omit("z")
    draw.attribute("axis", axis)
    draw.attribute("block", None)
    draw.attribute("rest", {})


def _draw_computed(draw: Draw) -> None:
    _draw(draw)
    draw.input("s")
    draw.constants.pop("s")
    draw.omit("z")


def _draw_bytes(draw: Draw) -> None:
    _draw(draw)
    draw.constant("x", draw.array(3, 4, dtype=ir.DataType.INT8))
    draw.omit("z")


RULES = (
    Rule(
        "constant",
        before="y = DequantizeLinear <axis = @axis, block_size = @block, **rest> (x, s, z?)",
        after=_folded,
        guard=_is_bias,
        min_opset=21,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw,
        refusals=(Refusal(_draw_computed, because="is computed"), Refusal(_draw_bytes)),
    ),
)


@dataclass(frozen=True)
class FoldIntegerBias(Pass):
    """Dequantise a bias of wide integers beforehand: TensorRT dequantises 8 and 4 bits only.

    The bias of a quantised convolution or product is added to its sums, in floats: nothing is lost to
    the kernels that multiply in 8 bits. A single quantised number without axes is folded too, which
    the parser would take for a vector.

    Before: ``b = DequantizeLinear(w, s)`` with w a constant of int32 (or 16 bits).
    After:  ``b`` is a constant, ``w · s``.
    Needs:  a constant scale: one number, one for each slice of an axis, or one for each block.
    Keeps:  every bit.
    Skips:  computed scales; weights of 8 and 4 bits.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, RULES, self.name(), ctx)
