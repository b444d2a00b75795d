"""DropCeilMode: pooling that rounds its size up where that changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.rule import Refusal, Rule


def _sizes(match: Match) -> tuple[list[int], list[int]] | None:
    """Positions along each spatial axis when the size is rounded down, and as ONNX rounds it up."""
    shape, kernel = match.shape("x"), match.attr_ints("kernel")
    if shape is None or kernel is None or len(shape) != len(kernel) + 2:
        return None
    count = len(kernel)
    strides = match.attr_ints("strides") or (1,) * count
    dilations = match.attr_ints("dilations") or (1,) * count
    pads = match.attr_ints("pads") or (0,) * (2 * count)
    down, up = [], []
    for axis, dim in enumerate(shape[2:]):
        if not isinstance(dim, int):
            return None
        padded = dim + pads[axis] + pads[count + axis]
        room = padded - dilations[axis] * (kernel[axis] - 1) - 1
        down.append(room // strides[axis] + 1)
        above = -(-room // strides[axis]) + 1
        # A window that would begin in the padding behind the last element is left out.
        up.append(above - 1 if (above - 1) * strides[axis] >= dim + pads[axis] else above)
    return down, up


def _refuses(match: Match) -> str | None:
    sizes = _sizes(match)
    if sizes is None:
        return "its spatial dims are not known"
    return None if sizes[0] == sizes[1] else ""


def _draw(draw: Draw) -> None:
    """The last window of one that steps by two would begin behind the end."""
    draw.input("x", "N", 2, 4, 4)
    draw.attribute("kernel", (1, 2))
    draw.attribute("strides", (2, 2))
    draw.attribute("pads", draw.choice((0, 0, 0, 0), None))
    draw.attribute("dilations", None)
    draw.attribute("auto", "NOTSET")
    draw.attribute("order", 0)
    draw.attribute("counted", draw.choice(0, 1))
    draw.attribute("p", 2)


def _draw_rounded(draw: Draw) -> None:
    """The last window is only half full."""
    _draw(draw)
    draw.input("x", 1, 2, 3, 5)


_COMMON = "kernel_shape = @kernel, strides = @strides, pads = @pads, dilations = @dilations, auto_pad = @auto"
_OWN = {
    "MaxPool": ", storage_order = @order",
    "AveragePool": ", count_include_pad = @counted",
    "LpPool": ", p = @p",
}

RULES = tuple(
    Rule(
        op_type.lower(),
        before=f"y = {op_type} <{_COMMON}{own}, ceil_mode = 1> (x)",
        after=f"y = {op_type} <{_COMMON}{own}> (x)",
        guard=_refuses,
        min_opset=19,
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw,
        refusals=(Refusal(_draw_rounded),),
    )
    for op_type, own in _OWN.items()
)


@dataclass(frozen=True)
class DropCeilMode(Pass):
    """Round the size of a pooling's result down where ONNX, rounding up, gets the same.

    ONNX leaves out a window that would begin behind the last element; TensorRT counts it in, and its
    result is one longer.

    Before: ``y = MaxPool<kernel_shape=[1, 1], strides=[2, 2], ceil_mode=1>(x)`` over an even number.
    After:  ``y = MaxPool<kernel_shape=[1, 1], strides=[2, 2]>(x)``.
    Needs:  the spatial dims.
    Keeps:  every other attribute.
    Skips:  poolings whose last window is partly filled: there both round up.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
