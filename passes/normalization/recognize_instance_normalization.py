"""RecognizeInstanceNormalization: mean and variance over space, per channel, as one operator."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.passes.normalization._moments import (
    CENTRED,
    QUOTIENT,
    SINGLES,
    draw_moments,
    epsilon_miss,
    filled,
    number,
    trailing,
)
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.constants import constant_tensor
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule


def _guard(match: Match) -> str | None:
    if match.dtype("x") not in SINGLES:
        return "InstanceNormalization computes in float32"
    count = trailing(match, "axes_m", "axes_v")
    if isinstance(count, str):
        return count
    shape = match.shape("x") or ()
    if count != len(shape) - 2:
        return ""
    if not isinstance(shape[1], int):
        return "the number of channels is unknown"
    if count == 1 and isinstance(shape[2], int) and not _is_of_channels(match):
        return ""  # over the last of three axes it is a LayerNormalization
    return epsilon_miss(match)


def _is_of_channels(match: Match) -> bool:
    """Whether what reads n takes its second axis for channels: a Reshape back, or a scale along it."""
    n = match.value("n")
    readers = [use.node for use in n.uses()]
    if len(readers) != 1:
        return False
    reader = readers[0]
    source = match.value("x").producer()
    if reader.op_type == "Reshape" and source is not None and source.op_type == "Reshape":
        return True
    for value in reader.inputs:
        tensor = constant_tensor(value) if value is not n else None
        if tensor is not None and reader.op_type == "Mul":
            dims = tuple(tensor.shape.numpy())
            return len(dims) in (2, 3) and dims[-1] == 1 and dims[-2] != 1
    return False


def _after(match: Match) -> Replacement:
    channels = (match.shape("x") or ())[1]
    assert isinstance(channels, int), "the guard has seen to it"
    dtype = match.dtype("x")
    return Replacement(
        "n = InstanceNormalization <epsilon = @epsilon> (x, scale, bias)",
        constants={"scale": filled((channels,), 1.0, dtype), "bias": filled((channels,), 0.0, dtype)},
        attributes={"epsilon": number(match, "epsilon") or 0.0},
    )


def _draw(draw: Draw) -> None:
    draw_moments(draw, draw.choice(("N", 3, 4, 5), ("N", 3, "H", "W")), (2, 3))


def _draw_sequence(draw: Draw) -> None:
    draw_moments(draw, ("N", 3, 6), (2,))


def _draw_open(draw: Draw) -> None:
    draw_moments(draw, ("N", "C", 4, 5), (2, 3))


def _draw_rows(draw: Draw) -> None:
    draw_moments(draw, ("N", 3, 4, 5), (3,))


RULES = (
    Rule(
        "pieces",
        before=f"{CENTRED}; {QUOTIENT}",
        after=_after,
        guard=_guard,
        min_opset=18,
        exact=False,
        dtypes=SINGLES,
        draw=_draw,
        refusals=(
            Refusal(_draw_sequence),
            Refusal(_draw_rows),
            Refusal(_draw_open, "the number of channels is unknown"),
        ),
    ),
)


@dataclass(frozen=True)
class RecognizeInstanceNormalization(Pass):
    """Recognise InstanceNormalization in its pieces.

    Before: ``d = x - mean(x); n = d/√(mean(d²) + ε)`` over all axes behind the second.
    After:  ``InstanceNormalization(x, ones, zeros)``; ``fuse-normalization-scale`` puts scale and bias there.
    Needs:  opset 18; the number of channels. Before ``recognize-layer-normalization``, which would store
        ones for every pixel.
    Keeps:  the element type.
    Skips:  float64; three axes of which the last is a vector: that is a LayerNormalization, unless a
        Reshape back or a scale per row follows.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, RULES, self.name(), ctx)
