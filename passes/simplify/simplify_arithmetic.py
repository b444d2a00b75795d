"""SimplifyArithmetic: operations that give back their operand, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.constants import constant_tensor
from graphopt.rewrite.dims import FLOATS, INTEGERS
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.rule import Guard, Refusal, Rule

_LARGEST = 1 << 16
"""Elements: a larger constant is a weight, and reading it to find ones in it costs more than it gives."""

_SIGNED = (ir.DataType.FLOAT16, ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.INT32, ir.DataType.INT64)


def _neutral(number: float) -> Guard:
    """A guard: c is ``number`` everywhere, a floating-point zero's sign included, and keeps x's shape."""

    def guard(match: Match) -> str | None:
        tensor = constant_tensor(match.value("c"))
        if tensor is None or tensor.size > _LARGEST or tensor.dtype not in FLOATS | INTEGERS:
            return ""
        elements = np.asarray(tensor.numpy())
        if not np.all(elements == number):
            return ""
        if number == 0 and tensor.dtype in FLOATS:
            signs = np.signbit(elements.astype(np.float64))
            if not np.all(signs == np.signbit(number)):
                return "it turns -0.0 into 0.0"
        return _enlarges(match, tuple(tensor.shape.numpy()))

    return guard


def _enlarges(match: Match, dims: tuple[int, ...]) -> str | None:
    """Why broadcasting x against ``dims`` might give more than x, or None."""
    shape = match.shape("x")
    if not dims:
        return None
    if shape is None:
        return "the rank of its operand is unknown, and the constant may enlarge it"
    if len(dims) > len(shape):
        return f"the constant of shape {list(dims)} enlarges its operand"
    for have, want in zip(shape[len(shape) - len(dims) :], dims, strict=True):
        if want not in (1, have):
            return f"the constant of shape {list(dims)} may enlarge its operand"
    return None


def _case(number: float, *shapes: tuple[int, ...]) -> Callable[[Draw], None]:
    """Draws x of [N, 3] and c, full of ``number``, of one of ``shapes``."""

    def draw_case(draw: Draw) -> None:
        draw.input("x", "N", 3)
        shape = shapes[int(draw.rng.integers(len(shapes)))]
        draw.constant("c", np.full(shape, number).astype(draw.dtype.numpy()))

    return draw_case


_FITTING = ((), (1,), (3,), (1, 1), (1, 3))
_ENLARGING = ((1, 1, 3), (4, 1, 3))


def _draw_negations(draw: Draw) -> None:
    draw.input("x", "N", 3)


RULES = (
    Rule(
        "multiply-by-one",
        before="y = Mul (x, c)",
        after="y = x",
        guard=_neutral(1),
        min_opset=7,
        dtypes=_SIGNED,
        draw=_case(1, *_FITTING),
        refusals=(
            Refusal(_case(2, ())),
            Refusal(_case(1, *_ENLARGING), "enlarges"),
            Refusal(_case(1, (6, 1)), "may enlarge"),
        ),
    ),
    Rule(
        "divide-by-one",
        before="y = Div (x, c)",
        after="y = x",
        guard=_neutral(1),
        min_opset=7,
        dtypes=_SIGNED,
        draw=_case(1, *_FITTING),
        refusals=(Refusal(_case(2, ())), Refusal(_case(1, *_ENLARGING), "enlarges")),
    ),
    Rule(
        "add-zero",
        before="y = Add (x, c)",
        after="y = x",
        guard=_neutral(-0.0),
        min_opset=7,
        dtypes=_SIGNED,
        draw=_case(-0.0, *_FITTING),
        refusals=(Refusal(_case(1, ())), Refusal(_case(-0.0, *_ENLARGING), "enlarges")),
    ),
    Rule(
        "subtract-zero",
        before="y = Sub (x, c)",
        after="y = x",
        guard=_neutral(0.0),
        min_opset=7,
        dtypes=_SIGNED,
        draw=_case(0.0, *_FITTING),
        refusals=(Refusal(_case(1, ())), Refusal(_case(0.0, *_ENLARGING), "enlarges")),
    ),
    Rule(
        "negate-twice",
        before="t = Neg (x); y = Neg (t)",
        after="y = x",
        shared=("t",),
        min_opset=6,
        dtypes=_SIGNED,
        draw=_draw_negations,
    ),
)


@dataclass(frozen=True)
class SimplifyArithmetic(Pass):
    """Drop x·1, x/1, x-0, x+0 and -(-x) where the bits stay the same.

    Before: ``y = Mul(x, 1)``.
    After:  x in place of y.
    Needs:  the rank of x where the constant has one.
    Keeps:  the names of graph outputs.
    Skips:  constants that enlarge x by broadcasting, and x + 0.0: it turns -0.0 into 0.0.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
