"""EliminateNoopResize: a Resize to the size a value has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.rule import Refusal, Rule

_CROPS = "tf_crop_and_resize"


def _keeps_size(match: Match) -> str | None:
    if match.attr("mode_of_coordinates") == _CROPS:
        return "it crops"
    scales, sizes = match.constant("scales"), match.constant("sizes")
    if scales is not None and scales.size:
        return None if bool((scales == 1).all()) else ""
    if sizes is None or not sizes.size:
        return "its size is computed"
    axes, shape = match.attr_ints("axes"), match.static_shape("x")
    if shape is None:
        return "the size of its input is open"
    kept = shape if axes is None else tuple(shape[axis] for axis in axes)
    return None if tuple(int(size) for size in sizes) == kept else ""


def _draw(draw: Draw) -> None:
    draw.input("x", 1, 2, 3, 4)
    draw.attribute("mode_of_coordinates", draw.choice("half_pixel", "asymmetric", "align_corners", None))
    draw.attribute("attrs", {"mode": draw.choice("nearest", "linear", "cubic")})
    draw.attribute("axes", None)
    draw.constant("roi", np.zeros(0, np.float32))
    draw.constant("scales", np.ones(4, np.float32))
    draw.constant("sizes", [1, 2, 3, 4])
    draw.omit("roi")
    draw.omit(draw.choice("scales", "sizes"))


def _draw_larger(draw: Draw) -> None:
    _draw(draw)
    draw.constant("scales", np.asarray([1, 1, 2, 2], np.float32))
    draw.constant("sizes", [1, 2, 6, 8])


RULES = (
    Rule(
        "resize",
        before="""
            y = Resize <coordinate_transformation_mode = @mode_of_coordinates, axes = @axes, **attrs> (
                x, roi?, scales?, sizes?
            )
        """,
        after="y = x",
        guard=_keeps_size,
        min_opset=11,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw,
        refusals=(Refusal(_draw_larger),),
    ),
)


@dataclass(frozen=True)
class EliminateNoopResize(Pass):
    """Drop a Resize that changes no size.

    Before: ``y = Resize(x, scales=[1, 1, 1, 1])``, or the sizes x has.
    After:  x in place of y.
    Needs:  constant scales, or constant sizes and the shape of x.
    Keeps:  the names of graph outputs.
    Skips:  what crops.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, RULES, self.name(), ctx)
