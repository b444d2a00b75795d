"""FuseConsecutiveReshapes: chains of Reshape, Squeeze, Unsqueeze and Flatten are one Reshape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.passes.simplify._reshapes import Shape, follow, infers, original, reshape_target
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule

_FIRST = (
    "t = Reshape <allowzero = @z1> (x, s1) | Squeeze (x, s1) | Unsqueeze (x, s1) | Flatten <axis = @f1> (x)"
)
_ANY = "Reshape <allowzero = @z2> (t, s2) | Squeeze (t, s2) | Unsqueeze (t, s2) | Flatten <axis = @f2> (t)"


def _shapes(match: Match) -> tuple[Shape, Shape] | str:
    """The shape of x and that of y in its terms, or why the latter cannot be told."""
    shape = match.shape("x")
    if shape is None:
        return "the rank of its input is unknown"
    start = original(shape)
    middle = follow(match.value("t").producer(), start)
    if isinstance(middle, str):
        return middle
    end = follow(match.root, middle)
    return end if isinstance(end, str) else (start, end)


def _cancels(match: Match) -> str | None:
    found = _shapes(match)
    return None if not isinstance(found, str) and found[0] == found[1] else ""


def _target(match: Match) -> npt.NDArray[np.int64] | str:
    """What the one Reshape asks for, or why it cannot."""
    found = _shapes(match)
    if isinstance(found, str):
        return found
    return reshape_target(found[1], any(infers(node) for node in match.nodes))


def _has_target(match: Match) -> str | None:
    target = _target(match)
    return target if isinstance(target, str) else None


def _reshape(match: Match) -> Replacement:
    target = _target(match)
    assert not isinstance(target, str), "the guard let only known targets through"
    return Replacement("y = Reshape (x, s)", constants={"s": target})


def _result(match: Match) -> npt.NDArray[np.int64] | str:
    """What a Reshape to the dims that inference found for the result asks for, or why there is none."""
    value, dims = match.value("y"), match.shape("y")
    if value.is_graph_output():
        return "the result is an output, whose declared dims may be wrong"
    if dims is None or match.dtype("x") is None:
        return "the rank of the result is unknown"
    target = [dim if isinstance(dim, int) else -1 for dim in dims]
    if 0 in target:
        return "a dim is zero"
    if target.count(-1) > 1:
        return "more than one dim of the result is not told"
    return np.asarray(target, np.int64)


def _has_result(match: Match) -> str | None:
    target = _result(match)
    return target if isinstance(target, str) else None


def _reshape_to_result(match: Match) -> Replacement:
    target = _result(match)
    assert not isinstance(target, str), "the guard lets only known results through"
    return Replacement("y = Reshape (x, s)", constants={"s": target})


def _spells_itself(match: Match) -> str | None:
    target = match.ints("s2")
    if target is None:
        return "the target is computed, and a 0 in it would copy another dim"
    return None if 0 not in target else ""


def _draw_any(draw: Draw) -> None:
    """Each first step leaves a dim of 1 at axis 1, so that each second step is possible."""
    draw.input("x", "N", 1, 6, 1)
    first, second = draw.ops
    draw.constant("s1", {"Reshape": [0, 1, -1], "Squeeze": [3], "Unsqueeze": [1], "Flatten": []}[first])
    _draw_second(draw, {"Reshape": [0, -1], "Squeeze": [1], "Unsqueeze": [-1], "Flatten": []}[second])
    draw.attribute("f1", 4)


def _draw_spelled(draw: Draw) -> None:
    _draw_any(draw)
    draw.constant("s2", draw.choice([-1], [-1, 3], [2, -1, 3]))


def _draw_copying(draw: Draw) -> None:
    _draw_any(draw)
    draw.constant("s2", [0, -1])


def _draw_back(draw: Draw) -> None:
    """From [N, 1] to something else and back."""
    draw.input("x", "N", 1)
    first, second = draw.ops
    away = [0, 1, 1] if second in ("Squeeze", "Flatten") else [-1]
    draw.constant("s1", {"Reshape": away, "Squeeze": [1], "Unsqueeze": [1], "Flatten": []}[first])
    _draw_second(draw, {"Reshape": [-1, 1], "Squeeze": [1], "Unsqueeze": [1], "Flatten": []}[second])
    draw.attribute("f1", 1)


def _draw_second(draw: Draw, numbers: list[int]) -> None:
    draw.constant("s2", numbers)
    draw.attribute("z1", 0)
    draw.attribute("z2", 0)
    draw.attribute("f2", 1)


def _draw_elsewhere(draw: Draw) -> None:
    """Two steps that end in another shape."""
    draw.input("x", "N", 1, 6, 1)
    first, second = draw.ops
    draw.constant("s1", {"Reshape": [0, 1, 6], "Squeeze": [3], "Unsqueeze": [0]}[first])
    _draw_second(draw, [0] if second == "Unsqueeze" else [2] if first == "Unsqueeze" else [1])


def _draw_untold(draw: Draw) -> None:
    """Computed axes or targets, or two dims that are products of unknown ones."""
    draw.input("x", "N", "M", "K", "L")
    draw.input("s1", 3, dtype=ir.DataType.INT64)
    if draw.ops[1] == "Squeeze":
        draw.input("s2", 1, dtype=ir.DataType.INT64)
    _draw_second(draw, [0, 0] if draw.ops[1] == "Reshape" else [0])
    if draw.ops[1] == "Squeeze":
        del draw.constants["s2"]
    draw.attribute("f1", 2)


RULES = (
    Rule(
        "there-and-back",
        before=f"{_FIRST}; y = Reshape <allowzero = @z2> (t, s2)",
        after="y = x",
        guard=_cancels,
        shared=("t",),
        draw=_draw_back,
        refusals=(Refusal(_draw_copying),),
    ),
    Rule(
        "squeeze-back",
        before="""
            t = Reshape <allowzero = @z1> (x, s1) | Unsqueeze (x, s1)
            y = Squeeze (t, s2) | Flatten <axis = @f2> (t)
        """,
        after="y = x",
        guard=_cancels,
        shared=("t",),
        draw=_draw_back,
        refusals=(Refusal(_draw_elsewhere),),
    ),
    Rule(
        "unsqueeze-back",
        before="""
            t = Reshape <allowzero = @z1> (x, s1) | Squeeze (x, s1)
            y = Unsqueeze (t, s2)
        """,
        after="y = x",
        guard=_cancels,
        shared=("t",),
        draw=_draw_back,
        refusals=(Refusal(_draw_elsewhere),),
    ),
    Rule(
        "reshape-overrides",
        before=f"{_FIRST}; y = Reshape <allowzero = @z2> (t, s2)",
        after="y = Reshape <allowzero = @z2> (x, s2)",
        guard=_spells_itself,
        draw=_draw_spelled,
        refusals=(Refusal(_draw_copying),),
    ),
    Rule(
        "one-reshape",
        before=f"{_FIRST}; y = {_ANY}",
        after=_reshape,
        guard=_has_target,
        draw=_draw_any,
        refusals=(Refusal(_draw_untold),),
    ),
    Rule(
        "reshape-to-result",
        before=f"{_FIRST}; y = {_ANY}",
        after=_reshape_to_result,
        guard=_has_result,
        draw=_draw_any,
        refusals=(Refusal(_draw_untold),),
    ),
)


@dataclass(frozen=True)
class FuseConsecutiveReshapes(Pass):
    """Turn two steps that only change the shape into one Reshape, or into none when they cancel.

    Before: ``t = Unsqueeze(x, [1]); y = Squeeze(t, [1])``.
    After:  x in place of y.
    Needs:  constant axes and targets and the rank of x; or a result with at most one dim that is no number.
    Keeps:  the first step where something else reads it, when the two cancel.
    Skips:  results with two dims that are not told, and targets that copy (0) from a shape in between.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
