"""EliminateNoopSlice: a slice that takes everything."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Dim, Match
from graphopt.rewrite.rule import Refusal, Rule

_TO_THE_END = 10**9
"""Exporters write this, or the largest integer, for "to the end"; no dim of a real model reaches it."""


def _takes_all(match: Match) -> str | None:
    starts, ends = match.ints("starts"), match.ints("ends")
    if starts is None or ends is None:
        return ""
    steps = match.ints("steps") if "steps" in match else (1,) * len(starts)
    axes = match.ints("axes") if "axes" in match else tuple(range(len(starts)))
    if steps is None or axes is None or any(step != 1 for step in steps):
        return ""
    shape = match.shape("x")
    for start, end, axis in zip(starts, ends, axes, strict=True):
        dim = shape[axis] if shape is not None and -len(shape) <= axis < len(shape) else None
        if not _spans(start, end, dim):
            return ""
    return None


def _spans(start: int, end: int, dim: Dim | None) -> bool:
    """Whether start:end is all of an axis of size ``dim``."""
    if not isinstance(dim, int):
        return start == 0 and end >= _TO_THE_END
    return (start == 0 or start <= -dim) and end >= dim


def _draw(draw: Draw) -> None:
    draw.input("x", "N", 3, 5)
    draw.constant("starts", [0, draw.choice(0, -5, -9)])
    draw.constant("ends", [draw.choice(10**9, 2**31 - 1, 2**63 - 1), draw.choice(5, 7, 2**63 - 1)])
    draw.constant("axes", [draw.choice(0, -3), draw.choice(2, -1)])
    if draw.flag():
        draw.constant("steps", [1, 1])
    else:
        draw.omit("steps")


def _draw_part(draw: Draw) -> None:
    _draw(draw)
    if draw.flag():
        draw.constant("ends", [2**63 - 1, 4])
    else:
        draw.constant("starts", [0, 1])


def _draw_backwards(draw: Draw) -> None:
    _draw(draw)
    draw.missing.clear()
    draw.constant("starts", [0, -1])
    draw.constant("ends", [2**63 - 1, -(2**63)])
    draw.constant("steps", [1, -1])


RULES = (
    Rule(
        "slice",
        before="y = Slice (x, starts, ends, axes?, steps?)",
        after="y = x",
        guard=_takes_all,
        min_opset=10,
        draw=_draw,
        refusals=(Refusal(_draw_part), Refusal(_draw_backwards)),
    ),
)


@dataclass(frozen=True)
class EliminateNoopSlice(Pass):
    """Drop a Slice that takes every element in order.

    Before: ``y = Slice(x, [0], [9223372036854775807], [1])``.
    After:  x in place of y.
    Needs:  constant starts, ends, axes and steps; the size of an axis that is cut at a small number.
    Keeps:  the names of graph outputs.
    Skips:  slices with computed bounds, and ends that may lie inside an axis of unknown size.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, RULES, self.name(), ctx)
