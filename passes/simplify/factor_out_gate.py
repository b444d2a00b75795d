"""FactorOutGate: a value added to its own product with something smaller."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Axis, Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.rule import Refusal, Rule


def _gate_is_smaller(match: Match) -> str | None:
    """The sum with one must cost less than the sum it replaces, and must not grow the result."""
    shape, gate = match.shape("x"), match.shape("gate")
    if shape is None or gate is None:
        return "the shape of a factor is unknown"
    if len(gate) > len(shape):
        return "the other factor has more dims"
    padded: tuple[object, ...] = (1,) * (len(shape) - len(gate)) + tuple(gate)
    stretched = [dim for dim, own in zip(shape, padded, strict=True) if own == 1 and dim != 1]
    return None if stretched else "the other factor is not known to be smaller"


def _draw(draw: Draw) -> None:
    draw.input("x", "N", 3, "H", 4)
    gates: tuple[tuple[Axis, ...], ...] = (("N", 3, 1, 1), (3, 1, 1), (1, 1), ("N", 3, "H", 1))
    draw.input("gate", *draw.choice(*gates))


def _draw_large(draw: Draw) -> None:
    draw.input("x", "N", 3)
    draw.input("gate", "N", 3)


RULES = (
    Rule(
        "gated-residual",
        before="""
            p = Mul (x, gate)
            y = Add (p, x)
        """,
        after="""
            g = Add (gate, 1.0)
            y = Mul (x, g)
        """,
        guard=_gate_is_smaller,
        exact=False,
        dtypes=(ir.DataType.FLOAT, ir.DataType.DOUBLE),
        types={"x": "T", "gate": "T"},
        draw=_draw,
        refusals=(Refusal(_draw_large, because="smaller"),),
    ),
)


@dataclass(frozen=True)
class FactorOutGate(Pass):
    """Add one to a gate instead of adding the gated value to itself.

    Before: ``y = x * gate + x`` with a gate per channel, as residual squeeze-and-excitation blocks have it.
    After:  ``y = x * (gate + 1)``.
    Needs:  shapes that show that the gate is smaller than x.
    Keeps:  the value; it is rounded once less.
    Skips:  a gate as large as x, and half precision, where one plus a small gate loses more of it.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, RULES, self.name(), ctx)
