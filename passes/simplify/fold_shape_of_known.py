"""FoldShapeOfKnown: shapes that are numbers already."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Dim, Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule


def _dims(match: Match) -> tuple[Dim, ...] | None:
    """What Shape yields: the dims of x from start to end."""
    shape = match.shape("x")
    if shape is None:
        return None
    return shape[slice(match.attr_int("start"), match.attr_int("end"))]


def _selected(match: Match) -> tuple[object, tuple[int, ...]] | str:
    """The dims that are asked for and the shape they are returned in, or why they are not known."""
    dims = _dims(match)
    if dims is None:
        return "the rank of its input is unknown"
    if "indices" in match:
        indices = match.constant("indices")
        if indices is None:
            return "the index is computed"
        if any(not -len(dims) <= int(i) < len(dims) for i in indices.ravel()):
            return "the index is out of bounds"
        return [dims[int(i)] for i in indices.ravel()], indices.shape
    if "starts" in match:
        bounds = [match.ints(name) if name in match else (default,) for name, default in _BOUNDS]
        if any(bound is None or len(bound) != 1 for bound in bounds):
            return "the bounds are computed"
        start, end, axis, step = (bound[0] for bound in bounds if bound is not None)
        if axis not in (0, -1) or step < 1:
            return "the slice runs backwards"
        found = dims[start:end:step]
        return list(found), (len(found),)
    return list(dims), (len(dims),)


_BOUNDS = (("starts", 0), ("ends", 0), ("axes", 0), ("steps", 1))


def _known(match: Match) -> str | None:
    selected = _selected(match)
    if isinstance(selected, str):
        return selected
    dims = selected[0]
    assert isinstance(dims, list)
    return None if all(isinstance(dim, int) for dim in dims) else ""


def _constant(match: Match) -> Replacement:
    selected = _selected(match)
    assert not isinstance(selected, str), "the guard let only known dims through"
    dims, shape = selected
    return Replacement("y = c", constants={"c": np.asarray(dims, np.int64).reshape(shape)})


def _all_known(match: Match) -> str | None:
    return None if match.static_shape("x") is not None else ""


def _count(match: Match) -> Replacement:
    shape = match.static_shape("x") or ()
    return Replacement("y = c", constants={"c": np.asarray(np.prod(shape, dtype=np.int64))})


def _draw(draw: Draw) -> None:
    draw.input("x", "N", 3, 4, 2)
    draw.attribute("start", draw.choice(1, 2, -2))
    draw.attribute("end", draw.choice(3, 4, -1, None))
    draw.constant("indices", draw.choice(0, [0], [0, -1], [[0]]))
    draw.constant("starts", [0])
    draw.constant("ends", draw.choice([1], [2**63 - 1]))
    draw.constant("axes", [0])
    draw.constant("steps", draw.choice([1], [2]))


def _draw_dynamic(draw: Draw) -> None:
    _draw(draw)
    draw.attribute("start", 0)
    draw.attribute("end", None)
    draw.constant("indices", draw.choice(0, [1, 0]))


def _draw_static(draw: Draw) -> None:
    draw.input("x", 2, 3, 4)


def _draw_size(draw: Draw) -> None:
    draw.input("x", "N", 3)


_SHAPE = "s = Shape <start = @start, end = @end> (x)"

RULES = (
    Rule(
        "shape",
        before="y = Shape <start = @start, end = @end> (x)",
        after=_constant,
        guard=_known,
        min_opset=1,
        draw=_draw,
        refusals=(Refusal(_draw_dynamic),),
    ),
    Rule(
        "dim-of-shape",
        before=f"{_SHAPE}; y = Gather (s, indices)",
        after=_constant,
        guard=_known,
        shared=("s",),
        min_opset=1,
        draw=_draw,
        refusals=(Refusal(_draw_dynamic),),
    ),
    Rule(
        "slice-of-shape",
        before=f"{_SHAPE}; y = Slice (s, starts, ends, axes?, steps?)",
        after=_constant,
        guard=_known,
        shared=("s",),
        min_opset=10,
        draw=_draw,
        refusals=(Refusal(_draw_dynamic),),
    ),
    Rule(
        "size",
        before="y = Size (x)",
        after=_count,
        guard=_all_known,
        min_opset=1,
        draw=_draw_static,
        refusals=(Refusal(_draw_size),),
    ),
)


@dataclass(frozen=True)
class FoldShapeOfKnown(Pass):
    """Replace Shape, Size and what Gather or Slice takes of a Shape by constants where the dims are numbers.

    Before: ``s = Shape(x); y = Gather(s, 1)`` with x of [N, 3].
    After:  ``y = 3``.
    Needs:  inferred shapes.
    Keeps:  the rest of a Shape that something else reads.
    Skips:  symbolic dims.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
