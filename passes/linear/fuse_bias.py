"""FuseBias: what is added to a linear operator per output channel is its bias."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.passes.linear._draws import draw_host
from graphopt.passes.linear._factors import Vector, along, fits, rounded
from graphopt.passes.linear._hosts import BIASED, OPS
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule


def _node(match: Match) -> ir.Node:
    return next(node for node in match.nodes if node.op_type in OPS)


def _channels(match: Match) -> int | None:
    """The number of output channels where the weight, constant or not, tells it."""
    shape, node = match.shape("w"), _node(match)
    if shape is None or len(shape) < 2:
        return None
    if node.op_type == "Conv":
        dim = shape[0]
    elif node.op_type == "ConvTranspose":
        group = node.attributes.get_int("group", 1)
        return shape[1] * group if isinstance(shape[1], int) else None
    else:
        dim = shape[0] if node.attributes.get_int("transB", 0) else shape[1]
    return dim if isinstance(dim, int) else None


def _addend(match: Match) -> Vector | None:
    """The constant c, negated where it is subtracted; None where it is no number per channel."""
    rank = match.rank("w")
    if rank is None:
        return None
    found = along(match.value("c"), -1 if _node(match).op_type == "Gemm" else 1 - rank, rank)
    return -found if found is not None and match.root.op_type == "Sub" else found


def _bias(match: Match, channels: int, addend: Vector) -> Vector | None:
    """The new bias; None where the old one is no number per channel or is multiplied by zero."""
    beta = _node(match).attributes.get_float("beta", 1.0)
    old = along(match.value("b"), -1, 2) if "b" in match else np.zeros(1)
    if old is None or beta == 0:
        return None
    with np.errstate(all="ignore"):
        return np.broadcast_to(old + addend / beta, (channels,))


def _refuse(match: Match) -> str | None:
    if not match.is_constant("c"):
        return ""
    if any(attribute.is_ref() for attribute in _node(match).attributes.values()):
        return "its attributes are parameters of the function"
    addend, channels = _addend(match), _channels(match)
    if addend is None or channels is None or addend.size not in (1, channels):
        return "what is added is not one number per channel"
    bias = _bias(match, channels, addend)
    dtype = match.dtype("c")
    if bias is None:
        return "its bias is computed or varies along another axis"
    return None if dtype is not None and fits(bias, dtype) else "the sum of both leaves the range of its type"


def _with_bias(match: Match) -> Replacement:
    addend, channels, dtype = _addend(match), _channels(match), match.dtype("c")
    assert addend is not None
    assert channels is not None
    assert dtype is not None
    bias = _bias(match, channels, addend)
    assert bias is not None, "the guard asked for it"
    text = f"y = {_node(match).op_type} <**attrs> (x, w, b)"
    return Replacement(text, constants={"b": rounded(bias, dtype)})


def _draw(draw: Draw) -> None:
    channels = draw_host(draw)
    behind = 0 if "Gemm" in draw.ops else draw.constants["w"].ndim - 2
    shape = draw.choice((), (1,), (channels, *(1,) * behind))
    draw.constant("c", draw.array(*shape))


def _draw_per_pixel(draw: Draw) -> None:
    draw_host(draw)
    draw.constant("c", draw.array(3, 1, 1, 1, 1))


def _draw_computed(draw: Draw) -> None:
    _draw(draw)
    draw.missing.discard("b")
    draw.constants.pop("b", None)
    draw.input("b", 3 if "Gemm" in draw.ops else 6)


RULES = tuple(
    Rule(
        f"bias-of-{name}",
        before=f"t = {host}\ny = Add (t, c) | Sub (t, c)",
        after=_with_bias,
        guard=_refuse,
        types={"w": "T", "c": "T"},
        exact=False,
        dtypes=dtypes,
        draw=_draw,
        refusals=(Refusal(_draw_per_pixel, "one number per channel"), Refusal(_draw_computed, "is computed")),
    )
    for name, host, dtypes in BIASED
)


@dataclass(frozen=True)
class FuseBias(Pass):
    """Put a constant added to, or subtracted from, Conv, ConvTranspose or Gemm into their bias.

    Before: ``t = Conv(x, w, b); y = Add(t, c)``.
    After:  ``y = Conv(x, w, b + c)``, or with c as the bias where there was none.
    Needs:  a constant of one number per output channel; the weight may be computed.
    Keeps:  the weight, quantised or not, as it is.
    Skips:  results others read, biases that are computed or given per row.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
