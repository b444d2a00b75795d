"""FuseConsecutiveTransposes: two permutations are one."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Rule


def _compose(match: Match) -> Replacement | str:
    """y[i] = t[q[i]] = x[p[q[i]]]; a permutation left out reverses the axes."""
    p, q = match.attr_ints("p"), match.attr_ints("q")
    if p is None and q is None:
        return "y = x"
    rank = len(p or q or ())
    p = p if p is not None else tuple(reversed(range(rank)))
    q = q if q is not None else tuple(reversed(range(rank)))
    both = tuple(p[axis] for axis in q)
    if both == tuple(range(rank)):
        return "y = x"
    return Replacement("y = Transpose <perm = @both> (x)", attributes={"both": both})


def _draw(draw: Draw) -> None:
    rank = int(draw.rng.integers(1, 5))
    draw.input("x", *("A", "B", 3, 2)[:rank])
    first = draw.permutation(rank)
    inverse = tuple(first.index(axis) for axis in range(rank))
    draw.attribute("p", draw.choice(first, first, None))
    draw.attribute("q", draw.choice(draw.permutation(rank), inverse, None))


RULES = (
    Rule(
        "transpose-of-transpose",
        before="""
            t = Transpose <perm = @p> (x)
            y = Transpose <perm = @q> (t)
        """,
        after=_compose,
        shared=("t",),
        min_opset=1,
        draw=_draw,
    ),
)


@dataclass(frozen=True)
class FuseConsecutiveTransposes(Pass):
    """Compose two transpositions into one, or into none when they cancel.

    Before: ``t = Transpose<perm=[0,2,1]>(x); y = Transpose<perm=[1,0,2]>(t)``.
    After:  ``y = Transpose<perm=[2,0,1]>(x)``.
    Needs:  nothing.
    Keeps:  the first transposition where something else reads it.
    Skips:  nothing.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, RULES, self.name(), ctx)
