"""SpellQuantizedSums: sums and products of quantised tensors, rounded as ONNX Runtime rounds them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.backends.tensorrt.legalize._steps import RANGES
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Constant, Replacement
from graphopt.rewrite.rule import Refusal, Rule

_BYTES = (ir.DataType.INT8, ir.DataType.UINT8)
_OPERANDS = "(q, xs, xz?, r, rs, rz?, ys, yz?)"
_PARAMETERS = ("xs", "xz", "rs", "rz", "ys", "yz")

_HIGH_BITS = np.uint32(0xFFFFFF00)
"""Of a float32: what is left has 16 bits, and its product with 8 bits is exact."""


def _refuses(match: Match) -> str | None:
    """Only constants can be divided beforehand, as ONNX Runtime does."""
    given = [name for name in _PARAMETERS if name in match]
    if not all(match.is_constant(name) and match.static_shape(name) in ((), (1,)) for name in given):
        return "its scales are computed, or several"
    return None if match.dtype("q") in _BYTES else "its type is unknown"


def _number(match: Match, name: str) -> np.float32:
    found = match.constant(name) if name in match else None
    return np.float32(0 if found is None else found.item())


def _rounded(match: Match, constants: dict[str, Constant]) -> list[str]:
    """``y`` from ``steps``, which has the zero point in it already."""
    kind = match.dtype("q")
    assert kind is not None, "the guard let only known types through"
    low, high = RANGES[kind]
    constants.update(least=np.asarray(low, np.float32), most=np.asarray(high, np.float32))
    return [
        "whole = Round (steps)",
        "inside = Clip (whole, least, most)",
        f"y = Cast <to = {int(kind)}> (inside)",
    ]


_SUM = """
    q_wide = Cast <to = 1> (q)
    r_wide = Cast <to = 1> (r)
    of_r = Mul (r_wide, right)
    rest_r = Add (of_r, rest)
    of_q = Mul (q_wide, high)
    total = Add (of_q, rest_r)
    second = Sub (total, of_q)
    first = Sub (total, second)
    lost_first = Sub (of_q, first)
    lost_second = Sub (rest_r, second)
    lost = Add (lost_first, lost_second)
    of_low = Mul (q_wide, low)
    left_out = Add (lost, of_low)
    steps = Add (total, left_out)
"""


def _sum(match: Match) -> Replacement:
    """fma(q, s/u, r · t/u + rest): the factor in two parts and the sum with what it loses round once."""
    left, right = _number(match, "xs") / _number(match, "ys"), _number(match, "rs") / _number(match, "ys")
    of_zero = np.float64(left) * np.float64(_number(match, "xz"))
    taken = np.float32(of_zero + np.float64(right * _number(match, "rz")))
    high = (np.asarray(left).view(np.uint32) & _HIGH_BITS).view(np.float32)
    constants: dict[str, Constant] = {
        "high": np.asarray(high),
        "low": np.asarray(left - high),
        "right": np.asarray(right),
        "rest": np.asarray(_number(match, "yz") - taken),
    }
    return Replacement("\n".join([_SUM, *_rounded(match, constants)]), constants=constants)


def _product(match: Match) -> Replacement:
    """(q - z) · (r - w) · (s · t / u) + v."""
    ratio = _number(match, "xs") * _number(match, "rs") / _number(match, "ys")
    constants: dict[str, Constant] = {"ratio": np.asarray(ratio), "zero": np.asarray(_number(match, "yz"))}
    constants.update(xz_wide=np.asarray(_number(match, "xz")), rz_wide=np.asarray(_number(match, "rz")))
    lines = ["q_wide = Cast <to = 1> (q)", "r_wide = Cast <to = 1> (r)"]
    lines += ["left = Sub (q_wide, xz_wide)", "right = Sub (r_wide, rz_wide)", "both = Mul (left, right)"]
    lines += ["scaled = Mul (both, ratio)", "steps = Add (scaled, zero)", *_rounded(match, constants)]
    return Replacement("\n".join(lines), constants=constants)


def _draw(draw: Draw) -> None:
    """Many a sum that is half way between two numbers; sometimes with a single number."""
    kind, shape = draw.choice(*_BYTES), (2, 3, 4, 4)
    for name in ("q", "r"):
        draw.input(name, *shape, dtype=kind)
        draw.feeds[name] = draw.rng.integers(0, 256, shape).astype(np.uint8).view(kind.numpy())
    for zero in ("xz", "rz", "yz"):
        draw.constant(zero, int(draw.rng.integers(0, 99)), dtype=kind)
    steps = np.float32(draw.rng.random() + 0.5)
    draw.constant("xs", np.asarray(steps * draw.choice(np.float32(1.636), np.float32(1.5))))
    draw.constant("rs", np.asarray(steps / np.float32(2)))
    draw.constant("ys", np.asarray(steps))
    draw.result("y", *shape, dtype=kind)
    if draw.flag():
        draw.feeds["q"][:] = draw.constants["xz"]
        draw.input("r", dtype=kind)
        draw.feeds["r"] = np.asarray(127, kind.numpy())


def _draw_computed(draw: Draw) -> None:
    _draw(draw)
    draw.constants.pop("xs")
    draw.input("xs", dtype=ir.DataType.FLOAT)


def _rule(name: str, operator: str, after: Callable[[Match], Replacement]) -> Rule:
    return Rule(
        name,
        before=f"y = com.microsoft.{operator} {_OPERANDS}",
        after=after,
        guard=_refuses,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw,
        refusals=(Refusal(_draw_computed, because="computed"),),
    )


RULES = (_rule("sum", "QLinearAdd", _sum), _rule("product", "QLinearMul", _product))


@dataclass(frozen=True)
class SpellQuantizedSums(Pass):
    """Compute QLinearAdd and QLinearMul of ONNX Runtime in floats.

    Constants that are quantised too put many a sum half way between two numbers, where the last bit
    decides: products and sums are in ONNX Runtime's order, and where it rounds a multiply-add once,
    the parts of the sum are kept apart until the end.

    Before: ``y = com.microsoft.QLinearMul(q, s, z, r, t, w, u, v)``.
    After:  ``y = Cast(Clip(Round((q - z) · (r - w) · (s · t / u) + v)))``.
    Needs:  constant single scales and zero points.
    Keeps:  every number, on processors that fuse multiplication and addition.
    Skips:  computed scales.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
