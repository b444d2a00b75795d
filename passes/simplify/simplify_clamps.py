"""SimplifyClamps: a clamp of a clamp is one clamp, and what repeats changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.constants import constant_array
from graphopt.rewrite.dims import FLOATS
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule

Range = tuple[float, float]


def _range(node: ir.Node) -> Range | str:
    """Where the values of a Relu or Clip end, or why it cannot be told."""
    if node.op_type == "Relu":
        return 0.0, np.inf
    ends = [-np.inf, np.inf]
    for index in (1, 2):
        value = node.inputs[index] if index < len(node.inputs) else None
        array = constant_array(value)
        if value is not None and (array is None or array.size != 1):
            return "a bound is computed"
        if array is not None:
            ends[index - 1] = float(array.astype(np.float64).ravel()[0])
    return (ends[0], ends[1]) if not any(np.isnan(ends)) else "a bound is not a number"


def _both(match: Match) -> Range | str:
    """The one range of both steps, or why there is none."""
    if match.dtype("x") not in FLOATS:
        return ""
    first, second = (_range(node) for node in match.nodes)
    if isinstance(first, str) or isinstance(second, str):
        return first if isinstance(first, str) else str(second)
    low, high = max(first[0], second[0]), min(first[1], second[1])
    if low > high or first[0] > first[1] or second[0] > second[1]:
        # Clip with crossed bounds gives the upper one, which two steps may not.
        return "the two ranges do not meet"
    return low, high


def _has_range(match: Match) -> str | None:
    found = _both(match)
    return found if isinstance(found, str) else None


def _clamp(match: Match) -> Replacement:
    found = _both(match)
    dtype = match.dtype("x")
    assert not isinstance(found, str), "the guard lets only known ranges through"
    assert dtype is not None, "the guard lets only floating-point types through"
    if found == (0.0, np.inf):
        return Replacement("y = Relu (x)")
    bounds = {
        name: ir.tensor(np.asarray(bound).astype(dtype.numpy()), dtype=dtype)
        for name, bound in zip(("low", "high"), found, strict=True)
        if np.isfinite(bound)
    }
    return Replacement("y = Clip (x, low?, high?)", constants=bounds)


def _draw(draw: Draw) -> None:
    draw.input("x", "N", 5)
    for low, high in (("a", "b"), ("c", "d")):
        _bound(draw, low, draw.choice(-1.0, -0.25, 0.0, None))
        _bound(draw, high, draw.choice(0.5, 6.0, None))


def _bound(draw: Draw, name: str, number: float | None) -> None:
    if number is None:
        draw.omit(name)
    else:
        draw.constant(name, np.asarray(number).astype(draw.dtype.numpy()))


def _draw_apart(draw: Draw) -> None:
    draw.input("x", "N", 5)
    for name, number in zip("abcd", (-3.0, -2.0, -1.0, 2.0), strict=True):
        _bound(draw, name, number)
    if draw.ops == ("Relu", "Clip"):
        _bound(draw, "d", -0.5)


def _draw_computed(draw: Draw) -> None:
    _draw(draw)
    for name in "ab" if draw.ops[0] == "Clip" else "cd":
        draw.missing.discard(name)
        draw.constants.pop(name, None)
        draw.input(name)


def _draw_x(draw: Draw) -> None:
    draw.input("x", "N", 5)


_TWICE = ("Abs", "Ceil", "Floor", "Round", "Sign")

RULES = (
    Rule(
        "clamp-of-clamp",
        before="t = Relu (x) | Clip (x, a?, b?); y = Clip (t, c?, d?)",
        after=_clamp,
        guard=_has_range,
        exact=False,
        draw=_draw,
        refusals=(Refusal(_draw_apart, "do not meet"), Refusal(_draw_computed)),
    ),
    Rule(
        "relu-of-clamp",
        before="t = Relu (x) | Clip (x, a?, b?); y = Relu (t)",
        after=_clamp,
        guard=_has_range,
        exact=False,
        draw=_draw,
    ),
    *(
        Rule(
            f"{op_type.lower()}-twice",
            before=f"t = {op_type} (x); y = {op_type} (t)",
            after=f"y = {op_type} (x)",
            shared=("t",),
            draw=_draw_x,
        )
        for op_type in _TWICE
    ),
    Rule(
        "absolute-of-positive",
        before="t = Relu (x) | Sigmoid (x) | Exp (x); y = Abs (t)",
        after="y = t",
        shared=("t",),
        exact=False,
        draw=_draw_x,
    ),
)


@dataclass(frozen=True)
class SimplifyClamps(Pass):
    """Turn Relu and Clip of Relu and Clip into one of them; drop Abs, Floor, Ceil, Round, Sign done twice.

    Before: ``t = Relu(x); y = Clip(t, -1, 6)``.
    After:  ``y = Clip(x, 0, 6)``.
    Needs:  constant bounds, a floating-point type.
    Keeps:  the inner step where something else reads it and the outer one only repeats it.
    Skips:  ranges that do not meet, and computed bounds.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
