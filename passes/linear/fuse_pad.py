"""FusePad: zeros around the input of a convolution are the convolution's own padding."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.passes.linear._padding import fill, merged
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule


def _refuse(match: Match) -> str | None:
    rank = match.rank("w")
    if rank is None:
        return "the rank of the weight is unknown"
    pads = merged(match, rank)
    if isinstance(pads, str):
        return pads
    return None if fill(match) == 0 else "it pads with something else than zeros"


def _merge(match: Match) -> Replacement:
    pads = merged(match, match.rank("w") or 0)
    assert not isinstance(pads, str), "the guard asked for it"
    return Replacement("y = Conv <pads = @pads, **attrs> (x, w, b?)", attributes={"pads": pads})


def draw_pads(draw: Draw) -> None:
    """Draw the inputs of a Pad of an image x, in one of the ways to write them."""
    draw.input("x", "N", 2, 5, "W")
    draw.sizes["W"] = 6
    if draw.flag():
        draw.constant("value", 0.0)
    else:
        draw.omit("value")
    if draw.flag():
        draw.missing.discard("value")
        draw.constant("value", 0.0)
        draw.constant("axes", draw.choice([2, 3], [-2, -1]))
        draw.constant("pads", [1, 0, 2, 1])
    else:
        draw.omit("axes")
        draw.constant("pads", [0, 0, 1, 0, 0, 0, 2, 1])


def _draw(draw: Draw) -> None:
    draw_pads(draw)
    draw.constant("w", draw.array(3, 2, 3, 3))
    draw.attribute("auto", draw.choice("NOTSET", "VALID"))
    draw.attribute("own", draw.choice(None, (0, 1, 1, 0)) if draw.attributes["auto"] == "NOTSET" else None)
    draw.attribute("attrs", {"strides": draw.choice((1, 1), (2, 1))})
    if draw.flag():
        draw.omit("b")
    else:
        draw.constant("b", draw.array(3))


def _draw_ones(draw: Draw) -> None:
    _draw(draw)
    draw.missing.discard("value")
    draw.constant("value", 1.0)


def _draw_channels(draw: Draw) -> None:
    _draw(draw)
    draw.omit("axes")
    draw.input("x", "N", 1, 5, 6)
    draw.constant("pads", [0, 1, 0, 0, 0, 0, 0, 0])


def _draw_crop(draw: Draw) -> None:
    _draw(draw)
    draw.omit("axes")
    draw.constant("pads", [0, 0, -1, 0, 0, 0, 0, 0])


def _draw_same(draw: Draw) -> None:
    _draw(draw)
    draw.attribute("auto", "SAME_UPPER")
    draw.attribute("own", None)


RULES = (
    Rule(
        "pad-of-convolution",
        before="""
            p = Pad (x, pads, value?, axes?)
            y = Conv <auto_pad = @auto, pads = @own, **attrs> (p, w, b?)
        """,
        after=_merge,
        guard=_refuse,
        exact=False,  # a runtime may sum the taps in another order at the border
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw,
        refusals=(
            Refusal(_draw_ones, "something else than zeros"),
            Refusal(_draw_channels, "channels"),
            Refusal(_draw_crop, "crops"),
            Refusal(_draw_same, "auto_pad=SAME_UPPER"),
        ),
    ),
)


@dataclass(frozen=True)
class FusePad(Pass):
    """Let a Conv do the zero padding before it.

    Before: ``p = Pad(x, [0, 0, 1, 1, 0, 0, 1, 1]); y = Conv(p, w)``.
    After:  ``y = Conv<pads=[1, 1, 1, 1]>(x, w)``.
    Needs:  constant pads of spatial axes, filled with zero; the rank of the weight.
    Keeps:  pads the convolution has already: both are added.
    Skips:  padded values others read, pads that crop, convolutions with auto_pad=SAME.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, RULES, self.name(), ctx)
