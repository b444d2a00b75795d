"""FuseConsecutiveSlices: two slices are one, and a slice before a Pad is a negative pad."""

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

_TO_THE_END = 2**31 - 1
_LAST = 2**63 - 1

Cut = tuple[int, int]
"""From where to where along one axis, with steps of 1."""


def _cuts(match: Match, suffix: str) -> dict[int, Cut] | str:
    """What a Slice takes by axis, or why it cannot be told."""
    starts, ends = match.ints(f"starts{suffix}"), match.ints(f"ends{suffix}")
    rank = match.rank("x")
    if starts is None or ends is None:
        return "its bounds are computed"
    axes = match.ints(f"axes{suffix}") if f"axes{suffix}" in match else tuple(range(len(starts)))
    steps = match.ints(f"steps{suffix}") if f"steps{suffix}" in match else (1,) * len(starts)
    if axes is None or steps is None:
        return "its axes or steps are computed"
    if rank is None:
        return "the rank of its input is unknown"
    if any(step != 1 for step in steps):
        return ""
    found = {axis % rank: cut for axis, cut in zip(axes, zip(starts, ends, strict=True), strict=True)}
    return found if len(found) == len(axes) else "an axis is cut twice"


def _joined(match: Match) -> dict[int, Cut] | str:
    """Both slices as one: on an axis that both cut, all bounds must count from the front."""
    first, second = _cuts(match, "1"), _cuts(match, "2")
    if isinstance(first, str) or isinstance(second, str):
        return first if isinstance(first, str) else str(second)
    found = dict(first)
    for axis, (start, end) in second.items():
        if axis not in found:
            found[axis] = (start, end)
            continue
        low, high = found[axis]
        if min(low, high, start, end) < 0:
            return "both cut one axis, and a bound counts from its end"
        found[axis] = (low + start, min(high, _LAST if end >= _TO_THE_END else low + end))
    return found


def _can_join(match: Match) -> str | None:
    found = _joined(match)
    return found if isinstance(found, str) else None


def _slice(match: Match) -> Replacement:
    found = _joined(match)
    assert not isinstance(found, str), "the guard lets only known bounds through"
    axes = sorted(found)
    columns = {
        "starts": [found[axis][0] for axis in axes],
        "ends": [found[axis][1] for axis in axes],
        "axes": axes,
    }
    constants = {name: np.asarray(numbers, np.int64) for name, numbers in columns.items()}
    return Replacement("y = Slice (x, starts, ends, axes)", constants=constants)


def _pads(match: Match) -> tuple[int, ...] | str:
    """The pads less what the Slice takes away, or why they cannot be told."""
    cuts, pads, rank = _cuts(match, "1"), match.ints("pads"), match.rank("x")
    shape = match.shape("x")
    if isinstance(cuts, str) or pads is None or rank is None or shape is None:
        return cuts if isinstance(cuts, str) else "the padding is computed"
    found = list(pads)
    for axis, (start, end) in cuts.items():
        size = shape[axis]
        if isinstance(size, int):
            low, high, _ = slice(start, end).indices(size)
            front, back = low, size - max(low, high)
        elif start == 0 and end >= _TO_THE_END:
            continue
        else:
            return "the size of the axis it cuts is not known"
        if (front and found[axis] > 0) or (back and found[axis + rank] > 0):
            return "it pads where it has cut: what is cut would come back"
        found[axis] -= front
        found[axis + rank] -= back
    return tuple(found)


def _can_pad(match: Match) -> str | None:
    found = _pads(match)
    return found if isinstance(found, str) else None


def _pad(match: Match) -> Replacement:
    return Replacement("y = Pad (x, p, value?)", constants={"p": np.asarray(_pads(match), np.int64)})


def _draw_slice(draw: Draw, suffix: str, starts: list[int], ends: list[int], axes: list[int]) -> None:
    draw.constant(f"starts{suffix}", starts)
    draw.constant(f"ends{suffix}", ends)
    draw.constant(f"axes{suffix}", axes)
    if draw.flag():
        draw.constant(f"steps{suffix}", [1] * len(starts))
    else:
        draw.omit(f"steps{suffix}")


def _draw(draw: Draw) -> None:
    draw.input("x", "N", 7, 6)
    _draw_slice(draw, "1", [1], [draw.choice(5, 2**63 - 1)], [draw.choice(1, -2)])
    if draw.flag():
        _draw_slice(draw, "2", [draw.choice(0, 2)], [draw.choice(3, 9, 2**31 - 1)], [1])
    else:
        _draw_slice(draw, "2", [0, -4], [draw.choice(3, 2**63 - 1), -1], [0, 2])


def _draw_from_the_end(draw: Draw) -> None:
    draw.input("x", "N", 7, 6)
    _draw_slice(draw, "1", [1], [-1], [1])
    _draw_slice(draw, "2", [1], [3], [1])


def _draw_steps(draw: Draw) -> None:
    _draw(draw)
    draw.missing.discard("steps1")
    draw.constant("steps1", [2])


def _draw_padded(draw: Draw) -> None:
    draw.input("x", "N", 7, 6)
    starts, ends = draw.choice(([1, 0], [7, 4]), ([-3, 0], [2**63 - 1, -1]), ([0, 0], [9, 5]))
    _draw_slice(draw, "1", [*starts, 0], [*ends, 2**31 - 1], draw.choice([1, 2, 0], [1, -1, -3]))
    draw.constant("pads", [1, 0, draw.choice(0, 2), 1, draw.choice(0, 3), 0])
    if draw.flag():
        draw.omit("value")
    else:
        draw.constant("value", np.asarray(0.5).astype(draw.dtype.numpy()))


def _draw_padded_there(draw: Draw) -> None:
    _draw_padded(draw)
    _draw_slice(draw, "1", [1, 0], [7, 4], [1, 2])
    draw.constant("pads", [0, 1, 0, 0, 0, 0])


def _draw_padded_symbolic(draw: Draw) -> None:
    _draw_padded(draw)
    _draw_slice(draw, "1", [1, 0], [4, 4], [0, 2])


RULES = (
    Rule(
        "slice-of-slice",
        before="""
            t = Slice (x, starts1, ends1, axes1?, steps1?)
            y = Slice (t, starts2, ends2, axes2?, steps2?)
        """,
        after=_slice,
        guard=_can_join,
        shared=("t",),
        draw=_draw,
        refusals=(Refusal(_draw_steps), Refusal(_draw_from_the_end, "counts from its end")),
    ),
    Rule(
        "pad-of-slice",
        before="t = Slice (x, starts1, ends1, axes1?, steps1?); y = Pad (t, pads, value?)",
        after=_pad,
        guard=_can_pad,
        shared=("t",),
        dtypes=(ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.INT64),
        draw=_draw_padded,
        refusals=(Refusal(_draw_padded_symbolic, "not known"), Refusal(_draw_padded_there, "come back")),
    ),
)


@dataclass(frozen=True)
class FuseConsecutiveSlices(Pass):
    """Cut once instead of twice, and pad less instead of cutting before.

    Before: ``t = Slice(x, [1], [9], [1]); y = Slice(t, [0], [3], [2])``.
    After:  ``y = Slice(x, [1, 0], [9, 3], [1, 2])``.
    Needs:  constant bounds and axes; the size of what is cut before a Pad.
    Keeps:  a first Slice that something else reads.
    Skips:  steps other than 1; two cuts of one axis of which one counts from the end; pads where it was cut.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
