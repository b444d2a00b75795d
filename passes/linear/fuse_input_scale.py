"""FuseInputScale: a constant factor per input channel is part of the weight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.passes.linear._absorb import Affine
from graphopt.passes.linear._draws import draw_host
from graphopt.passes.linear._hosts import BIASED, Host
from graphopt.passes.linear._inputs import absorb, factor_of, guard
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.dims import FLOATS
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.rule import Refusal, Rule


def _read(match: Match, found: Host) -> Affine | str:
    factor = factor_of(match, found, "c")
    if factor is None:
        return "the factor varies along other axes than the channels" if match.is_constant("c") else ""
    divides = any(node.op_type == "Div" for node in match.nodes)
    with np.errstate(all="ignore"):
        return (1 / factor if divides else factor), None


def _draw(draw: Draw) -> None:
    draw_host(draw)
    behind = draw.constants["w"].ndim - 2
    transposed = "Gemm" in draw.ops and draw.flag()
    if transposed:
        draw.input("x", 4, "N")
        attributes = draw.attributes["attrs"]
        assert isinstance(attributes, dict)
        attributes["transA"] = 1
        behind = 1
    shape = draw.choice((), (1,), (4, *(1,) * behind))
    sign = np.where(draw.rng.random(shape) < 0.5, -1.0, 1.0)
    draw.constant("c", np.asarray(sign * draw.rng.uniform(0.5, 2.0, shape)).astype(draw.dtype.numpy()))


def _draw_along_rows(draw: Draw) -> None:
    _draw(draw)
    rows = draw.feeds["x"].ndim
    draw.constant("c", draw.array(2, *(1,) * rows))


def _draw_stretched(draw: Draw) -> None:
    """One channel becomes as many as there are factors."""
    _draw(draw)
    attributes = draw.attributes.get("attrs")
    transposed = isinstance(attributes, dict) and attributes.get("transA") == 1
    dims = list(draw.feeds["x"].shape)
    axis = -1 if "MatMul" in draw.ops else 0 if transposed else 1
    dims[axis] = 1
    draw.input("x", *dims)
    behind = len(dims) - 1 - (axis % len(dims))
    draw.constant("c", np.full((4, *(1,) * behind), 2).astype(draw.dtype.numpy()))


RULES = tuple(
    Rule(
        f"input-scale-of-{name}",
        before=f"t = Mul (x, c) | Div (x, c)\ny = {host.replace('(x,', '(t,')}",
        after=absorb(_read),
        guard=guard(_read),
        exact=False,
        dtypes=dtypes,
        draw=_draw,
        refusals=(Refusal(_draw_along_rows, "other axes"), Refusal(_draw_stretched, "other axes")),
    )
    for name, host, dtypes in (
        *BIASED,
        ("product", "MatMul <**attrs> (x, w)", tuple(sorted(FLOATS - {ir.DataType.BFLOAT16}))),
    )
)


@dataclass(frozen=True)
class FuseInputScale(Pass):
    """Put a constant factor before Conv, ConvTranspose, Gemm or MatMul into their weight.

    Before: ``t = Mul(x, c); y = Conv(t, w, b)``, or ``Div``.
    After:  ``y = Conv(x, w·c, b)``, computed in float64; padding is zero before and after.
    Needs:  a constant weight; a factor that is one number or one per input channel.
    Keeps:  shared weights: they are not written a second time.
    Skips:  scaled values others read, and factors that leave the range of the weight's type.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
