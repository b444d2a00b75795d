"""TransposeQuantizedWeight: a weight is transposed while it is still integers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule


def _own_weight(match: Match) -> str | None:
    shape = match.static_shape("w")
    if not match.is_constant("w") or shape is None:
        return ""
    if match.dtype("w") not in (ir.DataType.INT8, ir.DataType.UINT8):
        return "few operators take its quantised type"
    if len(match.value("w").uses()) != 1:
        return "its weight is used elsewhere too"
    scale = match.static_shape("s")
    if scale is None or len(scale) > 1 or match.attr_int("block"):
        return "its weight is quantised in blocks"
    return None


def _transposed(match: Match) -> Replacement:
    shape, axis = match.static_shape("w"), match.attr_int("axis")
    assert shape is not None, "the guard let only constants through"
    assert axis is not None, "the axis has a default"
    order = match.attr_ints("p") or tuple(reversed(range(len(shape))))
    text = "t = Transpose <perm = @order> (w); y = DequantizeLinear <axis = @along> (t, s, z?)"
    # The axis means nothing to a single scale, and its default may lie beyond the rank.
    per_axis = match.static_shape("s") not in ((), (1,))
    along = order.index(axis % len(shape)) if per_axis else axis
    return Replacement(text, attributes={"order": order, "along": along})


def _draw(draw: Draw) -> None:
    axis = draw.choice(0, 1, -1)
    draw.constant("w", draw.array(3, 4, dtype=ir.DataType.INT8))
    size = draw.constants["w"].shape[axis]
    kind = draw.choice((size,), ())
    draw.constant("s", np.abs(draw.array(*kind)) + 1)
    draw.constant("z", np.zeros(kind, np.int8))
    draw.attribute("axis", axis)
    draw.attribute("block", None)
    draw.attribute("p", draw.choice((1, 0), None))
    if draw.flag():
        draw.omit("z")


def _draw_computed(draw: Draw) -> None:
    _draw(draw)
    draw.input("w", 3, 4, dtype=ir.DataType.INT8)
    del draw.constants["w"]


RULES = (
    Rule(
        "transpose",
        before="""
            d = DequantizeLinear <axis = @axis, block_size = @block> (w, s, z?)
            y = Transpose <perm = @p> (d)
        """,
        after=_transposed,
        guard=_own_weight,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw,
        refusals=(Refusal(_draw_computed),),
    ),
)


@dataclass(frozen=True)
class TransposeQuantizedWeight(Pass):
    """Transpose a constant before it is dequantised: folding then leaves integers, not floats.

    Before: ``y = Transpose(DequantizeLinear<axis=0>(w, s, z))``.
    After:  ``y = DequantizeLinear<axis=1>(Transpose(w), s, z)``.
    Needs:  a constant of int8 or uint8 that nothing else reads, with one scale or one per slice of an axis.
    Keeps:  every bit, and the size of the model.
    Skips:  scales of blocks.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, RULES, self.name(), ctx)
