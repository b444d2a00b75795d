"""KeepReducedAxes: a reduction that keeps its axes needs no Unsqueeze behind it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.dims import same_dim
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.rule import Refusal, Rule

_REDUCTIONS = ("ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "ReduceL2")


def _guard(match: Match) -> str | None:
    shape, result, axes = match.shape("x"), match.shape("y"), match.ints("axes")
    if shape is None or result is None or not axes:
        return ""
    reduced = {axis % len(shape) for axis in axes}
    if len(result) != len(shape):
        return ""
    for axis, (have, want) in enumerate(zip(result, shape, strict=True)):
        if not (have == 1 if axis in reduced else same_dim(have, want)):
            return "the reduced axes do not come back where they were"
    return None


def _draw_of(draw: Draw, axes: tuple[int, ...], back: tuple[int, ...], target: tuple[int, ...]) -> None:
    draw.input("x", "N", 3, 2)
    draw.attribute("noop", draw.choice(0, 1))
    draw.constant("axes", np.asarray(axes, np.int64))
    draw.constant("back", np.asarray(target if draw.ops[-1] == "Reshape" else back, np.int64))
    draw.attribute("zero", None)


def _draw(draw: Draw) -> None:
    _draw_of(draw, (-1,), (2,), (0, 3, 1))


def _draw_moved(draw: Draw) -> None:
    _draw_of(draw, (-1,), (1,), (0, 1, 3))


RULES = tuple(
    Rule(
        f"{op.lower()}",
        before=f"r = {op} <keepdims = 0, noop_with_empty_axes = @noop> (x, axes); "
        "y = Unsqueeze (r, back) | Reshape <allowzero = @zero> (r, back)",
        after=f"y = {op} <noop_with_empty_axes = @noop> (x, axes)",
        guard=_guard,
        min_opset=18,
        exact=False,
        dtypes=(ir.DataType.FLOAT, ir.DataType.INT64) if op != "ReduceL2" else (ir.DataType.FLOAT,),
        draw=_draw,
        refusals=(Refusal(_draw_moved, "do not come back"),),
    )
    for op in _REDUCTIONS
)


@dataclass(frozen=True)
class KeepReducedAxes(Pass):
    """Let a reduction keep its axes where the next node puts them back.

    Before: ``Unsqueeze(ReduceMean(x, axes, keepdims=0), axes)``, or with a Reshape.
    After:  ``ReduceMean(x, axes)``, as the forms of normalisations and softmax are spelled.
    Needs:  opset 18; the shapes before and behind.
    Keeps:  the result's shape.
    Skips:  a reduction that something else reads too; axes put back elsewhere.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
