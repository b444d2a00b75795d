"""SpellAffineAsBatchNorm: a constant factor and shift between convolutions keep their blocked layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.constants import constant_array, constant_tensor
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule

_IMAGE = 4
"""The rank of what ONNX Runtime computes in blocks of channels."""


def _per_channel(match: Match, name: str) -> npt.NDArray[np.float32] | str:
    """The constant ``name`` as one number per channel of x, or why not; silent where it is computed."""
    value, shape = match.value(name), match.shape("x")
    tensor = constant_tensor(value)
    if tensor is None:
        return ""
    if shape is None or len(shape) != _IMAGE or not isinstance(shape[1], int):
        return "the number of channels is unknown"
    dims = tuple(tensor.shape.numpy())
    padded = (1,) * (_IMAGE - len(dims)) + dims
    if len(padded) != _IMAGE or padded[0] != 1 or padded[2:] != (1, 1) or padded[1] not in (1, shape[1]):
        return "the constant is not one number per channel"
    array = constant_array(value)
    assert array is not None, "it has a tensor"
    return np.broadcast_to(array.reshape(-1).astype(np.float32), (shape[1],)).copy()


def _refuse(match: Match) -> str | None:
    for name in ("s", "b"):
        found = _per_channel(match, name)
        if isinstance(found, str):
            return found
    return None


def _spell(match: Match) -> Replacement:
    """``y = s · (x - 0) / √(1 + 0) + b``."""
    factor, shift = _per_channel(match, "s"), _per_channel(match, "b")
    assert not isinstance(factor, str), "the guard asked for it"
    assert not isinstance(shift, str), "the guard asked for it"
    return Replacement(
        "y = BatchNormalization <epsilon = 0.0> (x, scale, shift, zero, one)",
        constants={
            "scale": factor,
            "shift": shift,
            "zero": np.zeros_like(factor),
            "one": np.ones_like(factor),
        },
    )


def _draw(draw: Draw) -> None:
    draw.input("i", "N", 4, 3, "W")
    draw.constant("w", draw.array(6, 4, 1, 1))
    draw.attribute("attrs", {})
    draw.omit("k")
    for name in ("s", "b"):
        draw.constant(name, draw.array(*draw.choice((), (1,), (6, 1, 1), (1, 6, 1, 1))))


def _draw_per_pixel(draw: Draw) -> None:
    _draw(draw)
    draw.input("i", "N", 4, 3, 5)
    draw.constant("s", draw.array(5))


def _draw_sequence(draw: Draw) -> None:
    _draw(draw)
    draw.input("i", "N", 4, 3)
    draw.constant("w", draw.array(6, 4, 1))
    draw.constant("s", 2.0)
    draw.constant("b", 2.0)


RULES = (
    Rule(
        "factor-and-shift",
        before="""
            h = Conv <**attrs> (i, w, k?)
            x = HardSwish (h) | Relu (h) | Sigmoid (h) | Tanh (h)
            t = Mul (x, s)
            y = Add (t, b)
        """,
        after=_spell,
        guard=_refuse,
        shared=("h", "x"),
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        types={"x": "FLOAT"},
        draw=_draw,
        refusals=(Refusal(_draw_per_pixel, "per channel"), Refusal(_draw_sequence, "channels is unknown")),
    ),
)


@dataclass(frozen=True)
class SpellAffineAsBatchNorm(Pass):
    """Write a constant factor and shift behind a convolution and its activation as BatchNormalization.

    ONNX Runtime keeps BatchNormalization, as a convolution, in the blocks of channels its convolutions work
    on; for Mul and Add with a constant it leaves the blocks and comes back.

    Before: ``x = HardSwish(Conv(i, w)); t = Mul(x, s); y = Add(t, b)``.
    After:  ``y = BatchNormalization<epsilon=0>(x, s, b, 0, 1)``.
    Needs:  float32 images of known rank and number of channels; constants of one number per channel or one
            in all.
    Keeps:  the order of the operations.
    Skips:  products others read; images no convolution computes: elsewhere its kernel has one thread.
    """

    backend: ClassVar[str] = "onnxruntime"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, RULES, self.name(), ctx)
