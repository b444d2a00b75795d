"""SpellCol2im: blocks summed into an image are a transposed convolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.backends.tensorrt.legalize._widened import is_float, narrow, result, widen
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Attribute, Constant, Replacement
from graphopt.rewrite.rule import Refusal, Rule


@dataclass(frozen=True)
class _Blocks:
    """Where the blocks lie.

    Attributes:
        channels: of the image.
        block: sizes of a block.
        counts: blocks along each axis.
        strides, dilations, pads: as for convolutions.
        left: elements behind the last block, along each axis.
    """

    channels: int
    block: tuple[int, ...]
    counts: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]
    left: tuple[int, ...]


def _blocks(match: Match) -> _Blocks | str:
    """The blocks, or why they are not known."""
    image, block, shape = match.ints("image"), match.ints("block"), match.shape("x")
    if image is None or block is None or shape is None or not isinstance(shape[1], int):
        return "the sizes of image, blocks or channels are not known"
    if len(image) not in (2, 3) or not is_float(match, "x"):
        return "it is not an image or a volume of floats"
    rank = len(image)
    strides = match.attr_ints("strides") or (1,) * rank
    dilations = match.attr_ints("dilations") or (1,) * rank
    pads = match.attr_ints("pads") or (0,) * (2 * rank)
    counts, left = [], []
    for axis in range(rank):
        room = image[axis] + pads[axis] + pads[rank + axis] - dilations[axis] * (block[axis] - 1) - 1
        counts.append(room // strides[axis] + 1)
        left.append(room % strides[axis])
    channels = shape[1] // int(np.prod(block))
    return _Blocks(channels, block, tuple(counts), strides, dilations, pads, tuple(left))


def _refuses(match: Match) -> str | None:
    found = _blocks(match)
    return found if isinstance(found, str) else None


def _spelled(match: Match) -> Replacement:
    found = _blocks(match)
    assert isinstance(found, _Blocks), "the guard asks for it"
    cells = int(np.prod(found.block))
    one = np.eye(cells, dtype=np.float32).reshape(cells, 1, *found.block)
    constants: dict[str, Constant] = {
        "weight": np.tile(one, (found.channels, 1) + (1,) * len(found.block)),
        "places": np.asarray([0, 0, *found.counts], np.int64),
    }
    attributes: dict[str, Attribute] = {
        "group": found.channels,
        "s": found.strides,
        "d": found.dilations,
        "p": found.pads,
        "o": found.left,
    }
    text = f"""
        {widen(match, "x")}
        laid = Reshape (wide, places)
        {result(match, "x")} = ConvTranspose
            <group = @group, strides = @s, dilations = @d, pads = @p, output_padding = @o> (laid, weight)
        {narrow(match, "x")}
    """
    return Replacement(text, constants, attributes)


def _draw(draw: Draw) -> None:
    """Blocks of two by three in an image of seven by eight."""
    strides, dilations = draw.choice((1, 1), (2, 3)), draw.choice((1, 1), (1, 2))
    pads = draw.choice((0, 0, 0, 0), (1, 0, 0, 2))
    image, block = (7, 8), (2, 3)
    count = 1
    for axis in range(2):
        room = image[axis] + pads[axis] + pads[2 + axis] - dilations[axis] * (block[axis] - 1) - 1
        count *= room // strides[axis] + 1
    draw.input("x", 2, 2 * 6, count)
    draw.constant("image", list(image))
    draw.constant("block", list(block))
    draw.attribute("strides", strides)
    draw.attribute("dilations", dilations)
    draw.attribute("pads", pads)


def _draw_computed(draw: Draw) -> None:
    _draw(draw)
    del draw.constants["image"]
    draw.input("image", 2, dtype=ir.DataType.INT64)[:] = 5


RULES = (
    Rule(
        "blocks-of-known-size",
        before="y = Col2Im <strides = @strides, dilations = @dilations, pads = @pads> (x, image, block)",
        after=_spelled,
        guard=_refuses,
        min_opset=18,
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw,
        refusals=(Refusal(_draw_computed, "sizes"),),
    ),
)


@dataclass(frozen=True)
class SpellCol2im(Pass):
    """Put blocks back into an image by a transposed convolution with ones.

    Before: ``y = Col2Im(x, [64, 64], [3, 3])``.
    After:  ``y = ConvTranspose<group=channels>(Reshape(x, [0, 0, 62, 62]), ones)``.
    Needs:  constant sizes, the number of channels; floats, which are summed in float32.
    Keeps:  strides, dilations and padding.
    Skips:  sizes that are computed.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, RULES, self.name(), ctx)
