"""FuseSkipNormalization: a residual sum and its normalisation as one operator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.ops.skip_layer_normalization import SKIP_LAYER_NORMALIZATION
from graphopt.ops.skip_rms_normalization import SKIP_RMS_NORMALIZATION
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.dims import same_shape
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule

_SINGLES = (ir.DataType.FLOAT16, ir.DataType.FLOAT)


def _guard(match: Match) -> str | None:
    rank, axis = match.rank("total"), match.attr_int("axis")
    if rank is None or axis is None or axis % rank != rank - 1:
        return "it normalises other axes than the last"
    if match.is_constant("x") or match.is_constant("skip"):
        return ""
    if not same_shape(match.shape("x"), match.shape("skip")):
        return "the two summands are not known to have one shape"
    scale, last = match.static_shape("scale"), (match.shape("total") or ())[-1]
    return None if scale == (last,) else "its scale is not known to be a vector"


def _layer(match: Match) -> Replacement:
    """The operator with a bias; zeros where there is none."""
    text = "y, total = graphopt.SkipLayerNormalization <epsilon = @e> (x, skip, scale, bias)"
    if "bias" in match:
        return Replacement(text)
    shape, dtype = match.static_shape("scale"), match.dtype("scale")
    assert shape is not None, "the guard has seen to it"
    assert dtype is not None, "a scale has a type"
    return Replacement(text, constants={"bias": ir.tensor(np.zeros(shape, dtype.numpy()), dtype=dtype)})


def _draw(draw: Draw) -> None:
    draw.input("x", "N", "S", 6)
    draw.input("skip", "N", "S", 6)
    draw.attribute("axis", draw.choice(-1, 2, None))
    draw.attribute("e", draw.choice(1e-3, None))
    draw.input("scale", 6)
    draw.input("bias", 6)
    if draw.flag():
        draw.omit("bias")


def _draw_broadcast(draw: Draw) -> None:
    _draw(draw)
    draw.input("skip", 1, "S", 6)


def _draw_two_axes(draw: Draw) -> None:
    _draw(draw)
    draw.attribute("axis", 1)
    for name in ("x", "skip"):
        draw.input(name, "N", 2, 6)
    for name in ("scale", "bias"):
        draw.input(name, 2, 6)


_REFUSALS = (
    Refusal(_draw_broadcast, "are not known to have one shape"),
    Refusal(_draw_two_axes, "other axes than the last"),
)

RULES = (
    Rule(
        "layer",
        before="""
            (x, skip, scale, bias) => (y, total) {
                total = Add (x, skip)
                y = LayerNormalization <axis = @axis, epsilon = @e> (total, scale, bias?)
            }
        """,
        after=_layer,
        guard=_guard,
        functions=(SKIP_LAYER_NORMALIZATION.function,),
        min_opset=SKIP_LAYER_NORMALIZATION.min_opset,
        exact=False,
        dtypes=_SINGLES,
        draw=_draw,
        refusals=_REFUSALS,
    ),
    Rule(
        "rms",
        before="""
            (x, skip, scale) => (y, total) {
                total = Add (x, skip)
                y = RMSNormalization <axis = @axis, epsilon = @e> (total, scale)
            }
        """,
        after="y, total = graphopt.SkipRMSNormalization <epsilon = @e> (x, skip, scale)",
        guard=_guard,
        functions=(SKIP_RMS_NORMALIZATION.function,),
        min_opset=SKIP_RMS_NORMALIZATION.min_opset,
        exact=False,
        dtypes=_SINGLES,
        draw=_draw,
        refusals=_REFUSALS,
    ),
)


@dataclass(frozen=True)
class FuseSkipNormalization(Pass):
    """Put a residual sum and its normalisation into one operator.

    Before: ``total = x + skip; y = LayerNormalization(total, scale, bias)``, or RMSNormalization.
    After:  ``y, total = graphopt.SkipLayerNormalization(x, skip, scale, bias)``, or SkipRMSNormalization.
    Needs:  the shapes of both summands. Last of all: other passes look for the sum.
    Keeps:  the sum as a result of its own, whoever reads it; a bias of zeros where there is none.
    Skips:  summands that are broadcast or constant; normalised axes other than the last.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
