"""RecognizeGroupNormalization: InstanceNormalization of groups of channels as one operator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.passes.normalization._moments import SINGLES
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.dims import same_dim, same_shape
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Guard, Refusal, Rule


def _groups(match: Match) -> tuple[int, int] | str:
    """Channels and groups, or why the shapes do not say so."""
    shape, inner = match.shape("x"), match.shape("r")
    if shape is None or inner is None or len(shape) < 3 or len(inner) < 3:
        return "the axes of its operand are unknown"
    channels, groups = shape[1], inner[1]
    if not isinstance(channels, int) or not isinstance(groups, int):
        return "the number of channels or groups is unknown"
    if not same_dim(shape[0], inner[0]) or channels % groups:
        return "the first axis is not kept as it is"
    if not (_is_shape_of(match.value("back"), match.value("x")) or same_shape(match.shape("y"), shape)):
        return "the second Reshape is not known to undo the first"
    return channels, groups


def _is_shape_of(target: ir.Value, x: ir.Value) -> bool:
    node = target.producer()
    if node is None or node.op_type != "Shape" or node.domain != "" or node.inputs[0] is not x:
        return False
    start, end = node.attributes.get("start"), node.attributes.get("end")
    return end is None and (start is None or (not start.is_ref() and start.as_int() == 0))


def _guard(wanted: str) -> Guard:
    """Guards one of two cases: ``each`` channel is a group, or groups have ``several``."""

    def guard(match: Match) -> str | None:
        found = _groups(match)
        if isinstance(found, str):
            return found
        channels, groups = found
        if (channels == groups) != (wanted == "each"):
            return ""
        if wanted == "several" and not (match.is_constant("s") and match.is_constant("b")):
            return "scale or bias of the groups is computed"
        return None

    return guard


def _grouped(match: Match) -> Replacement:
    found = _groups(match)
    scale, bias = match.constant("s"), match.constant("b")
    assert not isinstance(found, str), "the guard has seen to it"
    assert scale is not None, "the guard has seen to it"
    assert bias is not None, "the guard has seen to it"
    channels, groups = found
    return Replacement(
        "y = GroupNormalization <epsilon = @epsilon, num_groups = @groups> (x, scale, bias)",
        constants={name: np.repeat(v, channels // groups) for name, v in (("scale", scale), ("bias", bias))},
        attributes={"groups": groups},
    )


def _draw_of(draw: Draw, groups: int, first: int | str = "N", channels: int = 6) -> None:
    shape = (first, channels, 2, 4)
    draw.input("x", *shape)
    draw.constant("target", [0, groups, -1])
    draw.constant("back", [0, channels, 2, 4])
    draw.attribute("zero", None)
    draw.attribute("zero_back", None)
    draw.attribute("epsilon", draw.choice(None, 1e-3))
    for name in ("s", "b"):
        draw.constant(name, draw.array(groups))


def _draw_several(draw: Draw) -> None:
    _draw_of(draw, draw.choice(1, 2, 3))


def _draw_each(draw: Draw) -> None:
    _draw_of(draw, 6)


def _draw_merged(draw: Draw) -> None:
    _draw_of(draw, 3)
    draw.input("x", 4, 6, 2, 4)
    draw.constant("target", [2, 6, -1])


def _draw_elsewhere(draw: Draw) -> None:
    _draw_of(draw, 3)
    draw.constant("back", [0, 6, 4, 2])


_BEFORE = """
    r = Reshape <allowzero = @zero> (x, target)
    n = InstanceNormalization <epsilon = @epsilon> (r, s, b)
    y = Reshape <allowzero = @zero_back> (n, back)
"""

RULES = (
    Rule(
        "every-channel",
        before=_BEFORE,
        after="y = InstanceNormalization <epsilon = @epsilon> (x, s, b)",
        guard=_guard("each"),
        min_opset=13,
        exact=False,
        dtypes=SINGLES,
        draw=_draw_each,
        refusals=(Refusal(_draw_several),),
    ),
    Rule(
        "groups",
        before=_BEFORE,
        after=_grouped,
        guard=_guard("several"),
        min_opset=21,
        exact=False,
        dtypes=SINGLES,
        draw=_draw_several,
        refusals=(
            Refusal(_draw_merged, "the first axis is not kept"),
            Refusal(_draw_elsewhere, "is not known to undo"),
        ),
    ),
)


@dataclass(frozen=True)
class RecognizeGroupNormalization(Pass):
    """Recognise GroupNormalization written as InstanceNormalization of groups.

    Before: ``Reshape(x, [0, groups, -1]); InstanceNormalization; Reshape back``.
    After:  ``GroupNormalization(x, scale, bias)``, the groups' scale and bias repeated for their channels;
        where every channel is a group of its own, ``InstanceNormalization(x, scale, bias)``.
    Needs:  the number of channels; opset 21 for groups of several.
    Keeps:  the element type; scale and bias per channel that follow, for ``fuse-normalization-scale``.
    Skips:  a first Reshape that changes the batch; a second one not known to undo the first.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
