"""SpellAffineGrid: sampling grids as a product with the positions of the grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.backends.tensorrt.legalize._widened import is_float, narrow, result, widen
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule

_MOST = 1 << 22
"""Positions of a grid that may be written down."""


def _refuses(match: Match) -> str | None:
    size = match.ints("size")
    if size is None:
        return "the size of the grid is computed"
    if not is_float(match, "theta"):
        return "its transformations are not in floats"
    return None if int(np.prod(size[2:])) <= _MOST else "the grid is too large"


def _positions(size: tuple[int, ...], *, corners: bool) -> npt.NDArray[np.float32]:
    """Homogeneous coordinates of every cell, innermost first: [cells, spatial dims + 1]."""
    axes = []
    for count in size:
        steps = np.arange(count, dtype=np.float64)
        between = 2 * steps / max(count - 1, 1) - 1 if corners else (2 * steps + 1) / count - 1
        axes.append(between)
    grid = np.stack([*np.meshgrid(*axes, indexing="ij")][::-1], axis=-1).reshape(-1, len(size))
    return np.concatenate([grid, np.ones((len(grid), 1))], axis=1).astype(np.float32)


def _spelled(match: Match) -> Replacement:
    size = match.ints("size")
    assert size is not None, "the guard asks for it"
    spatial = size[2:]
    text = f"""
        {widen(match, "theta")}
        turned = Transpose <perm = [0, 2, 1]> (wide)
        cells = MatMul (positions, turned)
        {result(match, "theta")} = Reshape (cells, shape)
        {narrow(match, "theta")}
    """
    positions = _positions(spatial, corners=match.attr_int("corners") == 1)
    shape = np.asarray([-1, *spatial, len(spatial)], np.int64)
    return Replacement(text, {"positions": positions, "shape": shape})


def _draw(draw: Draw) -> None:
    spatial = draw.choice((3, 4), (2, 3, 4))
    draw.input("theta", 2, len(spatial), len(spatial) + 1)
    draw.constant("size", [2, 3, *spatial])
    draw.attribute("corners", draw.choice(0, 1))


def _draw_computed(draw: Draw) -> None:
    _draw(draw)
    del draw.constants["size"]
    draw.input("size", 4, dtype=ir.DataType.INT64)[:] = 2


RULES = (
    Rule(
        "grid-of-constant-size",
        before="y = AffineGrid <align_corners = @corners> (theta, size)",
        after=_spelled,
        guard=_refuses,
        min_opset=20,
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw,
        refusals=(Refusal(_draw_computed, "computed"),),
    ),
)


@dataclass(frozen=True)
class SpellAffineGrid(Pass):
    """Multiply the positions of a grid of constant size by the transformations.

    TensorRT's parser has no AffineGrid, and the body that ONNX gives it fails for a batch of one.

    Before: ``grid = AffineGrid(theta, [1, 3, 224, 224])``.
    After:  ``grid = Reshape(MatMul(positions, Transpose(theta)), [-1, 224, 224, 2])``.
    Needs:  a constant size of at most four million cells; floats, which are summed in float32.
    Keeps:  how corners are aligned.
    Skips:  sizes that are computed.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, RULES, self.name(), ctx)
