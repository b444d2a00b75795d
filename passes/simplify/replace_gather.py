"""ReplaceGather: neighbours are sliced, not gathered."""

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


def _range(match: Match) -> tuple[int, int, int] | str:
    """Start, end and step of indices that are evenly spaced and inside the axis, or why they are not."""
    indices, axis, rank = match.ints("i"), match.attr_int("axis"), match.rank("x")
    shape = match.rank("i")
    if indices is None or axis is None or rank is None or shape != 1 or not indices:
        return ""
    step = indices[1] - indices[0] if len(indices) > 1 else 1
    last = indices[0] + step * (len(indices) - 1)
    if step < 1 or indices != tuple(range(indices[0], last + 1, step)):
        return ""
    dims = match.shape("x") or ()
    size = dims[axis]
    if not isinstance(size, int) or indices[0] < 0 or last >= size:
        return "whether the indices are inside the axis is not known"
    return indices[0], last + 1, step


def _is_range(match: Match) -> str | None:
    found = _range(match)
    return found if isinstance(found, str) else None


def _slice(match: Match) -> Replacement:
    found = _range(match)
    assert not isinstance(found, str), "the guard lets only ranges through"
    numbers = (found[0], found[1], match.attr_int("axis"), found[2])
    names = ("starts", "ends", "axes", "steps")
    constants = {name: np.asarray([number], np.int64) for name, number in zip(names, numbers, strict=True)}
    return Replacement("y = Slice (x, starts, ends, axes, steps)", constants=constants)


def _index(match: Match) -> int | None:
    """The one index that is taken; from the end only where the axis keeps its place."""
    indices = match.ints("i")
    return indices[0] if indices is not None and match.rank("i") == 0 else None


def _is_unsqueezed_back(match: Match) -> str | None:
    axes, axis, rank = match.ints("back"), match.attr_int("axis"), match.rank("x")
    if _index(match) is None or axes is None or axis is None or rank is None or len(axes) != 1:
        return ""
    return None if axes[0] % rank == axis % rank else ""


def _slice_one(match: Match) -> Replacement:
    index = _index(match)
    assert index is not None, "the guard lets only one index through"
    end = index + 1 if index != -1 else 2**63 - 1
    numbers = (("starts", index), ("ends", end), ("axes", match.attr_int("axis")))
    constants = {name: np.asarray([number], np.int64) for name, number in numbers}
    return Replacement("y = Slice (x, starts, ends, axes)", constants=constants)


def _draw(draw: Draw) -> None:
    draw.input("x", "N", 7, 3)
    draw.attribute("axis", draw.choice(1, -2))
    draw.constant("i", draw.choice([2, 3, 4], [0, 2, 4, 6], [5], [1, 4]))


def _draw_uneven(draw: Draw) -> None:
    _draw(draw)
    draw.constant("i", draw.choice([0, 2, 3], [3, 2], [[0, 1]], [1, 1]))


def _draw_symbolic(draw: Draw) -> None:
    _draw(draw)
    draw.attribute("axis", 0)


def _draw_one(draw: Draw) -> None:
    draw.input("x", "N", 7, 3)
    axis = draw.choice(1, 2)
    draw.attribute("axis", draw.choice(axis, axis - 3))
    draw.constant("i", draw.choice(0, 2, -1, -3))
    draw.constant("back", [draw.choice(axis, axis - 3)])


def _draw_elsewhere(draw: Draw) -> None:
    _draw_one(draw)
    draw.constant("back", [0])


RULES = (
    Rule(
        "range",
        before="y = Gather <axis = @axis> (x, i)",
        after=_slice,
        guard=_is_range,
        draw=_draw,
        refusals=(Refusal(_draw_uneven), Refusal(_draw_symbolic, "inside the axis")),
    ),
    Rule(
        "one-that-keeps-its-axis",
        before="t = Gather <axis = @axis> (x, i); y = Unsqueeze (t, back)",
        after=_slice_one,
        guard=_is_unsqueezed_back,
        draw=_draw_one,
        refusals=(Refusal(_draw_elsewhere),),
    ),
)


@dataclass(frozen=True)
class ReplaceGather(Pass):
    """Slice what is gathered at evenly spaced indices, or at one index whose axis is put back.

    Before: ``t = Gather<axis=0>(x, 1); y = Unsqueeze(t, [0])``.
    After:  ``y = Slice(x, [1], [2], [0])``.
    Needs:  constant indices inside the axis.
    Keeps:  a Gather that something else reads.
    Skips:  indices in any other order.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
