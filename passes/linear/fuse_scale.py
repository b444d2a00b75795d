"""FuseScale: a constant factor per output channel is part of the weight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.passes.linear._absorb import Affine, absorb, guard
from graphopt.passes.linear._draws import draw_host
from graphopt.passes.linear._hosts import BIASED, Host
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.rule import Refusal, Rule

_SCALE = "Mul (t, c) | Div (t, c)"


def _read(match: Match, found: Host) -> Affine | str:
    """The factor c, or 1/c; the bias before it is the node's own, or what an Add brings."""
    factor = found.factor_of(match.value("c"))
    if factor is None:
        return "the factor varies along other axes than the channels" if match.is_constant("c") else ""
    if "b" in match and found.op == "MatMul" and found.factor_of(match.value("b")) is None:
        return "what is added in between varies along other axes than the channels"
    with np.errstate(all="ignore"):
        return (1 / factor if match.root.op_type == "Div" else factor), None


def _draw_factor(draw: Draw, channels: int, axes_behind: int) -> None:
    shape = draw.choice((), (1,), (channels, *(1,) * axes_behind))
    sign = np.where(draw.rng.random(shape) < 0.5, -1.0, 1.0)
    draw.constant("c", np.asarray(sign * draw.rng.uniform(0.5, 2.0, shape)).astype(draw.dtype.numpy()))


def _axes_behind(draw: Draw) -> int:
    return draw.constants["w"].ndim - 2


def _draw(draw: Draw) -> None:
    channels = draw_host(draw)
    _draw_factor(draw, channels, 0 if "Gemm" in draw.ops else _axes_behind(draw))


def _draw_product(draw: Draw) -> None:
    draw.input("x", "N", 2, 4)
    draw.constant("w", draw.array(4, 3))
    draw.constant("b", draw.array(3))
    _draw_factor(draw, 3, 0)


def _draw_along_rows(draw: Draw) -> None:
    _draw_product(draw)
    draw.constant("c", draw.array(2, 1))


def _draw_too_large(draw: Draw) -> None:
    (_draw_product if "MatMul" in draw.ops else _draw)(draw)
    draw.constant("c", float("inf") if "Mul" in draw.ops else 0.0)


RULES = (
    *(
        Rule(
            f"scale-of-{name}",
            before=f"t = {host}\ny = {_SCALE}",
            after=absorb(_read),
            guard=guard(_read),
            exact=False,
            dtypes=dtypes,
            draw=_draw,
            refusals=(Refusal(_draw_too_large, "leaves the range"),),
        )
        for name, host, dtypes in BIASED
    ),
    Rule(
        "scale-of-product",
        before=f"t = MatMul (x, w)\ny = {_SCALE}",
        after=absorb(_read),
        guard=guard(_read),
        exact=False,
        draw=_draw_product,
        refusals=(Refusal(_draw_along_rows, "other axes"),),
    ),
    Rule(
        "scale-of-product-and-bias",
        before=f"m = MatMul (x, w)\nt = Add (m, b)\ny = {_SCALE}",
        after=absorb(_read),
        guard=guard(_read),
        exact=False,
        draw=_draw_product,
        refusals=(Refusal(_draw_along_rows, "other axes"), Refusal(_draw_too_large, "leaves the range")),
    ),
)


@dataclass(frozen=True)
class FuseScale(Pass):
    """Put a constant factor behind Conv, ConvTranspose, Gemm or MatMul into their weight and bias.

    Before: ``t = MatMul(x, w); s = Add(t, b); y = Mul(s, c)``, or ``Div``.
    After:  ``t = MatMul(x, w·c); y = Add(t, b·c)``, computed in float64.
    Needs:  constant weight and bias; a factor that is one number or one per output channel.
    Keeps:  shared weights: they are not written a second time.
    Skips:  results others read, and factors that leave the range of the weight's type.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
