"""EliminateNoopTranspose: a transposition that leaves every axis where it is."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.rule import Refusal, Rule


def _is_identity(match: Match) -> str | None:
    perm = match.attr_ints("perm")
    if perm is not None:
        return None if perm == tuple(range(len(perm))) else ""
    rank = match.rank("x")
    if rank is None:
        return "it reverses the axes, and the rank of its input is unknown"
    return None if rank < 2 else ""


def _draw(draw: Draw) -> None:
    rank = int(draw.rng.integers(1, 5))
    draw.input("x", *("A", "B", 3, 2)[:rank])
    draw.attribute("perm", None if rank == 1 and draw.flag() else tuple(range(rank)))


def _draw_moving(draw: Draw) -> None:
    draw.input("x", "A", "B", 3)
    draw.attribute("perm", draw.choice((1, 0, 2), (2, 0, 1), None))


RULES = (
    Rule(
        "transpose",
        before="y = Transpose <perm = @perm> (x)",
        after="y = x",
        guard=_is_identity,
        min_opset=1,
        draw=_draw,
        refusals=(Refusal(_draw_moving),),
    ),
)


@dataclass(frozen=True)
class EliminateNoopTranspose(Pass):
    """Drop a Transpose whose permutation is the identity.

    Before: ``y = Transpose<perm=[0,1,2]>(x)``.
    After:  x in place of y.
    Needs:  the rank of x where perm is left out.
    Keeps:  the names of graph outputs.
    Skips:  permutations that only move dims of size 1: they change the shape.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, RULES, self.name(), ctx)
