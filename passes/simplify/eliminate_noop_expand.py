"""EliminateNoopExpand: an expansion to the shape a value already has."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.dims import same_shape
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.rule import Refusal, Rule


def _enlarges_nothing(match: Match) -> str | None:
    shape = match.shape("x")
    if shape is None:
        return "the rank of its input is unknown"
    wanted = match.ints("shape")
    if wanted is None:
        # The declared dims of an output are the exporter's word; those in between are inferred.
        result = match.value("y")
        is_same = not result.is_graph_output() and same_shape(shape, match.shape("y"))
        return None if is_same else "the shape is computed"
    if len(wanted) > len(shape):
        return ""
    aligned = shape[len(shape) - len(wanted) :]
    return None if all(want in (1, have) for want, have in zip(wanted, aligned, strict=True)) else ""


def _draw(draw: Draw) -> None:
    draw.input("x", "N", 3, 2)
    draw.constant("shape", draw.choice([1, 1, 1], [1, 3, 2], [3, 1], [2], [1]))


def _draw_enlarging(draw: Draw) -> None:
    draw.input("x", "N", 1, 2)
    draw.constant("shape", draw.choice([1, 4, 2], [1, 1, 1, 2], [5, 1, 1]))


def _draw_own(draw: Draw) -> None:
    draw.input("x", "N", 3)


RULES = (
    Rule(
        "expand",
        before="y = Expand (x, shape)",
        after="y = x",
        guard=_enlarges_nothing,
        min_opset=8,
        draw=_draw,
        refusals=(Refusal(_draw_enlarging),),
    ),
    Rule(
        "expand-to-own-shape",
        before="s = Shape (x); y = Expand (x, s)",
        after="y = x",
        shared=("s",),
        min_opset=8,
        draw=_draw_own,
    ),
)


@dataclass(frozen=True)
class EliminateNoopExpand(Pass):
    """Drop an Expand that enlarges nothing.

    Before: ``y = Expand(x, [1, 3])`` with x of [N, 3].
    After:  x in place of y.
    Needs:  a constant shape and the dims of x where it is not 1; the shape of x itself; or inferred dims.
    Keeps:  the names of graph outputs.
    Skips:  shapes of higher rank, and sizes that only happen to agree at run time.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
