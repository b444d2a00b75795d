"""RecognizeIntegerConv: a convolution of quantised images and its scales are one operator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.ops.conv_integer_to_float import CONV_INTEGER_TO_FLOAT
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Constant, Replacement
from graphopt.rewrite.rule import Refusal, Rule

_CONV = """
    p = ConvInteger <dilations = @dilations, group = @group, kernel_shape = @kernel, pads = @pads,
                     strides = @strides> (x, w, xz?, wz?)
    n = Cast <to = @to, **attrs> (p)
"""


def _is_scalar(match: Match, name: str) -> bool:
    return match.static_shape(name) in ((), (1,))


def _is_per_channel(match: Match, name: str) -> bool:
    """One number, or one for each channel that comes out."""
    shape, weights = match.static_shape(name), match.static_shape("w")
    if shape is None or weights is None:
        return _is_scalar(match, name)
    return _is_scalar(match, name) or (1,) * (4 - len(shape)) + shape == (1, weights[0], 1, 1)


def _scaled(match: Match) -> str | None:
    if match.is_constant("w") and match.is_constant("x_scale") and not match.is_constant("w_scale"):
        return "its scales are the other way round"
    if match.rank("w") != 4:
        return "it is not over two axes"
    if match.dtype("x") is None or match.dtype("w") is None:
        return "the element types of its operands are unknown"
    if not _is_scalar(match, "x_scale") or not _is_per_channel(match, "w_scale"):
        return "its scales are not a number, and one number per channel"
    return None if match.attr_int("to") == match.dtype("w_scale") else "it is scaled in another type"


def _call(match: Match) -> Replacement:
    """The call, with the zero points that were left out."""
    constants: dict[str, Constant] = {}
    for zero, operand in (("xz", "x"), ("wz", "w")):
        kind = match.dtype(operand)
        if zero not in match and kind is not None:
            constants[zero] = np.zeros((), kind.numpy())
    return Replacement(
        """
            y = graphopt.ConvIntegerToFloat <dilations = @dilations, group = @group, pads = @pads,
                                             strides = @strides> (x, w, x_scale, w_scale, xz, wz)
        """,
        constants=constants,
    )


def _draw(draw: Draw) -> None:
    draw.input("x", "N", 4, 6, 7, dtype=ir.DataType.UINT8)
    group = draw.choice(1, 2)
    draw.constant("w", draw.array(6, 4 // group, 3, 2, dtype=ir.DataType.UINT8))
    draw.input("x_scale", *draw.choice((), (1,)))
    draw.constant("w_scale", draw.array(*draw.choice((), (1,), (6, 1, 1), (1, 6, 1, 1))))
    draw.input("xz", dtype=ir.DataType.UINT8)
    draw.constant("wz", 0, dtype=ir.DataType.UINT8)
    draw.attribute("group", group)
    draw.attribute("dilations", draw.choice(None, (1, 2)))
    draw.attribute("kernel", draw.choice(None, (3, 2)))
    draw.attribute("pads", draw.choice(None, (1, 0, 2, 1)))
    draw.attribute("strides", draw.choice(None, (2, 1)))
    draw.attribute("to", int(draw.dtype))
    draw.attribute("attrs", {})


def _draw_scales_per_column(draw: Draw) -> None:
    _draw(draw)
    draw.constant("w_scale", draw.array(1, 1, 1, 1, 1))


_FLOATS = (ir.DataType.FLOAT, ir.DataType.DOUBLE)

RULES = (
    Rule(
        "scales-first",
        before=f"{_CONV}; s = Mul (x_scale, w_scale); y = Mul (n, s)",
        after=_call,
        guard=_scaled,
        shared=("s",),
        functions=(CONV_INTEGER_TO_FLOAT.function,),
        min_opset=15,
        dtypes=_FLOATS,
        draw=_draw,
        refusals=(Refusal(_draw_scales_per_column),),
    ),
    Rule(
        "scales-in-turn",
        before=f"{_CONV}; t = Mul (n, x_scale); y = Mul (t, w_scale)",
        after=_call,
        guard=_scaled,
        functions=(CONV_INTEGER_TO_FLOAT.function,),
        min_opset=15,
        exact=False,
        dtypes=_FLOATS,
        draw=_draw,
        refusals=(Refusal(_draw_scales_per_column),),
    ),
)


@dataclass(frozen=True)
class RecognizeIntegerConv(Pass):
    """Name what dynamic quantisation makes of a convolution: integers and their two scales.

    Before: ``y = Mul(Cast(ConvInteger(x, w, xz, wz)), Mul(x_scale, w_scale))``.
    After:  ``y = graphopt.ConvIntegerToFloat(x, w, x_scale, w_scale, xz, wz)``.
    Needs:  two spatial axes; a single scale for x, and one number or one per channel for w.
    Keeps:  the quantised weights; an addition of a bias.
    Skips:  padding that is left to be computed; convolutions whose integers are read as they are.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
