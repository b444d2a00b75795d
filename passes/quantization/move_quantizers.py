"""MoveQuantizers: what only moves elements moves the quantised ones."""

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

_MOVES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose")
"""Operators that give back every element once."""


def _one_scale(match: Match) -> str | None:
    quantised = match.dtype("x") if match.root.op_type != "QuantizeLinear" else match.dtype("y")
    if quantised not in (ir.DataType.INT8, ir.DataType.UINT8):
        return "few operators take its quantised type"
    if match.static_shape("s") not in ((), (1,)):
        return "it is quantised by slices, which move along"
    return None


def _sunk(match: Match) -> Replacement:
    node = match.root
    operands = "x" if len(node.inputs) < 2 else "x, target"
    return Replacement(
        f"m = {node.op_type} <**attrs> ({operands}); y = DequantizeLinear <**of_x> (m, s, z?)",
        values={"target": node.inputs[1]} if len(node.inputs) > 1 and node.inputs[1] is not None else {},
    )


def _risen(match: Match) -> Replacement:
    node = match.nodes[0]
    operands = "q" if len(node.inputs) < 2 else "q, target"
    return Replacement(
        f"q = QuantizeLinear <**of_y> (x, s, z?); y = {node.op_type} <**attrs> ({operands})",
        values={"target": node.inputs[1]} if len(node.inputs) > 1 and node.inputs[1] is not None else {},
    )


def _draw(draw: Draw) -> None:
    op = next(op for op in draw.ops if op in _MOVES)
    draw.input("x", 2, 1, 4, dtype=ir.DataType.UINT8 if draw.ops[0] == "DequantizeLinear" else None)
    if draw.ops[0] == "DequantizeLinear":
        draw.feeds["x"] = draw.rng.integers(0, 256, (2, 1, 4)).astype(np.uint8)
    draw.constant("s", 0.0371, dtype=ir.DataType.FLOAT)
    draw.constant("z", 3, dtype=ir.DataType.UINT8)
    draw.constant("t", {"Reshape": [8], "Squeeze": [1], "Unsqueeze": [0]}.get(op, [0]))
    for name in ("of_x", "of_y", "attrs"):
        draw.attribute(name, {})


def _draw_slices(draw: Draw) -> None:
    """A scale for each slice of the axis that both operators default to."""
    _draw(draw)
    draw.input("x", 2, 4, 1, dtype=ir.DataType.UINT8 if draw.ops[0] == "DequantizeLinear" else None)
    draw.constant("s", np.full(4, 0.0371, np.float32))
    draw.constant("z", np.full(4, 3, np.uint8))
    if "Squeeze" in draw.ops:
        draw.constant("t", [2])
    # Behind these two there is no axis of four left for a quantiser to cut.
    if draw.ops[0] == "Flatten":
        draw.attribute("attrs", {"axis": 1})
    if draw.ops[0] in ("Reshape", "Unsqueeze"):
        draw.constant("t", [2, 4] if draw.ops[0] == "Reshape" else [3])


def _moved(value: str) -> str:
    with_target = " | ".join(f"{op} <**attrs> ({value}, t)" for op in ("Reshape", "Squeeze", "Unsqueeze"))
    return f"{with_target} | Flatten <**attrs> ({value}) | Transpose <**attrs> ({value})"


RULES = (
    Rule(
        "dequantize-sinks",
        before=f"d = DequantizeLinear <**of_x> (x, s, z?); y = {_moved('d')}",
        after=_sunk,
        guard=_one_scale,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw,
        refusals=(Refusal(_draw_slices, because="by slices"),),
    ),
    Rule(
        "quantize-rises",
        before=f"m = {_moved('x')}; y = QuantizeLinear <**of_y> (m, s, z?)",
        after=_risen,
        guard=_one_scale,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw,
    ),
)


@dataclass(frozen=True)
class MoveQuantizers(Pass):
    """Reshape and transpose the quantised numbers, which are a quarter of the bytes.

    Before: ``y = Transpose(DequantizeLinear(x, s, z))``, or ``y = QuantizeLinear(Transpose(x), s, z)``.
    After:  ``y = DequantizeLinear(Transpose(x), s, z)``, or ``y = Transpose(QuantizeLinear(x, s, z))``.
    Needs:  a single scale.
    Keeps:  every bit.
    Skips:  floats that something else reads; scales by slices; operators that drop or repeat elements;
            types other than int8 and uint8.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
