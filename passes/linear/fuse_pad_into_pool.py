"""FusePadIntoPool: a pool pads by itself where that gives the same numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.passes.linear._padding import fill, merged
from graphopt.passes.linear.fuse_pad import draw_pads
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule

_POOL = "auto_pad = @auto, pads = @own, ceil_mode = @ceil, kernel_shape = @kernel, **attrs"


def _pads(match: Match) -> tuple[int, ...] | str:
    """The pads of both, where every window still sees the input."""
    kernel = match.attr_ints("kernel") or ()
    pads = merged(match, len(kernel) + 2)
    if isinstance(pads, str):
        return pads
    if any(pad >= size for pad, size in zip(pads, kernel * 2, strict=True)):
        return "a window would see padding alone"
    if match.attr_int("ceil"):
        return "windows that begin behind the input are dropped or counted otherwise with ceil_mode"
    return pads


def _largest(match: Match) -> Replacement:
    pads = _pads(match)
    assert not isinstance(pads, str), "the guard asked for it"
    text = "y = MaxPool <pads = @pads, kernel_shape = @kernel, **attrs> (x)"
    return Replacement(text, attributes={"pads": pads})


def _mean(match: Match) -> Replacement:
    pads = _pads(match)
    assert not isinstance(pads, str), "the guard asked for it"
    text = "y = AveragePool <pads = @pads, kernel_shape = @kernel, count_include_pad = 1, **attrs> (x)"
    return Replacement(text, attributes={"pads": pads})


def _refuse_largest(match: Match) -> str | None:
    pads = _pads(match)
    if isinstance(pads, str):
        return pads
    value, dtype = fill(match), match.dtype("x")
    if value is None:
        return "what it pads with is computed"
    if any(node.op_type in ("Relu", "Sigmoid", "Abs") for node in match.nodes):
        return None if value <= 0 else "what it pads with may be the largest in a window"
    lowest = value == -np.inf or (dtype is not None and value == float(np.finfo(dtype.numpy()).min))
    return None if lowest else "what it pads with may be the largest in a window"


def _refuse_mean(match: Match) -> str | None:
    pads = _pads(match)
    if isinstance(pads, str):
        return pads
    if fill(match) != 0:
        return "it pads with something else than zeros"
    own = match.attr_ints("own") or ()
    return "its own padding does not count" if any(own) and not match.attr_int("include") else None


def _draw_pool(draw: Draw) -> None:
    draw_pads(draw)
    draw.attribute("auto", draw.choice("NOTSET", "VALID"))
    draw.attribute("own", None)
    draw.attribute("ceil", 0)
    draw.attribute("kernel", (3, 3))
    draw.attribute("attrs", {"strides": draw.choice((1, 1), (2, 1))})


def _draw_largest(draw: Draw) -> None:
    _draw_pool(draw)
    draw.missing.discard("value")
    draw.constant("value", -float("inf"))


def _draw_positive(draw: Draw) -> None:
    _draw_pool(draw)
    draw.inputs["u"], draw.feeds["u"] = draw.inputs.pop("x"), draw.feeds.pop("x")


def _draw_zeros(draw: Draw) -> None:
    _draw_pool(draw)


def _draw_ones(draw: Draw) -> None:
    _draw_positive(draw)
    draw.missing.discard("value")
    draw.constant("value", 1.0)


def _draw_mean(draw: Draw) -> None:
    _draw_pool(draw)
    draw.attribute("include", draw.choice(0, 1))
    if draw.attributes["include"] and draw.attributes["auto"] == "NOTSET":
        draw.attribute("own", (1, 0, 0, 1))
        draw.omit("axes")
        draw.constant("pads", [0, 0, 0, 1, 0, 0, 1, 0])


def _draw_not_counted(draw: Draw) -> None:
    _draw_mean(draw)
    draw.attribute("auto", "NOTSET")
    draw.attribute("own", (1, 0, 0, 1))
    draw.attribute("include", 0)
    draw.omit("axes")
    draw.constant("pads", [0, 0, 0, 1, 0, 0, 1, 0])


def _draw_ceil(draw: Draw) -> None:
    _draw_mean(draw)
    draw.attribute("ceil", 1)


RULES = (
    Rule(
        "lowest-before-largest",
        before=f"p = Pad (x, pads, value?, axes?); y = MaxPool <{_POOL}> (p)",
        after=_largest,
        guard=_refuse_largest,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw_largest,
        refusals=(Refusal(_draw_zeros, "may be the largest"),),
    ),
    Rule(
        "zeros-before-largest",
        before=f"""
            x = Relu (u) | Sigmoid (u) | Abs (u)
            p = Pad (x, pads, value?, axes?)
            y = MaxPool <{_POOL}> (p)
        """,
        after=_largest,
        guard=_refuse_largest,
        shared=("x",),
        exact=False,  # the sign of a zero
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw_positive,
        refusals=(Refusal(_draw_ones, "may be the largest"),),
    ),
    Rule(
        "zeros-before-mean",
        before=f"""
            p = Pad (x, pads, value?, axes?)
            y = AveragePool <count_include_pad = @include, {_POOL}> (p)
        """,
        after=_mean,
        guard=_refuse_mean,
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw_mean,
        refusals=(Refusal(_draw_not_counted, "does not count"), Refusal(_draw_ceil, "ceil_mode")),
    ),
)


@dataclass(frozen=True)
class FusePadIntoPool(Pass):
    """Let a MaxPool or an AveragePool do the padding before it.

    Before: ``p = Pad(x, [0, 0, 1, 1, 0, 0, 1, 1]); y = AveragePool(p)``.
    After:  ``y = AveragePool<pads=[1, 1, 1, 1], count_include_pad=1>(x)``.
    Needs:  constant pads of spatial axes, smaller than the kernel. Before a mean, zeros; before a maximum,
            the lowest number, or zeros where the input is never negative (behind Relu, Sigmoid, Abs).
    Keeps:  pads the pool has already, where it counts them.
    Skips:  ceil_mode, indices of a maximum, padded values others read.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
