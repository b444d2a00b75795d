"""FuseConsecutiveSqueezes: two Unsqueeze are one, and so are two Squeeze."""

from __future__ import annotations

from collections.abc import Sequence
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


def added(rank: int, first: Sequence[int], second: Sequence[int]) -> list[int]:
    """The axes of the result that two Unsqueeze of a value of ``rank`` add."""
    whole = rank + len(first) + len(second)
    last = {axis % whole for axis in second}
    early = {axis % (rank + len(first)) for axis in first}
    rest = [axis for axis in range(whole) if axis not in last]
    return sorted(last | {rest[axis] for axis in early})


def dropped(rank: int, first: Sequence[int], second: Sequence[int]) -> list[int]:
    """The axes of a value of ``rank`` that two Squeeze drop."""
    early = {axis % rank for axis in first}
    rest = [axis for axis in range(rank) if axis not in early]
    return sorted(early | {rest[axis % len(rest)] for axis in second})


def _numbers(match: Match) -> tuple[int, tuple[int, ...], tuple[int, ...]] | str:
    first, second, rank = match.ints("a1"), match.ints("a2"), match.rank("x")
    if first is None or second is None:
        return "its axes are computed"
    return "the rank of its input is unknown" if rank is None else (rank, first, second)


def _is_known(match: Match) -> str | None:
    found = _numbers(match)
    return found if isinstance(found, str) else None


def _one(match: Match) -> Replacement:
    found = _numbers(match)
    assert not isinstance(found, str), "the guard lets only known axes through"
    join = added if match.root.op_type == "Unsqueeze" else dropped
    return Replacement(
        f"y = {match.root.op_type} (x, a)", constants={"a": np.asarray(join(*found), np.int64)}
    )


def _draw_added(draw: Draw) -> None:
    draw.input("x", "N", "M")
    draw.constant("a1", draw.choice([0], [1], [-1], [0, 3]))
    draw.constant("a2", draw.choice([0], [2], [-1], [1, -1], [0, 1]))


def _draw_dropped(draw: Draw) -> None:
    draw.input("x", 1, "N", 1, "M", 1)
    draw.constant("a1", draw.choice([0], [2], [-1]))
    draw.constant("a2", [-1] if draw.constants["a1"][0] != -1 else draw.choice([0], [2]))


def _draw_computed(draw: Draw) -> None:
    draw.input("x", 1, 1, 1)
    draw.input("a1", 1, dtype=ir.DataType.INT64)
    draw.constant("a2", [0])


RULES = (
    Rule(
        "unsqueeze-twice",
        before="t = Unsqueeze (x, a1); y = Unsqueeze (t, a2)",
        after=_one,
        guard=_is_known,
        shared=("t",),
        draw=_draw_added,
        refusals=(Refusal(_draw_computed, "computed"),),
    ),
    Rule(
        "squeeze-twice",
        before="t = Squeeze (x, a1); y = Squeeze (t, a2)",
        after=_one,
        guard=_is_known,
        shared=("t",),
        draw=_draw_dropped,
        refusals=(Refusal(_draw_computed, "computed"),),
    ),
)


@dataclass(frozen=True)
class FuseConsecutiveSqueezes(Pass):
    """Add, or drop, axes of size 1 at once.

    Before: ``t = Unsqueeze(x, [1]); y = Unsqueeze(t, [2])``.
    After:  ``y = Unsqueeze(x, [1, 2])``.
    Needs:  constant axes and the rank of x; no sizes.
    Keeps:  the first step where something else reads it.
    Skips:  axes that are computed.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
