"""FuseInputShift: what is added to the input of a linear operator is part of its bias."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.passes.linear._absorb import Affine
from graphopt.passes.linear._draws import draw_host
from graphopt.passes.linear._factors import batch_norm, is_float_constant
from graphopt.passes.linear._hosts import Host
from graphopt.passes.linear._inputs import absorb, factor_of, guard
from graphopt.passes.linear.fuse_batch_norm import draw_norm
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.rule import Refusal, Rule

_WIDE = (ir.DataType.FLOAT, ir.DataType.DOUBLE)
"""In half precision the sums without the shift could overflow where those with it did not."""

_NORM = "t = BatchNormalization <epsilon = @epsilon, momentum = @momentum> (x, scale, bias, mean, var)"


def _read_addend(match: Match, found: Host) -> Affine | str:
    if found.dtype not in _WIDE:
        return "sums without the shift may overflow in half precision"
    shift = factor_of(match, found, "c")
    if shift is None:
        return "what is added varies along other axes than the channels" if match.is_constant("c") else ""
    if found.op == "MatMul" and found.factor_of(match.value("b")) is None:
        return "what is added behind it is not one number per channel"
    subtracts = any(node.op_type == "Sub" for node in match.nodes)
    return None, -shift if subtracts else shift


def _read_norm(match: Match, found: Host) -> Affine | str:
    if found.dtype not in _WIDE:
        return "sums without the shift may overflow in half precision"
    if not is_float_constant(match, "scale", "bias", "mean", "var"):
        return "its statistics are computed"
    if found.op == "Gemm" and found.node.attributes.get_int("transA", 0) != 0:
        return "the product transposes the channels of the normalisation"
    return batch_norm(match)


def _draw(draw: Draw) -> None:
    draw_host(draw, pads=False)
    behind = draw.constants["w"].ndim - 2
    draw.constant("c", draw.array(*draw.choice((), (1,), (4, *(1,) * behind))))


def _draw_product(draw: Draw) -> None:
    draw.input("x", "N", 2, 4)
    draw.constant("w", draw.array(4, 3))
    draw.constant("b", draw.array(*draw.choice((3,), (1, 3))))
    draw.constant("c", draw.array(*draw.choice((), (4,), (1, 1, 4))))


def _draw_norm(draw: Draw) -> None:
    draw_host(draw, pads=False)
    draw_norm(draw, 4)


def _draw_half(draw: Draw) -> None:
    draw.dtype = ir.DataType.FLOAT16
    (_draw_product if "MatMul" in draw.ops else _draw)(draw)


def _draw_stretched(draw: Draw) -> None:
    _draw_product(draw)
    draw.input("x", "N", 2, 1)
    draw.constant("c", draw.array(4))


def _padded(draw: Draw) -> None:
    _draw(draw)
    draw.input("x", "N", 4, 5)
    draw.constant("w", draw.array(6, 4, 3))
    draw.constant("c", 1.0)
    draw.attribute("attrs", {"pads": (1, 1)})


def _padded_norm(draw: Draw) -> None:
    _padded(draw)
    draw_norm(draw, 4)


_HOSTS = (
    ("convolution", "Conv <**attrs> (t, w, b?)", (ir.DataType.FLOAT,)),
    ("gemm", "Gemm <**attrs> (t, w, b?)", _WIDE),
)

RULES = (
    *(
        Rule(
            f"input-shift-of-{name}",
            before=f"t = Add (x, c) | Sub (x, c)\ny = {host}",
            after=absorb(_read_addend),
            guard=guard(_read_addend),
            exact=False,
            dtypes=dtypes,
            draw=_draw,
            refusals=(Refusal(_draw_half, "half precision"),)
            + ((Refusal(_padded, "pads with zeros"),) if name == "convolution" else ()),
        )
        for name, host, dtypes in _HOSTS
    ),
    *(
        Rule(
            f"batch-norm-before-{name}",
            before=f"{_NORM}\ny = {host}",
            after=absorb(_read_norm),
            guard=guard(_read_norm),
            exact=False,
            dtypes=dtypes,
            draw=_draw_norm,
            refusals=(Refusal(_padded_norm, "pads with zeros"),) if name == "convolution" else (),
        )
        for name, host, dtypes in _HOSTS
    ),
    Rule(
        "input-shift-of-product-and-bias",
        before="t = Add (x, c) | Sub (x, c)\nm = MatMul (t, w)\ny = Add (m, b)",
        after=absorb(_read_addend),
        guard=guard(_read_addend),
        exact=False,
        dtypes=_WIDE,
        draw=_draw_product,
        refusals=(Refusal(_draw_half, "half precision"), Refusal(_draw_stretched, "other axes")),
    ),
)


@dataclass(frozen=True)
class FuseInputShift(Pass):
    """Put a constant added before Conv, Gemm or MatMul, or a BatchNormalization there, into their constants.

    Before: ``t = Add(x, c); y = Conv(t, w, b)``; also ``Sub``, and ``t = BatchNormalization(x, …)``.
    After:  ``y = Conv(x, w, b + Σ w·c)``; the normalisation's factor goes into the weight.
    Needs:  constant weight and bias, a convolution that does not pad; behind a MatMul, an Add that takes it.
    Keeps:  shared weights: they are not written a second time.
    Skips:  ConvTranspose, whose borders see fewer taps, and half precision.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
