"""FoldScaleIntoQuantizer: a factor beside a quantiser is part of its scale."""

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

_SMALLEST, _LARGEST = 1e-30, 1e30


def _scale(match: Match) -> np.float32 | str:
    """The scale with the factor in it, or why there is none."""
    scale, factor = match.constant("s"), match.constant("c")
    if scale is None or factor is None:
        return ""
    if scale.size != 1 or factor.size != 1 or factor.ndim > (match.rank("x") or 0):
        return "the scale and the factor are no single numbers"
    if scale.dtype != np.float32:
        return "its scale has few digits"
    steps, times = float(scale.item()), float(factor.item())
    if not times > 0:
        return "its factor is not positive"
    divides = any(node.op_type == "Div" for node in match.nodes)
    quantizes = match.root.op_type == "QuantizeLinear"
    result = steps / times if quantizes != divides else steps * times
    return np.float32(result) if _SMALLEST < result < _LARGEST else "its scale would leave the range"


def _may_fold(match: Match) -> str | None:
    found = _scale(match)
    return found if isinstance(found, str) else None


def _quantized(match: Match) -> Replacement:
    scale = _scale(match)
    assert not isinstance(scale, str), "the guard let only numbers through"
    return Replacement("y = QuantizeLinear <**attrs> (x, r, z?)", constants={"r": np.asarray(scale)})


def _dequantized(match: Match) -> Replacement:
    scale = _scale(match)
    assert not isinstance(scale, str), "the guard let only numbers through"
    return Replacement("y = DequantizeLinear <**attrs> (x, r, z?)", constants={"r": np.asarray(scale)})


def _draw(draw: Draw) -> None:
    """Steps that are far apart: numbers between two of them are not drawn."""
    quantizes = "QuantizeLinear" in draw.ops
    draw.input("x", "N", 4, dtype=ir.DataType.FLOAT if quantizes else ir.DataType.UINT8)
    factor = draw.choice(0.25, 0.35, 3.0)
    draw.constant("c", draw.choice(np.float32(factor), np.full((1, 1), factor, np.float32)))
    draw.constant("s", 0.125, dtype=ir.DataType.FLOAT)
    draw.constant("z", 100, dtype=ir.DataType.UINT8)
    draw.attribute("attrs", {})
    whole = draw.rng.integers(-90, 90, draw.feeds["x"].shape)
    if quantizes:
        scale = 0.125 * factor if "Div" in draw.ops else 0.125 / factor
        draw.feeds["x"] = (whole * scale).astype(np.float32)
    else:
        draw.feeds["x"] = (whole + 100).astype(np.uint8)


def _draw_negative(draw: Draw) -> None:
    _draw(draw)
    draw.constant("c", -0.5, dtype=ir.DataType.FLOAT)


_REFUSALS = (Refusal(_draw_negative, because="not positive"),)

RULES = (
    Rule(
        "before-quantize",
        before="t = Mul (x, c) | Div (x, c); y = QuantizeLinear <**attrs> (t, s, z?)",
        after=_quantized,
        guard=_may_fold,
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw,
        refusals=_REFUSALS,
    ),
    Rule(
        "after-dequantize",
        before="t = DequantizeLinear <**attrs> (x, s, z?); y = Mul (t, c) | Div (t, c)",
        after=_dequantized,
        guard=_may_fold,
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw,
        refusals=_REFUSALS,
    ),
)


@dataclass(frozen=True)
class FoldScaleIntoQuantizer(Pass):
    """Fold a positive factor into the scale of QuantizeLinear behind it or DequantizeLinear before it.

    Before: ``y = QuantizeLinear(Mul(x, c), s, z)``, or ``y = Mul(DequantizeLinear(x, s, z), c)``.
    After:  ``y = QuantizeLinear(x, s / c, z)``, or ``y = DequantizeLinear(x, s · c, z)``.
    Needs:  a constant factor and a constant scale, each a single number, in float32.
    Keeps:  quantised values, but for those on the edge between two.
    Skips:  products that something else reads.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
