"""FoldGemmAttributes: what a Gemm does to its constants at every run is done to them once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.passes.linear._factors import fits, is_only_here, keeps_precision, read, rounded
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.constants import constant_array
from graphopt.rewrite.dims import FLOATS
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule

_GEMM = "y = Gemm <alpha = @alpha, beta = @beta, transA = @ta, transB = @tb> (a, b, c?)"


def _number(match: Match, name: str) -> float:
    found = match.attr(name)
    assert isinstance(found, int | float), "alpha and beta have defaults"
    return float(found)


def _refuse_weight(match: Match) -> str | None:
    if _number(match, "alpha") == 1 and not match.attr_int("tb"):
        return ""
    dtype = match.dtype("b")
    if not match.is_constant("b") or dtype not in FLOATS:
        return ""
    if not is_only_here(match.value("b")):
        return f"the weight {match.value('b').name!r} is shared"
    before = read(match.value("b"))
    after = before * _number(match, "alpha")
    if not fits(after, dtype) or not keeps_precision(before, after, dtype, (0, 1)):
        return "the weight times alpha leaves the range of its type"
    return None


def _fold_weight(match: Match) -> Replacement:
    array, alpha = match.constant("b"), _number(match, "alpha")
    assert array is not None, "the guard asked for a constant"
    if alpha != 1:
        array = rounded(read(match.value("b")) * alpha, ir.DataType.from_numpy(array.dtype))
    weight = np.ascontiguousarray(array.T if match.attr_int("tb") else array)
    return Replacement("y = Gemm <beta = @beta, transA = @ta> (a, w, c?)", constants={"w": weight})


def _refuse_bias(match: Match) -> str | None:
    beta = _number(match, "beta")
    if beta == 1 or "c" not in match:
        return ""
    dtype = match.dtype("c")
    if beta == 0:
        return None if dtype in FLOATS else ""
    if not match.is_constant("c") or dtype not in FLOATS:
        return ""
    return None if fits(read(match.value("c")) * beta, dtype) else "the bias times beta overflows"


def _fold_bias(match: Match) -> Replacement:
    text, beta = "y = Gemm <alpha = @alpha, transA = @ta, transB = @tb> (a, b{0})", _number(match, "beta")
    if beta == 0:
        return Replacement(text.format(""))
    array = constant_array(match.value("c"))
    assert array is not None, "the guard asked for a constant"
    bias = rounded(read(match.value("c")) * beta, ir.DataType.from_numpy(array.dtype))
    return Replacement(text.format(", bias"), constants={"bias": bias})


def _draw_weight(draw: Draw) -> None:
    draw.input("a", "N", 4)
    draw.constant("b", draw.array(3, 4))
    draw.attribute("alpha", draw.choice(1.0, 0.5))
    draw.attribute("beta", draw.choice(1.0, 2.0))
    draw.attribute("ta", 0)
    draw.attribute("tb", 1)
    draw.constant("c", draw.array(3))


def _draw_bias(draw: Draw) -> None:
    _draw_weight(draw)
    draw.attribute("beta", draw.choice(0.0, 2.0, -0.5))


def _draw_plain(draw: Draw) -> None:
    _draw_weight(draw)
    draw.constant("b", draw.array(4, 3))
    for name, value in (("alpha", 1.0), ("beta", 1.0), ("tb", 0)):
        draw.attribute(name, value)


def _draw_too_large(draw: Draw) -> None:
    _draw_weight(draw)
    draw.attribute("alpha", 3.0)
    draw.attribute("beta", 3.0)
    for name in ("b", "c"):
        largest = np.nextafter(np.asarray(np.inf, draw.dtype.numpy()), np.asarray(0, draw.dtype.numpy()))
        draw.constants[name] = np.full_like(draw.constants[name], largest)


RULES = (
    Rule(
        "weight",
        before=_GEMM,
        after=_fold_weight,
        guard=_refuse_weight,
        exact=False,
        draw=_draw_weight,
        refusals=(Refusal(_draw_plain), Refusal(_draw_too_large, "leaves the range")),
    ),
    Rule(
        "bias",
        before=_GEMM,
        after=_fold_bias,
        guard=_refuse_bias,
        exact=False,
        draw=_draw_bias,
        refusals=(Refusal(_draw_plain), Refusal(_draw_too_large, "overflows")),
    ),
)


@dataclass(frozen=True)
class FoldGemmAttributes(Pass):
    """Transpose and scale the constants of a Gemm instead of telling it to.

    Before: ``y = Gemm<alpha=0.5, beta=2, transB=1>(a, w, c)``.
    After:  ``y = Gemm(a, 0.5·wᵀ, 2·c)``; without c where beta is zero.
    Needs:  floating-point constants.
    Keeps:  shared weights: they are not written a second time.
    Skips:  factors of computed operands, and those that leave the range of the type.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
