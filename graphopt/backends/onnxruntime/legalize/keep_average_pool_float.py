"""KeepAveragePoolFloat: an AveragePool between DequantizeLinear and QuantizeLinear runs on floats."""

from __future__ import annotations

import math
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

_SMALLEST = 4096
"""Elements from which on the float kernels win over the one integer kernel by more than their overhead."""


def _large_enough(match: Match) -> str | None:
    shape = match.shape("d")
    if shape is None or match.shape("t") is None:
        return "the rank of its input is unknown"
    known = math.prod(dim for dim in shape if isinstance(dim, int))
    if known < _SMALLEST and not any(isinstance(dim, ir.SymbolicDim) for dim in shape[1:]):
        return f"it has only {known} elements"
    return None


def _hidden(match: Match) -> Replacement:
    """Two changes of shape that cancel; ONNX Runtime does not look through the first of them."""
    shape = match.shape("t")
    assert shape is not None, "the guard let only known ranks through"
    numbers = [dim if isinstance(dim, int) else -1 for dim in shape]
    text = """
        p = AveragePool <**pool> (d)
        f = Flatten <axis = 1> (p)
        t = Reshape (f, s)
        y = QuantizeLinear <**of_y> (t, q, z?)
    """
    if numbers.count(-1) > 1 or 0 in numbers:
        return Replacement(text.replace("f = Flatten", "s = Shape (p); f = Flatten"))
    return Replacement(text, constants={"s": np.asarray(numbers, np.int64)})


def _draw(draw: Draw) -> None:
    _draw_image(draw, "N" if draw.flag() else 2, 64, 8, draw.choice(8, 16))


def _draw_image(draw: Draw, *shape: int | str) -> None:
    draw.input("x", *shape, dtype=ir.DataType.UINT8)
    for scale, zero in (("xs", "xz"), ("q", "z")):
        draw.constant(scale, 0.03125, dtype=ir.DataType.FLOAT)
        draw.constant(zero, 7, dtype=ir.DataType.UINT8)
    draw.attribute("of_x", {})
    draw.attribute("of_y", {})
    draw.attribute("pool", {"kernel_shape": (2, 2), "strides": draw.choice((1, 1), (2, 2))})


def _draw_small(draw: Draw) -> None:
    _draw_image(draw, "N", 4, 8, 8)


RULES = (
    Rule(
        "average-pool-between-quantizers",
        before="""
            d = DequantizeLinear <**of_x> (x, xs, xz?)
            t = AveragePool <**pool> (d)
            y = QuantizeLinear <**of_y> (t, q, z?)
        """,
        after=_hidden,
        guard=_large_enough,
        shared=("d",),
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw,
        refusals=(Refusal(_draw_small, because="elements"),),
    ),
)


@dataclass(frozen=True)
class KeepAveragePoolFloat(Pass):
    """Hide an AveragePool between quantisers from ONNX Runtime's fusion into QLinearAveragePool.

    As of 1.31 its integer kernel takes six times as long as DequantizeLinear, AveragePool and
    QuantizeLinear together.

    Before: ``d = DequantizeLinear(x, …); t = AveragePool(d); y = QuantizeLinear(t, …)``.
    After:  ``t = Reshape(Flatten(AveragePool(d)), shape); y = QuantizeLinear(t, …)``.
    Needs:  the rank.
    Keeps:  every bit of the result.
    Skips:  few elements, where more nodes cost more than they save.
    """

    backend: ClassVar[str] = "onnxruntime"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, RULES, self.name(), ctx)
