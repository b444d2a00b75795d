"""SimplifyLogic: conditions and choices that say the same with less."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.passes.simplify._broadcast import broadcasts_to, dims_of
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.constants import constant_tensor
from graphopt.rewrite.dims import FLOATS, INTEGERS
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Guard, Refusal, Rule

_LARGEST = 1 << 16
"""Elements: a larger constant is data, and reading it costs more than it gives."""

_BOOL = (ir.DataType.BOOL,)
_SIGNED = (ir.DataType.INT32, ir.DataType.INT64)


def _same_shape_as(name: str) -> Guard:
    """A guard: the result has the shape of ``name``, so that passing it through loses no broadcasting."""

    def guard(match: Match) -> str | None:
        shapes = [dims for value in match.root.inputs if (dims := dims_of(value)) is not None]
        if len(shapes) == len(match.root.inputs) and broadcasts_to(shapes, match.shape(name) or ()):
            return None
        return "the result may be larger by broadcasting"

    return guard


def _all(truth: bool, kept: str) -> Guard:
    """A guard: c is ``truth`` everywhere, and ``kept`` has the shape of the result."""

    def guard(match: Match) -> str | None:
        tensor = constant_tensor(match.value("c"))
        if tensor is None or tensor.size > _LARGEST or tensor.dtype != ir.DataType.BOOL:
            return ""
        if not np.all(np.asarray(tensor.numpy()) == truth):
            return ""
        return _same_shape_as(kept)(match)

    return guard


def _is_integer(match: Match) -> str | None:
    """Of floats, NaN is neither less than, nor greater than or equal to, anything."""
    return None if match.dtype("a") in INTEGERS else ""


def _is_one_or_zero(match: Match) -> str | None:
    """Whether c chooses between the numbers that a Cast would give."""
    for name, number in (("a", 1), ("b", 0)):
        tensor = constant_tensor(match.value(name))
        if tensor is None or tensor.size != 1 or tensor.dtype not in INTEGERS | FLOATS:
            return ""
        element = np.asarray(tensor.numpy()).ravel()[0]
        if element != number or np.signbit(element):
            return ""
    return _same_shape_as("c")(match)


def _as_number(match: Match) -> Replacement:
    return Replacement("y = Cast <to = @to> (c)", attributes={"to": int(match.root.outputs[0].dtype or 0)})


def _draw_choice(draw: Draw) -> None:
    draw.input("c", "N", 1, dtype=ir.DataType.BOOL)
    draw.input("a", "N", 3)
    draw.input("b", 3)


def _draw_same(draw: Draw) -> None:
    draw.input("c", draw.choice(1, 3), dtype=ir.DataType.BOOL)
    draw.input("a", "N", 3)


def _draw_one_or_zero(draw: Draw) -> None:
    draw.input("c", "N", 3, dtype=ir.DataType.BOOL)
    draw.constant("a", np.ones((), draw.dtype.numpy()))
    draw.constant("b", np.zeros((), draw.dtype.numpy()))


def _draw_larger(draw: Draw) -> None:
    draw.input("c", 2, 1, 1, dtype=ir.DataType.BOOL)
    draw.input("a", "N", 3)


def _draw_constant(truth: bool, *shape: int) -> Callable[[Draw], None]:
    def fill(draw: Draw) -> None:
        draw.input("a", "N", 3)
        draw.input("b", "N", 3)
        draw.input("x", "N", 3)
        draw.constant("c", np.full(shape, truth))

    return fill


def _draw_mixed(draw: Draw) -> None:
    _draw_constant(True, 3)(draw)
    draw.constant("c", np.asarray([True, False, True]))


def _draw_condition(draw: Draw) -> None:
    draw.input("x", "N", 3, dtype=ir.DataType.BOOL)


def _draw_pair(draw: Draw) -> None:
    draw.input("a", "N", 3)
    draw.input("b", 3)


def _draw_floats(draw: Draw) -> None:
    draw.input("a", "N", 3, dtype=ir.DataType.FLOAT)
    draw.input("b", 3, dtype=ir.DataType.FLOAT)


def _known(name: str, before: str, truth: bool, kept: str, dtypes: tuple[ir.DataType, ...]) -> Rule:
    return Rule(
        name,
        before=before,
        after=f"y = {kept}",
        guard=_all(truth, kept),
        exact=dtypes == _BOOL,
        dtypes=dtypes,
        draw=_draw_constant(truth, 3),
        refusals=(Refusal(_draw_mixed), Refusal(_draw_constant(truth, 2, 1, 3), "larger by broadcasting")),
    )


def _opposite(before: str, after: str) -> Rule:
    return Rule(
        f"not-{before}".lower(),
        before=f"t = {before} (a, b); y = Not (t)",
        after=f"y = {after} (a, b)",
        guard=_is_integer,
        min_opset=12,
        dtypes=_SIGNED,
        draw=_draw_pair,
        refusals=(Refusal(_draw_floats),),
    )


_NUMBERS = (ir.DataType.FLOAT, ir.DataType.INT64)
"""Types that ONNX Runtime's Where knows. It makes 0.0 of a chosen -0.0, so rules about it are not exact."""

RULES = (
    Rule(
        "not-not",
        before="t = Not (x); y = Not (t)",
        after="y = x",
        shared=("t",),
        dtypes=_BOOL,
        draw=_draw_condition,
    ),
    *(
        Rule(
            f"{op_type.lower()}-with-itself",
            before=f"y = {op_type} (x, x)",
            after="y = x",
            dtypes=_BOOL,
            draw=_draw_condition,
        )
        for op_type in ("And", "Or")
    ),
    _opposite("Less", "GreaterOrEqual"),
    _opposite("LessOrEqual", "Greater"),
    _opposite("Greater", "LessOrEqual"),
    _opposite("GreaterOrEqual", "Less"),
    Rule(
        "choice-by-not",
        before="n = Not (c); y = Where (n, a, b)",
        after="y = Where (c, b, a)",
        shared=("n",),
        exact=False,
        dtypes=_NUMBERS,
        draw=_draw_choice,
    ),
    Rule(
        "choice-of-one",
        before="y = Where (c, a, a)",
        after="y = a",
        guard=_same_shape_as("a"),
        exact=False,
        dtypes=_NUMBERS,
        draw=_draw_same,
        refusals=(Refusal(_draw_larger, "larger by broadcasting"),),
    ),
    Rule(
        "choice-as-condition",
        before="y = Where (c, a, b)",
        after=_as_number,
        guard=_is_one_or_zero,
        dtypes=_NUMBERS,
        draw=_draw_one_or_zero,
        refusals=(Refusal(_draw_constant(True, 3)),),
    ),
    _known("always", "y = Where (c, a, b)", True, "a", _NUMBERS),
    _known("never", "y = Where (c, a, b)", False, "b", _NUMBERS),
    _known("and-true", "y = And (x, c)", True, "x", _BOOL),
    _known("or-false", "y = Or (x, c)", False, "x", _BOOL),
)


@dataclass(frozen=True)
class SimplifyLogic(Pass):
    """Drop double negations, choices between equals and conditions that are known; turn negations round.

    Before: ``n = Not(c); y = Where(n, a, b)``.
    After:  ``y = Where(c, b, a)``.
    Needs:  shapes where something that could broadcast goes away.
    Keeps:  NaN: a comparison of floats has no opposite.
    Skips:  conditions that are not constant everywhere.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
