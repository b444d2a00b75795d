"""CancelRequantization: numbers that are dequantised and quantised again in the same way stay as they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.rule import Refusal, Rule

_MOVES = {
    "Reshape": "(d, *rest)",
    "Flatten": "(d)",
    "Squeeze": "(d, *rest)",
    "Unsqueeze": "(d, *rest)",
    "Transpose": "(d)",
    "Slice": "(d, *rest)",
    "Expand": "(d, *rest)",
    "Tile": "(d, *rest)",
    "Gather": "(d, *rest)",
}
"""Operators that only move what they are given, and have kernels for integers everywhere."""


_SLACK = 1e-3
"""Relative difference of two scales that moves no number of 8 bits by as much as half a step."""


def _same_zero(match: Match) -> bool:
    """Whether the two zero points are the same single number; one left out is 0."""
    a = match.constant("z") if "z" in match else np.zeros(())
    b = match.constant("w") if "w" in match else np.zeros(())
    return a is not None and b is not None and a.size == b.size == 1 and a.item() == b.item()


def _same_scale(match: Match) -> bool:
    """Whether every number of 8 bits that one scale spreads is found again by the other."""
    a, b = match.constant("s"), match.constant("q")
    if a is None or b is None or a.size != 1 or b.size != 1:
        return False
    return bool(abs(float(a.item()) - float(b.item())) <= _SLACK * abs(float(a.item())))


def _undone(match: Match) -> str | None:
    kind = match.dtype("x")
    if kind is None or kind != match.dtype("y"):
        return ""
    if kind not in (ir.DataType.INT8, ir.DataType.UINT8):
        return "its numbers are not of 8 bits"
    scale = match.constant("s")
    if scale is None or scale.size != 1 or not np.isfinite(scale).all() or not (np.abs(scale) > 0).all():
        return "its scale is not a single number"
    if np.abs(scale).max() < float(np.finfo(np.float32).tiny) * 4 or np.abs(scale).max() > 1e30:
        return "its scale is at the end of the range of numbers"
    if not _same_scale(match) or not _same_zero(match):
        return "it is quantised in another way than before"
    return None


def _moved(match: Match) -> str:
    node = match.nodes[-2]
    operands = "(x, *rest)" if "rest" in match.values else "(x)"
    return f"y = {node.op_type} <**attrs> {operands}"


def _draw(draw: Draw) -> None:
    kind = draw.choice(ir.DataType.UINT8, ir.DataType.INT8)
    draw.input("x", 2, 1, 4, dtype=kind)
    draw.feeds["x"] = draw.rng.integers(-128, 128, (2, 1, 4)).astype(np.int8).view(kind.numpy())
    for scale, zero in (("s", "z"), ("q", "w")):
        draw.constant(scale, 0.0373, dtype=ir.DataType.FLOAT)
        draw.constant(zero, 3, dtype=kind)
    draw.attribute("of_x", {})
    draw.attribute("of_y", {})
    draw.attribute("attrs", {})
    draw.counts["rest"] = 1
    operands = {"Reshape": [8], "Squeeze": [1], "Unsqueeze": [0], "Expand": [2, 3, 4], "Tile": [1, 2, 1]}
    op = draw.ops[1]
    draw.constant("rest_0", operands.get(op, [0]))
    if op == "Slice":
        draw.counts["rest"] = 2
        draw.constant("rest_1", [1])


def _draw_other_scale(draw: Draw) -> None:
    _draw(draw)
    draw.constant("q", 0.0375, dtype=ir.DataType.FLOAT)


def _draw_other_type(draw: Draw) -> None:
    _draw(draw)
    other = ir.DataType.INT8 if draw.feeds["x"].dtype == np.uint8 else ir.DataType.UINT8
    draw.constant("w", 3, dtype=other)


_REFUSALS = (Refusal(_draw_other_scale, because="another way"), Refusal(_draw_other_type))

RULES = (
    Rule(
        "pair",
        before="""
            d = DequantizeLinear <**of_x> (x, s, z?)
            y = QuantizeLinear <**of_y> (d, q, w?)
        """,
        after="y = x",
        guard=_undone,
        shared=("d",),
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw,
        refusals=_REFUSALS,
    ),
    Rule(
        "move",
        before=f"""
            d = DequantizeLinear <**of_x> (x, s, z?)
            m = {" | ".join(f"{op} <**attrs> {operands}" for op, operands in _MOVES.items())}
            y = QuantizeLinear <**of_y> (m, q, w?)
        """,
        after=_moved,
        guard=_undone,
        shared=("d",),
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw,
        refusals=_REFUSALS,
    ),
)


@dataclass(frozen=True)
class CancelRequantization(Pass):
    """Leave quantised numbers alone that come back as they were.

    Before: ``y = QuantizeLinear(Reshape(DequantizeLinear(x, s, z), t), s, z)``, or without the Reshape.
    After:  ``y = Reshape(x, t)``, or x in place of y.
    Needs:  int8 or uint8, and one constant scale.
    Keeps:  DequantizeLinear for its other readers.
    Skips:  another scale or zero point, which rounds a second time.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
