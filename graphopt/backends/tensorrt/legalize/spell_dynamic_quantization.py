"""SpellDynamicQuantization: the range of a tensor, its scale and its numbers, in floats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule


def _has_range(match: Match) -> str | None:
    return "the rank of its input is unknown or 0" if not match.rank("x") else None


def _spelled(match: Match) -> Replacement:  # noqa: ARG001 (the text is the same for every match)
    return Replacement(
        """
        top = ReduceMax <keepdims = 0> (x)
        bottom = ReduceMin <keepdims = 0> (x)
        high = Max (top, zero)
        low = Min (bottom, zero)
        range = Sub (high, low)
        flat = Equal (range, zero)
        steps = Div (range, largest)
        s = Where (flat, one, steps)
        below = Div (low, s)
        above = Neg (below)
        nearest = Round (above)
        offset = Clip (nearest, zero, largest)
        z = Cast <to = 2> (offset)
        scaled = Div (x, s)
        whole = Round (scaled)
        shifted = Add (whole, offset)
        number = Clip (shifted, zero, largest)
        q = Cast <to = 2> (number)
        """,
        constants={
            "zero": np.zeros((), np.float32),
            "one": np.ones((), np.float32),
            "largest": np.asarray(255, np.float32),
        },
    )


def _draw(draw: Draw) -> None:
    drawn = draw.input("x", *draw.choice(("N", 3, 8), (5,), (2, "M"))).astype(np.float32)
    draw.feeds["x"] = draw.choice(drawn, np.abs(drawn), -100 * np.abs(drawn), 0 * drawn).astype(np.float32)


def _draw_scalar(draw: Draw) -> None:
    draw.input("x")


RULES = (
    Rule(
        "range",
        before="q, s, z = DynamicQuantizeLinear (x)",
        after=_spelled,
        guard=_has_range,
        min_opset=18,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw,
        refusals=(Refusal(_draw_scalar, because="rank"),),
    ),
)


@dataclass(frozen=True)
class SpellDynamicQuantization(Pass):
    """Spell out DynamicQuantizeLinear, which TensorRT lacks, as ONNX Runtime computes it.

    The numbers stay floats until they are narrowed, which the passes after this one undo wherever
    the reader is one of theirs: TensorRT has no uint8 between two operators.

    Before: ``q, s, z = DynamicQuantizeLinear(x)``.
    After:  ``s = (max(x, 0) - min(x, 0)) / 255; z = round(-min / s); q = clip(round(x / s) + z, 0, 255)``.
    Needs:  a rank of 1 or more.
    Keeps:  every bit; a scale of 1 where all elements are zero.
    Skips:  scalars.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, RULES, self.name(), ctx)
