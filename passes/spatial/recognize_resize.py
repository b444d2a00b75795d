"""RecognizeResize: pixels repeated by other means are a Resize to the nearest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.passes.spatial._blocks import Dims, agree, blown_up
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule

_NEAREST = 'coordinate_transformation_mode = "asymmetric", mode = "nearest", nearest_mode = "floor"'
_TYPES = (ir.DataType.FLOAT, ir.DataType.FLOAT16)


def _resize(scales: tuple[int, ...]) -> Replacement:
    return Replacement(
        f'y = Resize <{_NEAREST}> (x, "", scales)', constants={"scales": np.asarray(scales, np.float32)}
    )


def _expanded(match: Match) -> tuple[int, int] | str:
    """How often rows and columns are repeated, or why they are not."""
    shapes = [match.shape(name) for name in ("x", "r", "e", "y")]
    x, r, e, y = (() if shape is None else shape for shape in shapes)
    if (len(x), len(r), len(e), len(y)) != (4, 6, 6, 4):
        return ""
    rows, columns = e[3], e[5]
    if (r[3], r[5]) != (1, 1) or not isinstance(rows, int) or not isinstance(columns, int):
        return "rows and columns are not repeated"
    image: Dims = (x[0], x[1], blown_up(x[2], rows), blown_up(x[3], columns))
    kept = agree(x, (*r[:3], r[4])) and agree((*r[:3], r[4]), (*e[:3], e[4])) and agree(image, y)
    return (rows, columns) if kept else "more than rows and columns is repeated"


def _may_expand(match: Match) -> str | None:
    if match.dtype("x") not in _TYPES:
        return ""
    found = _expanded(match)
    return found if isinstance(found, str) else None


def _from_expanded(match: Match) -> Replacement:
    found = _expanded(match)
    assert not isinstance(found, str), "the guard let only repetitions through"
    return _resize((1, 1, *found))


def _repetition(match: Match) -> int:
    """How often each index is repeated, in order; 1 when that is not what the indices do."""
    shape, axis, indices = match.shape("x"), match.attr_int("axis"), match.constant("i")
    if shape is None or len(shape) != 4 or axis not in (2, 3, -2, -1) or indices is None or indices.ndim != 1:
        return 1
    size = shape[axis]
    if not isinstance(size, int) or size < 1 or indices.size % size:
        return 1
    times = indices.size // size
    return times if np.array_equal(indices, np.repeat(np.arange(size), times)) else 1


def _may_gather(match: Match) -> str | None:
    return None if match.dtype("x") in _TYPES and _repetition(match) > 1 else ""


def _from_gathered(match: Match) -> Replacement:
    scales, axis = [1, 1, 1, 1], match.attr_int("axis")
    assert axis is not None, "Gather's axis has a default"
    scales[axis] = _repetition(match)
    return _resize(tuple(scales))


def _whole(match: Match) -> tuple[int, ...] | None:
    """The two scales multiplied, when all are whole numbers."""
    first, second = match.constant("a"), match.constant("b")
    if first is None or second is None or first.size != second.size or not first.size:
        return None
    both = np.stack([first, second]).astype(np.float64)
    if (both < 1).any() or (both != np.round(both)).any():
        return None
    return tuple(int(number) for number in both.prod(axis=0))


def _may_join(match: Match) -> str | None:
    return None if _whole(match) is not None else "its scales are not whole numbers"


def _joined(match: Match) -> Replacement:
    scales = _whole(match)
    assert scales is not None, "the guard let only whole numbers through"
    return _resize(scales)


def _draw(draw: Draw) -> None:
    rows, columns = draw.choice((2, 2), (3, 1), (2, 4))
    draw.input("x", "N", 2, 3, 4)
    first = draw.ops[0]
    draw.constant("s1", [3, 5] if first == "Unsqueeze" else [0, 2, 3, 1, 4, 1])
    repeats = [1, 1, 1, rows, 1, columns]
    draw.constant("s2", repeats if "Tile" in draw.ops else [1, 2, 3, rows, 4, columns])
    draw.constant("s3", [0, 2, 3 * rows, 4 * columns])


def _draw_channels(draw: Draw) -> None:
    """Channels are repeated, not rows."""
    _draw(draw)
    draw.constant("s1", [2, 5] if draw.ops[0] == "Unsqueeze" else [0, 2, 1, 3, 4, 1])
    draw.constant("s2", [1, 1, 2, 1, 1, 1] if "Tile" in draw.ops else [1, 2, 2, 3, 4, 1])
    draw.constant("s3", [0, 4, 3, 4])


def _draw_gather(draw: Draw) -> None:
    draw.input("x", "N", 2, 3, 4)
    axis = draw.choice(2, 3, -1)
    draw.attribute("axis", axis)
    draw.constant("i", np.repeat(np.arange(4 if axis in (3, -1) else 3), draw.choice(2, 3)))


def _draw_backwards(draw: Draw) -> None:
    _draw_gather(draw)
    draw.constant("i", draw.constants["i"][::-1].copy())


def _draw_twice(draw: Draw) -> None:
    draw.input("x", 1, 2, 3, 4)
    draw.constant("a", np.asarray([1, 1, 1, 2], np.float32))
    draw.constant("b", np.asarray([1, 1, 3, 2], np.float32))


def _draw_fraction(draw: Draw) -> None:
    _draw_twice(draw)
    draw.constant("b", np.asarray([1, 1, 1.5, 2], np.float32))


RULES = (
    Rule(
        "expand",
        before="""
            r = Reshape (x, s1) | Unsqueeze (x, s1)
            e = Expand (r, s2) | Tile (r, s2)
            y = Reshape (e, s3)
        """,
        after=_from_expanded,
        guard=_may_expand,
        dtypes=_TYPES,
        draw=_draw,
        refusals=(Refusal(_draw_channels),),
    ),
    Rule(
        "gather",
        before="y = Gather <axis = @axis> (x, i)",
        after=_from_gathered,
        guard=_may_gather,
        dtypes=_TYPES,
        draw=_draw_gather,
        refusals=(Refusal(_draw_backwards),),
    ),
    Rule(
        "resize-of-resize",
        before=f'm = Resize <{_NEAREST}> (x, "", a); y = Resize <{_NEAREST}> (m, "", b)',
        after=_joined,
        guard=_may_join,
        dtypes=_TYPES,
        draw=_draw_twice,
        refusals=(Refusal(_draw_fraction, because="whole numbers"),),
    ),
)


@dataclass(frozen=True)
class RecognizeResize(Pass):
    """Name what repeats the rows and columns of an image.

    Before: ``y = Reshape(Expand(Unsqueeze(x, [3, 5]), [1, 1, 1, 2, 1, 2]), [N, C, 2·H, 2·W])``, or Tile in
            place of Expand, or ``y = Gather<axis=2>(x, [0, 0, 1, 1, …])``.
    After:  ``y = Resize<mode="nearest", nearest_mode="floor", …>(x, scales=[1, 1, 2, 2])``.
    Needs:  four axes, the last two of which are repeated a known number of times; float or float16.
    Keeps:  every bit.
    Skips:  other orders of rows or columns.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
