"""FuseMatMulAdd: a product of two matrices and what is added to it are one Gemm."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.dims import FLOATS, same_dim
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.rule import Refusal, Rule


def _refuse(match: Match) -> str | None:
    """Gemm stretches what it adds to the product, never the product."""
    if match.dtype("a") not in FLOATS:
        return ""
    a, b, c = match.shape("a"), match.shape("b"), match.shape("c")
    if a is None or b is None or len(a) != 2 or len(b) != 2:
        return ""
    if c is None or len(c) > 2:
        return "what is added is no matrix, or of unknown rank"
    for have, want in zip(reversed(c), (b[1], a[0]), strict=False):
        if have != 1 and not same_dim(have, want):
            return "what is added may enlarge the product"
    return None


def _draw(draw: Draw) -> None:
    draw.input("a", "N", 4)
    draw.constant("b", draw.array(4, 3))
    if draw.flag():
        draw.constant("c", draw.array(*draw.choice((), (1,), (3,), (1, 3))))
    else:
        draw.input("c", "N", 3)


def _draw_larger(draw: Draw) -> None:
    draw.input("a", "N", 4)
    draw.constant("b", draw.array(4, 1))
    draw.constant("c", draw.array(3))


def _draw_stack(draw: Draw) -> None:
    _draw(draw)
    draw.constant("c", draw.array(2, 1, 3))


RULES = (
    Rule(
        "product-and-addend",
        before="t = MatMul (a, b); y = Add (t, c)",
        after="y = Gemm (a, b, c)",
        guard=_refuse,
        exact=False,
        draw=_draw,
        refusals=(Refusal(_draw_larger, "may enlarge"), Refusal(_draw_stack, "no matrix")),
    ),
)


@dataclass(frozen=True)
class FuseMatMulAdd(Pass):
    """Write a product of two matrices and an addition as one Gemm.

    Before: ``t = MatMul(a, b); y = Add(t, c)`` with matrices a and b.
    After:  ``y = Gemm(a, b, c)``.
    Needs:  rank 2, floating-point numbers, an addend that is stretched to the product's shape.
    Keeps:  the weights as they are.
    Skips:  products of higher rank: the Reshapes around them would cost more than the Add.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, RULES, self.name(), ctx)
