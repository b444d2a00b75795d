"""FuseBatchNorm: a normalisation with fixed statistics is part of the linear operator before it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.passes.linear._absorb import Affine, absorb, guard
from graphopt.passes.linear._draws import draw_host
from graphopt.passes.linear._factors import batch_norm, is_float_constant
from graphopt.passes.linear._hosts import BIASED, Host
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.rule import Refusal, Rule

_NORM = "y = BatchNormalization <epsilon = @epsilon, momentum = @momentum> (t, scale, bias, mean, var)"


def _read(match: Match, found: Host) -> Affine | str:
    if not is_float_constant(match, "scale", "bias", "mean", "var"):
        return "its statistics are computed"
    if found.op == "MatMul" and found.rank != 2:
        return "the channels of the normalisation are not those of the product"
    return batch_norm(match)


def draw_norm(draw: Draw, channels: int) -> None:
    """Draw the inputs of a BatchNormalization over ``channels``."""
    draw.attribute("epsilon", draw.choice(1e-5, 1e-3))
    draw.attribute("momentum", 0.9)
    for name in ("scale", "bias", "mean"):
        draw.constant(name, draw.array(channels))
    draw.constant("var", np.abs(draw.array(channels)) + np.asarray(0.5, draw.dtype.numpy()))


def _draw(draw: Draw) -> None:
    draw_norm(draw, draw_host(draw))


def _draw_product(draw: Draw) -> None:
    draw.input("x", "N", 4)
    draw.constant("w", draw.array(4, 3))
    draw_norm(draw, 3)


def _draw_computed(draw: Draw) -> None:
    _draw(draw)
    size = draw.constants.pop("mean").size
    draw.input("mean", size)


def _draw_sequence(draw: Draw) -> None:
    draw.input("x", "N", 3, 4)
    draw.constant("w", draw.array(4, 3))
    draw_norm(draw, 3)


RULES = (
    *(
        Rule(
            f"batch-norm-of-{name}",
            before=f"t = {host}\n{_NORM}",
            after=absorb(_read),
            guard=guard(_read),
            exact=False,
            dtypes=dtypes,
            draw=_draw,
            refusals=(Refusal(_draw_computed, "computed"),),
        )
        for name, host, dtypes in BIASED
    ),
    Rule(
        "batch-norm-of-product",
        before=f"t = MatMul (x, w)\n{_NORM}",
        after=absorb(_read),
        guard=guard(_read),
        exact=False,
        draw=_draw_product,
        refusals=(Refusal(_draw_sequence, "channels"),),
    ),
)


@dataclass(frozen=True)
class FuseBatchNorm(Pass):
    """Put a BatchNormalization into the weight and bias of the Conv, ConvTranspose, Gemm or MatMul before it.

    Before: ``t = Conv(x, w, b); y = BatchNormalization(t, scale, bias, mean, var)``.
    After:  ``y = Conv(x, w·f, (b - mean)·f + bias)`` with ``f = scale/√(var + ε)``, computed in float64.
    Needs:  constant weight, bias and statistics.
    Keeps:  shared weights: they are not written a second time.
    Skips:  training mode, results others read, products of rank 3 and more, factors that leave the range of
            the weight's type.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
