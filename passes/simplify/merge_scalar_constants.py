"""MergeScalarConstants: two scalars one after the other are one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.constants import constant_tensor
from graphopt.rewrite.dims import FLOATS
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule


def _scalar(match: Match, name: str) -> float | None:
    """The one element of a floating-point constant that enlarges nothing."""
    tensor = constant_tensor(match.value(name))
    if tensor is None or tensor.size != 1 or tensor.dtype not in FLOATS:
        return None
    rank = match.rank("x")
    if len(tensor.shape) and (rank is None or rank < len(tensor.shape)):
        return None
    return float(np.asarray(tensor.numpy()).astype(np.float64).ravel()[0])


def _factor(match: Match) -> float | None:
    """What the two steps multiply by together."""
    first, second = _scalar(match, "c"), _scalar(match, "d")
    if first is None or second is None or 0.0 in (first, second):
        return None
    divides = [node.op_type == "Div" for node in match.nodes]
    return (1 / first if divides[0] else first) * (1 / second if divides[1] else second)


def _has_factor(match: Match) -> str | None:
    factor = _factor(match)
    if factor is None:
        return ""
    if _is_product(match.value("x").producer()):
        return "the first constant may belong to an activation: x·f(x)/6, x·f(x)/2"
    return _representable(match, factor)


def _is_product(node: ir.Node | None) -> bool:
    return node is not None and node.op_type == "Mul" and not any(map(constant_tensor, node.inputs))


def _representable(match: Match, number: float) -> str | None:
    """Why ``number`` cannot stand in the element type without losing digits or range, or None."""
    limits = ir.DataType(match.dtype("c") or ir.DataType.FLOAT)
    largest, smallest = _RANGE[limits]
    if number == 0 or smallest <= abs(number) <= largest:
        return None
    return f"the two constants make {number:g}, which {limits.name} cannot hold"


_RANGE = {
    ir.DataType.FLOAT16: (65504.0, 2.0**-14),
    ir.DataType.BFLOAT16: (float.fromhex("0x1.fep127"), 2.0**-126),
    ir.DataType.FLOAT: (float(np.finfo(np.float32).max), 2.0**-126),
    ir.DataType.DOUBLE: (float(np.finfo(np.float64).max), 2.0**-1022),
}
"""The largest number and the smallest one with all its digits."""


def _multiply(match: Match) -> Replacement:
    return _with_constant(match, "y = Mul (x, e)", _factor(match))


def _add(match: Match) -> Replacement:
    return _with_constant(match, "y = Add (x, e)", _sum(match))


def _with_constant(match: Match, text: str, number: float | None) -> Replacement:
    dtype = match.dtype("c")
    assert number is not None, "the guard lets only pairs of scalars through"
    assert dtype is not None, "constants have a type"
    return Replacement(
        text, constants={"e": ir.tensor(np.asarray(number).astype(dtype.numpy()), dtype=dtype)}
    )


def _sum(match: Match) -> float | None:
    """What the two steps add together; Sub adds the negative."""
    first, second = _scalar(match, "c"), _scalar(match, "d")
    if first is None or second is None:
        return None
    signs = [-1.0 if node.op_type == "Sub" else 1.0 for node in match.nodes]
    return signs[0] * first + signs[1] * second


def _has_sum(match: Match) -> str | None:
    total = _sum(match)
    if total is None:
        return ""
    first, second = _scalar(match, "c") or 0.0, _scalar(match, "d") or 0.0
    if abs(total) < abs(first) + abs(second):
        # Adding and taking away a large number rounds on purpose: that is not undone.
        return "the two constants have opposite signs"
    return _representable(match, total)


def _draw(draw: Draw) -> None:
    draw.input("x", "N", 3)
    draw.constant("c", np.full(draw.choice((), (1,)), draw.choice(0.3, 2.5)).astype(draw.dtype.numpy()))
    draw.constant("d", np.asarray(draw.choice(0.7, 3.0)).astype(draw.dtype.numpy()))


def _draw_added(draw: Draw) -> None:
    _draw(draw)
    signs = [-1.0 if op == "Sub" else 1.0 for op in draw.ops]
    for name, sign in zip("cd", signs, strict=True):
        draw.constant(
            name, (sign * np.abs(draw.constants[name].astype(np.float64))).astype(draw.dtype.numpy())
        )


def _draw_opposite(draw: Draw) -> None:
    _draw_added(draw)
    draw.constant("c", (-draw.constants["c"].astype(np.float64)).astype(draw.dtype.numpy()))


def _draw_huge(draw: Draw) -> None:
    largest = _RANGE[draw.dtype][0]
    draw.input("x", "N", 3)
    draw.constant("c", np.asarray(largest / 2).astype(draw.dtype.numpy()))
    draw.constant("d", np.asarray(1 / 8 if draw.ops[1] == "Div" else 8.0).astype(draw.dtype.numpy()))
    if draw.ops[0] == "Div":
        draw.constant("d", np.asarray(8.0 if draw.ops[1] == "Div" else 1 / 8).astype(draw.dtype.numpy()))


def _draw_vector(draw: Draw) -> None:
    _draw(draw)
    draw.constant("c", np.full(3, 0.5).astype(draw.dtype.numpy()))


RULES = (
    Rule(
        "factors",
        before="t = Mul (x, c) | Div (x, c); y = Mul (t, d) | Div (t, d)",
        after=_multiply,
        guard=_has_factor,
        exact=False,
        draw=_draw,
        refusals=(Refusal(_draw_vector), Refusal(_draw_huge, "cannot hold")),
    ),
    Rule(
        "summands",
        before="t = Add (x, c) | Sub (x, c); y = Add (t, d) | Sub (t, d)",
        after=_add,
        guard=_has_sum,
        exact=False,
        draw=_draw_added,
        refusals=(Refusal(_draw_vector), Refusal(_draw_opposite, "opposite signs")),
    ),
)


@dataclass(frozen=True)
class MergeScalarConstants(Pass):
    """Multiply, or add, two scalar constants once when compiling instead of twice for every element.

    Before: ``t = Mul(x, 0.5); y = Div(t, 3)``.
    After:  ``y = Mul(x, 0.1666…)``.
    Needs:  two constants of one element.
    Keeps:  range: a product that the element type cannot hold is refused.
    Skips:  an inner value with other readers, summands of opposite signs (they round on purpose), and factors
            of a product of two computed values, which activations are recognised by.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
