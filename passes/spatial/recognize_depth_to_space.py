"""RecognizeDepthToSpace: channels that become pixels, or pixels that become channels, in one operator."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import onnx_ir as ir

from graphopt.passes.spatial._blocks import Dims, agree, blown_up
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule

_DEPTH_TO_SPACE = {
    # name: (order of the split channels and the image, where the channels stand in it)
    "DCR": ((0, 3, 4, 1, 5, 2), 3),
    "CRD": ((0, 1, 4, 2, 5, 3), 1),
}


def _shapes(match: Match) -> tuple[Dims, Dims, Dims] | None:
    """Of the image, of its six axes, and of the result."""
    x, split, y = match.shape("x"), match.shape("r"), match.shape("y")
    if x is None or split is None or y is None or (len(x), len(split), len(y)) != (4, 6, 4):
        return None
    return x, split, y


def _to_space(mode: str, match: Match) -> str | None:
    order, channels = _DEPTH_TO_SPACE[mode]
    shapes = _shapes(match)
    if match.attr_ints("p") != order or shapes is None:
        return ""
    x, split, y = shapes
    first, second = (d for axis, d in enumerate(split[1:4], start=1) if axis != channels)
    size, depth = first, split[channels]
    if not isinstance(size, int) or not isinstance(depth, int) or size < 2 or second != size:
        return "its blocks are not square"
    if x[1] != depth * size * size or not agree((x[0], *x[2:]), (split[0], *split[4:])):
        return "more than the channels is split"
    image = (x[0], depth, blown_up(x[2], size), blown_up(x[3], size))
    return None if agree(image, y) else "its result is no image"


def _block(mode: str, match: Match) -> Replacement:
    _, channels = _DEPTH_TO_SPACE[mode]
    split = match.shape("r")
    assert split is not None, "the guard let only known shapes through"
    size = split[1 if channels != 1 else 2]
    assert isinstance(size, int), "the guard let only known blocks through"
    return Replacement(
        "y = DepthToSpace <blocksize = @size, mode = @mode> (x)", attributes={"size": size, "mode": mode}
    )


def _to_depth(match: Match) -> str | None:
    shapes = _shapes(match)
    if shapes is None:
        return ""
    x, split, y = shapes
    size = split[3]
    if not isinstance(size, int) or size < 2 or split[5] != size:
        return "its blocks are not square"
    image = (split[0], split[1], blown_up(split[2], size), blown_up(split[4], size))
    if not agree(image, x):
        return "more than the image is split"
    channels = (split[0], blown_up(split[1], size * size), split[2], split[4])
    return None if agree(channels, y) else "its result is no image"


def _depth(match: Match) -> Replacement:
    split = match.shape("r")
    assert split is not None, "the guard let only known shapes through"
    size = split[3]
    assert isinstance(size, int), "the guard let only known blocks through"
    return Replacement("y = SpaceToDepth <blocksize = @size> (x)", attributes={"size": size})


def _draw(mode: str, draw: Draw) -> None:
    size, depth = draw.choice(2, 3), draw.choice(1, 2)
    draw.input("x", "N", depth * size * size, 3, 4)
    order, _ = _DEPTH_TO_SPACE[mode]
    draw.constant("s1", [0, *((size, size, depth) if mode == "DCR" else (depth, size, size)), 3, 4])
    draw.attribute("p", order)
    draw.constant("s2", draw.choice([0, depth, 3 * size, 4 * size], [-1, depth, 3 * size, 4 * size]))


def _draw_to_depth(draw: Draw) -> None:
    size, depth = draw.choice(2, 3), draw.choice(1, 2)
    draw.input("x", "N", depth, 3 * size, 4 * size)
    draw.constant("s1", [0, depth, 3, size, 4, size])
    draw.constant("s2", [0, depth * size * size, 3, 4])


def _draw_oblong(mode: str, draw: Draw) -> None:
    _draw(mode, draw)
    draw.input("x", "N", 6, 3, 4)
    draw.constant("s1", [0, *((2, 3, 1) if mode == "DCR" else (1, 2, 3)), 3, 4])
    draw.constant("s2", [0, 1, 6, 12])


def _rule(mode: str) -> Rule:
    return Rule(
        f"depth-to-space-{mode.lower()}",
        before="r = Reshape (x, s1); t = Transpose <perm = @p> (r); y = Reshape (t, s2)",
        after=partial(_block, mode),
        guard=partial(_to_space, mode),
        types={"x": "float"},
        draw=partial(_draw, mode),
        refusals=(Refusal(partial(_draw_oblong, mode), because="not square"),),
    )


RULES = (
    _rule("DCR"),
    _rule("CRD"),
    Rule(
        "space-to-depth",
        before="r = Reshape (x, s1); t = Transpose <perm = [0, 3, 5, 1, 2, 4]> (r); y = Reshape (t, s2)",
        after=_depth,
        guard=_to_depth,
        types={"x": "float"},
        draw=_draw_to_depth,
    ),
)


@dataclass(frozen=True)
class RecognizeDepthToSpace(Pass):
    """Name a pixel shuffle, which is written as Reshape, Transpose and Reshape, and its inverse.

    Before: ``t = Transpose<perm=[0, 1, 4, 2, 5, 3]>(Reshape(x, [N, C, 2, 2, H, W])); y = Reshape(t, [N, C,
            2·H, 2·W])``.
    After:  ``y = DepthToSpace<blocksize=2, mode="CRD">(x)``.
    Needs:  four axes, and dims that are known to be the block's multiples.
    Keeps:  every bit.
    Skips:  blocks that are not square; pixels gathered with the channels outermost, for which ONNX has
            no operator.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
