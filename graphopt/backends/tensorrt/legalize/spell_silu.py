"""SpellSilu: in float16, SiLU behind a convolution is faster by way of a tangent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.rule import Refusal, Rule

_SUMS = frozenset({"Add", "Sum", "Sub"})
_MOVES = frozenset({"Cast", "Identity"})


def _refuses(match: Match) -> str | None:
    if match.dtype("x") != ir.DataType.FLOAT16:
        return ""
    if _is_added(match.root.outputs[0]):
        return "its result is added to a residual: TensorRT may fuse that wrongly"
    return None


def _is_added(value: ir.Value) -> bool:
    """Whether ``value`` is a summand, directly or through a node that moves it."""
    for user, _ in value.uses():
        if user.op_type in _SUMS:
            return True
        if user.op_type in _MOVES and _is_added(user.outputs[0]):
            return True
    return False


def _draw(draw: Draw) -> None:
    draw.input("image", "N", 2, 4, 4)
    draw.constant("w", draw.array(3, 2, 1, 1))
    draw.constant("b", draw.array(3))
    draw.attribute("attrs", {})


def _draw_wide(draw: Draw) -> None:
    draw.dtype = ir.DataType.FLOAT
    _draw(draw)


RULES = (
    Rule(
        "silu-of-conv",
        before="x = Conv <**attrs> (image, w, b?); gate = Sigmoid (x); y = Mul (x, gate)",
        after="""
            half = Mul (x, 0.5)
            bent = Tanh (half)
            low = Mul (bent, 0.5)
            share = Add (low, 0.5)
            y = Mul (x, share)
        """,
        guard=_refuses,
        shared=("x",),
        exact=False,
        dtypes=(ir.DataType.FLOAT16,),
        draw=_draw,
        refusals=(Refusal(_draw_wide),),
    ),
)


@dataclass(frozen=True)
class SpellSilu(Pass):
    """Write SiLU by a tangent behind convolutions in float16.

    sigmoid(x) is half of 1 + tanh(x/2), which the hardware has an instruction for, and TensorRT fuses the
    whole with the convolution: ultralytics/ultralytics#26223 measured what it wins. NVIDIA/TensorRT#4854: the
    fusion may misread a residual added behind it, so what is added to something keeps its sigmoid.

    Before: ``x = Conv(i, w); y = Mul(x, Sigmoid(x))`` in float16.
    After:  ``y = Mul(x, Add(Mul(Tanh(Mul(x, 0.5)), 0.5), 0.5))``.
    Needs:  the element type.
    Keeps:  float32, where the two differ more and no gain is known.
    Skips:  results that are summands; activations of anything but a convolution.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
