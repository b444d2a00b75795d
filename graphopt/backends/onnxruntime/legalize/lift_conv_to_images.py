"""LiftConvToImages: ONNX Runtime's blocked convolutions are for images; a signal is one row of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule

_BLOCK = 16
_DENSE = 64
"""Input channels up to which an ordinary convolution gains: with more, both kinds are at the same peak."""


_SHORTEST = 64
"""Samples from which on an ordinary convolution gains more than the changes of layout cost."""


def _refusal(match: Match) -> str | None:
    weight, group = match.static_shape("w"), match.attr_int("group")
    if weight is None or len(weight) != 3:
        return ""
    if not match.is_constant("w") or len(match.value("w").uses()) > 1:
        return "its weight is computed or shared"
    if match.attr("auto") != "NOTSET":
        return "its padding is not spelled out"
    outputs, inner, taps = weight
    depthwise = inner == 1 and group == outputs
    dense = group == 1 and inner <= _DENSE and inner % _BLOCK == 0
    if taps < 3 or outputs % _BLOCK or not (depthwise or dense):
        return "its channels are too many, or do not fill blocks"
    shape = match.shape("x")
    length = shape[-1] if shape else None
    if not depthwise and (not isinstance(length, int) or length < _SHORTEST):
        return "the signal is short, or of unknown length"
    return None


def _lifted(match: Match) -> Replacement:
    """With the Relu behind it, if there is one: it is computed in the registers of the convolution."""
    weight = match.constant("w")
    assert weight is not None, "the guard let only constants through"
    rectified = any(node.op_type == "Relu" for node in match.nodes)
    strides, dilations = match.attr_ints("strides") or (1,), match.attr_ints("dilations") or (1,)
    before, after = match.attr_ints("pads") or (0, 0)
    attributes: dict[str, int | tuple[int, ...]] = {
        "strides2": (1, *strides),
        "dilations2": (1, *dilations),
        "pads2": (0, before, 0, after),
    }
    text = f"""
        u = Unsqueeze (x, axis)
        c = Conv <group = @group, strides = @strides2, dilations = @dilations2, pads = @pads2> (u, row, b?)
        {"a = Relu (c)" if rectified else "a = c"}
        y = Squeeze (a, axis)
    """
    constants = {"axis": np.asarray([2], np.int64), "row": weight[:, :, None, :].copy()}
    return Replacement(text, constants=constants, attributes=attributes)


def _refusal_alone(match: Match) -> str | None:
    """The rule with a Relu takes what is read by one."""
    uses = list(match.value("y").uses())
    followed = len(uses) == 1 and uses[0].node.op_type == "Relu" and not match.value("y").is_graph_output()
    return "" if followed else _refusal(match)


def _draw(draw: Draw) -> None:
    group, inner = draw.choice((16, 1), (1, 16), (1, 32))
    draw.input("x", "N", 16 if group == 16 else inner, draw.choice(80, 81))
    draw.constant("w", draw.array(16, inner, draw.choice(3, 5)))
    if draw.flag():
        draw.constant("b", draw.array(16))
    else:
        draw.omit("b")
    _attributes(draw, group)


def _attributes(draw: Draw, group: int) -> None:
    draw.attribute("group", group)
    draw.attribute("auto", "NOTSET")
    draw.attribute("kernel", None)
    draw.attribute("strides", draw.choice(None, (2,)))
    draw.attribute("dilations", draw.choice(None, (2,)))
    draw.attribute("pads", draw.choice(None, (2, 1)))


def _draw_short(draw: Draw) -> None:
    draw.input("x", 2, 16, 20)
    draw.constant("w", draw.array(16, 16, 3))
    draw.omit("b")
    _attributes(draw, 1)


def _draw_wide(draw: Draw) -> None:
    draw.input("x", 2, 80, 40)
    draw.constant("w", draw.array(16, 80, 3))
    draw.omit("b")
    _attributes(draw, 1)


_CONV = (
    "Conv <auto_pad = @auto, group = @group, dilations = @dilations, kernel_shape = @kernel,"
    " pads = @pads, strides = @strides> (x, w, b?)"
)

RULES = tuple(
    Rule(
        name,
        before=before,
        after=_lifted,
        guard=guard,
        exact=False,
        types={"x": "FLOAT"},
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw,
        refusals=(Refusal(_draw_wide, because="do not fill"), Refusal(_draw_short, because="short")),
    )
    for name, before, guard in (
        ("rectified-signal", f"t = {_CONV}; y = Relu (t)", _refusal),
        ("signal", f"y = {_CONV}", _refusal_alone),
    )
)


@dataclass(frozen=True)
class LiftConvToImages(Pass):
    """Convolve a signal as an image of one row, which has the faster kernels.

    A depthwise convolution with 31 taps, as Conformers have them, takes a fifth of the time; with few
    channels an ordinary one takes 0.6 to 0.85 of it.

    Before: ``y = Relu(Conv(x, w, b))`` with x of [N, C, L].
    After:  ``y = Squeeze(Relu(Conv(Unsqueeze(x, 2), w', b)), 2)`` with w' of [O, C, 1, K].
    Needs:  a constant weight that nothing else reads.
    Keeps:  the number of weights.
    Skips:  channels that do not fill blocks of 16, one or two taps, groups of several; unless depthwise, many
            channels and signals that are short or of unknown length.
    """

    backend: ClassVar[str] = "onnxruntime"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
