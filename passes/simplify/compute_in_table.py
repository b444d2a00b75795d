"""ComputeInTable: what is done to every looked-up row is done to the table."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule

_UNARY = (
    *(
        "Abs",
        "Erf",
        "Exp",
        "Gelu",
        "HardSwish",
        "Log",
        "Mish",
        "Neg",
        "Reciprocal",
        "Relu",
        "Sigmoid",
        "Softplus",
    ),
    *("Sqrt", "Tanh"),
)
_BINARY = ("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min")


_LARGEST = 1 << 24
"""Elements: a larger table stays the one that is mapped from the file."""


def _own_table(match: Match) -> str | None:
    shape = match.static_shape("w")
    if not match.is_constant("w") or shape is None:
        return ""
    if math.prod(shape) > _LARGEST:
        return "its table is too large to be made anew"
    if match.attr_int("axis") != 0:
        return "it does not look up rows"
    return None if len(match.value("w").uses()) == 1 else "its table is used elsewhere too"


def _same_for_every_row(match: Match) -> str | None:
    """The constant may vary along the axes of a row, which come last, and nowhere else."""
    table, constant = match.static_shape("w"), match.static_shape("c")
    if table is None or constant is None or not match.is_constant("c"):
        return ""
    row = table[1:]
    tail, head = constant[max(0, len(constant) - len(row)) :], constant[: max(0, len(constant) - len(row))]
    fits = all(d in (1, of) for d, of in zip(reversed(tail), reversed(row), strict=False))
    index = match.rank("i")
    if index is None or len(constant) > index + len(row) or math.prod(head) != 1 or not fits:
        return "its other operand differs from look-up to look-up"
    return _own_table(match)


def _with_row(match: Match) -> Replacement:
    """The leading axes of the constant are those of the look-ups; a row does not have them."""
    table, constant = match.static_shape("w"), match.constant("c")
    assert table is not None, "the guard let only constants through"
    assert constant is not None, "the guard let only constants through"
    rank = min(constant.ndim, len(table) - 1)
    row = constant.reshape(constant.shape[constant.ndim - rank :])
    operands = "w, r" if match.root.inputs[0] is match.value("g") else "r, w"
    text = f"v = {match.root.op_type} ({operands}); y = Gather <axis = 0> (v, i)"
    return Replacement(text, constants={"r": np.asarray(row)})


def _with_self(match: Match) -> str:
    return f"v = {match.root.op_type} (w, w); y = Gather <axis = 0> (v, i)"


def _alone(match: Match) -> str:
    return f"v = {match.root.op_type} <**attrs> (w); y = Gather <axis = 0> (v, i)"


def _draw(draw: Draw) -> None:
    draw.input("i", "N", 3, dtype=ir.DataType.INT64)
    draw.feeds["i"] = draw.rng.integers(-5, 5, draw.feeds["i"].shape)
    draw.constant("w", np.abs(draw.array(5, 2, 4)) + 1)
    draw.constant("c", np.abs(draw.array(*draw.choice((), (4,), (2, 4), (1, 1, 2, 1)))) + 1)
    draw.attribute("axis", 0)
    draw.attribute("attrs", {})


def _draw_per_row(draw: Draw) -> None:
    _draw(draw)
    draw.constant("c", draw.array(3, 1, 1))


RULES = (
    Rule(
        "unary",
        before="g = Gather <axis = @axis> (w, i); y = " + " | ".join(f"{op} <**attrs> (g)" for op in _UNARY),
        after=_alone,
        guard=_own_table,
        types={"w": "float"},
        exact=False,
        min_opset=18,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw,
    ),
    Rule(
        "with-itself",
        before="g = Gather <axis = @axis> (w, i); y = Mul (g, g) | Add (g, g)",
        after=_with_self,
        guard=_own_table,
        types={"w": "float"},
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw,
    ),
    Rule(
        "with-constant",
        before="g = Gather <axis = @axis> (w, i); y = "
        + " | ".join(f"{op} (g, c) | {op} (c, g)" for op in _BINARY),
        after=_with_row,
        guard=_same_for_every_row,
        types={"w": "float"},
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw,
        refusals=(Refusal(_draw_per_row, because="from look-up to look-up"),),
    ),
)


@dataclass(frozen=True)
class ComputeInTable(Pass):
    """Apply what follows a look-up in a constant table to the table, where folding finishes it.

    Before: ``g = Gather(w, i); y = Add(g, c)``.
    After:  ``y = Gather(Add(w, c), i)``.
    Needs:  a table of numbers that nothing else reads; constants that are the same for every row.
    Keeps:  the size of the model.
    Skips:  look-ups whose rows are needed as they are, too; what changes the element type; large tables.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
