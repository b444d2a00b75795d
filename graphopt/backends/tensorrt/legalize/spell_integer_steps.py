"""SpellIntegerSteps: steps on integers and truth values that TensorRT computes under another name."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule

_INTEGERS = frozenset({ir.DataType.INT32, ir.DataType.INT64})
_MOST = 1 << 22
"""Products of integers that may be written down one by one: 32 MiB of them."""


def _refuses_type(match: Match) -> str | None:
    return None if match.dtype("x") in _INTEGERS else ""


def _refuses_truth(match: Match) -> str | None:
    return None if match.dtype("x") == ir.DataType.BOOL else ""


def _refuses_product(match: Match) -> str | None:
    if match.dtype("x") not in _INTEGERS:
        return ""
    left, right = match.static_shape("x"), match.static_shape("w")
    if left is None or right is None:
        return "its sizes are not known"
    if len(left) < 2 or len(right) < 2:
        return "it has a vector"
    stack = math.prod(np.broadcast_shapes(left[:-2], right[:-2]))
    return None if stack * left[-2] * left[-1] * right[-1] <= _MOST else "it is too large"


def _positive(match: Match) -> Replacement:
    dtype = match.dtype("x")
    assert dtype is not None, "the guard asks for it"
    return Replacement("y = Max (x, zero)", {"zero": np.asarray(0, dtype.numpy())})


def _inverted(match: Match) -> Replacement:
    dtype = match.dtype("x")
    assert dtype is not None, "the guard asks for it"
    return Replacement("minus = Neg (x); y = Sub (minus, one)", {"one": np.asarray(1, dtype.numpy())})


def _summed(_: Match) -> Replacement:
    text = """
        columns = Unsqueeze (x, last)
        rows = Unsqueeze (w, front)
        products = Mul (columns, rows)
        y = ReduceSum <keepdims = 0> (products, front_of_last)
    """
    constants = {"last": -1, "front": -3, "front_of_last": -2}
    return Replacement(text, {name: np.asarray([axis], np.int64) for name, axis in constants.items()})


def _draw_integers(draw: Draw) -> None:
    draw.input("x", "N", 3, 4, dtype=ir.DataType.INT32)


def _draw_floats(draw: Draw) -> None:
    draw.input("x", 2, 3)


def _draw_truth(draw: Draw) -> None:
    draw.input("x", "N", 4, dtype=ir.DataType.BOOL)
    draw.constant("axes", [draw.choice(0, 1)])
    draw.attribute("keep", draw.choice(0, 1))
    draw.attribute("noop", 0)


def _draw_no_truth(draw: Draw) -> None:
    _draw_truth(draw)
    draw.input("x", 2, 4)


def _draw_product(draw: Draw) -> None:
    dtype = draw.choice(*_INTEGERS)
    draw.input("x", 2, 3, 4, dtype=dtype)
    draw.input("w", *draw.choice((4, 5), (2, 4, 5)), dtype=dtype)


def _draw_large(draw: Draw) -> None:
    draw.input("x", 1, 3, 4096, dtype=ir.DataType.INT64)
    draw.input("w", 4096, 1024, dtype=ir.DataType.INT64)


def _draw_float_product(draw: Draw) -> None:
    draw.input("x", 2, 3)
    draw.input("w", 3, 4)


def _any(op_type: str) -> Rule:
    return Rule(
        f"{op_type[6:].lower()}-of-truths",
        before=f"y = {op_type} <keepdims = @keep, noop_with_empty_axes = @noop> (x, axes?)",
        after=f"""
            numbers = Cast <to = 6> (x)
            found = {op_type} <keepdims = @keep, noop_with_empty_axes = @noop> (numbers, axes?)
            y = Greater (found, 0)
        """,
        guard=_refuses_truth,
        min_opset=20,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw_truth,
        refusals=(Refusal(_draw_no_truth),),
    )


RULES = (
    Rule(
        "relu-of-integers",
        before="y = Relu (x)",
        after=_positive,
        guard=_refuses_type,
        min_opset=14,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw_integers,
        refusals=(Refusal(_draw_floats),),
    ),
    Rule(
        "bits-inverted",
        before="y = BitwiseNot (x)",
        after=_inverted,
        guard=_refuses_type,
        min_opset=18,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw_integers,
    ),
    _any("ReduceMax"),
    _any("ReduceMin"),
    Rule(
        "product-of-integers",
        before="y = MatMul (x, w)",
        after=_summed,
        guard=_refuses_product,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw_product,
        refusals=(Refusal(_draw_large, "too large"), Refusal(_draw_float_product)),
    ),
)


@dataclass(frozen=True)
class SpellIntegerSteps(Pass):
    """Compute on integers and truth values in steps that TensorRT has for them.

    Before: ``y = Relu(x)``, ``y = BitwiseNot(x)``, ``y = MatMul(x, w)`` in int32 or int64;
            ``y = ReduceMax(x)`` of truth values.
    After:  ``y = Max(x, 0)``; ``y = Sub(Neg(x), 1)``; ``y = ReduceSum(Mul(Unsqueeze(x), Unsqueeze(w)))``;
            ``y = Greater(ReduceMax(Cast<to=int32>(x)), 0)``.
    Needs:  element types; for products all dims.
    Keeps:  every bit; what ONNX says of extremes over nothing.
    Skips:  products of more than four million pairs; other element types.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
