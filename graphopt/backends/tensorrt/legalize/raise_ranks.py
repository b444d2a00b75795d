"""RaiseRanks: vectors where TensorRT asks for matrices."""

from __future__ import annotations

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


def _is_vector(match: Match) -> str | None:
    return None if match.rank("x") == 1 else ""


def _row(text: str) -> str:
    return f"row = Unsqueeze (x, first); kept = {text} (row); y = Squeeze (kept, first)"


def _one_axis(op_type: str) -> Rule:
    first = np.zeros(1, np.int64)
    return Rule(
        op_type.lower(),
        before=f"y = {op_type} <axis = @axis> (x)",
        after=lambda _: Replacement(_row(f"{op_type} <axis = -1>"), {"first": first}),
        guard=_is_vector,
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw_vector,
        refusals=(Refusal(_draw_matrix),),
    )


def _draw_vector(draw: Draw) -> None:
    draw.input("x", 5 if draw.flag() else "N")
    draw.attribute("axis", draw.choice(0, -1))


def _draw_matrix(draw: Draw) -> None:
    draw.input("x", 2, 5)
    draw.attribute("axis", -1)


def _refuses_product(match: Match) -> str | None:
    ranks = match.rank("x"), match.rank("w")
    if None in ranks or 1 not in ranks:
        return ""
    # The parser gets two vectors, and a vector behind a stack of matrices, right.
    return None if ranks[0] == 1 and ranks[1] != 1 else ""


def _product(match: Match) -> Replacement:
    axis = np.asarray([-2], np.int64)
    text = "row = Unsqueeze (x, axis); rows = MatMul (row, w); y = Squeeze (rows, axis)"
    del match
    return Replacement(text, {"axis": axis})


def _draw_product(draw: Draw) -> None:
    draw.input("x", 4)
    draw.input("w", *draw.choice((4, 3), (2, 4, 3), ("N", 4, "M")))


def _draw_matrices(draw: Draw) -> None:
    draw.input("x", 2, 4)
    draw.input("w", 4, 3)


RULES = (
    _one_axis("Softmax"),
    _one_axis("LogSoftmax"),
    Rule(
        "vector-times-matrices",
        before="y = MatMul (x, w)",
        after=_product,
        guard=_refuses_product,
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw_product,
        refusals=(Refusal(_draw_matrices),),
    ),
)


@dataclass(frozen=True)
class RaiseRanks(Pass):
    """Give a vector a dim of one where TensorRT takes nothing less than a matrix.

    Before: ``y = Softmax(x)`` of a vector; ``y = MatMul(x, w)`` of a vector and a stack of matrices.
    After:  ``y = Squeeze(Softmax(Unsqueeze(x, [0])), [0])``;
            ``y = Squeeze(MatMul(Unsqueeze(x, [-2]), w), [-2])``.
    Needs:  ranks.
    Keeps:  the numbers, bit for bit where the runtime treats both alike.
    Skips:  products of two vectors and of matrices with a vector, which the parser gets right.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
