"""EliminateNoopReshape: a reshape to the shape a value already has."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.dims import same_shape
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Dim, Match
from graphopt.rewrite.rule import Refusal, Rule


def _same_shape(match: Match) -> str | None:
    shape = match.shape("x")
    if shape is None:
        return "the rank of its input is unknown"
    wanted = match.ints("shape")
    if wanted is not None:
        return None if _asks_for(wanted, shape, copies=not match.attr_int("allowzero")) else ""
    # The declared dims of an output are the exporter's word; those in between are inferred.
    result = match.value("y")
    return None if not result.is_graph_output() and same_shape(shape, match.shape("y")) else ""


def _asks_for(wanted: tuple[int, ...], shape: tuple[Dim, ...], copies: bool) -> bool:
    """Whether the target ``wanted`` is ``shape``: -1 may stand for the one dim that is not told."""
    if len(wanted) != len(shape):
        return False
    told = [want == have or (want == 0 and copies) for want, have in zip(wanted, shape, strict=True)]
    untold = [want for want, known in zip(wanted, told, strict=True) if not known]
    return untold in ([], [-1])


def _is_matrix(match: Match) -> str | None:
    rank = match.rank("x")
    if rank is None:
        return "the rank of its input is unknown"
    return None if rank == 2 and match.attr_int("axis") in (1, -1) else ""


def _draw(draw: Draw) -> None:
    draw.input("x", "N", 3, 2)
    draw.attribute("allowzero", 0)
    draw.constant("shape", draw.choice([0, 3, 2], [-1, 3, 2], [0, 0, -1], [0, 0, 0], [-1, 0, 2]))


def _draw_other(draw: Draw) -> None:
    draw.input("x", "N", 3, 2)
    draw.attribute("allowzero", 0)
    draw.constant("shape", draw.choice([0, 2, 3], [-1, 2], [0, -1, 1], [1, -1, 3, 2], [0, 2, -1]))


def _draw_matrix(draw: Draw) -> None:
    draw.input("x", "N", 3)
    draw.attribute("axis", draw.choice(1, -1))


def _draw_cube(draw: Draw) -> None:
    draw.input("x", "N", 3, 2)
    draw.attribute("axis", draw.choice(0, 1, 2))


RULES = (
    Rule(
        "reshape",
        before="y = Reshape <allowzero = @allowzero> (x, shape)",
        after="y = x",
        guard=_same_shape,
        min_opset=5,
        draw=_draw,
        refusals=(Refusal(_draw_other),),
    ),
    Rule(
        "flatten",
        before="y = Flatten <axis = @axis> (x)",
        after="y = x",
        guard=_is_matrix,
        min_opset=1,
        draw=_draw_matrix,
        refusals=(Refusal(_draw_cube),),
    ),
)


@dataclass(frozen=True)
class EliminateNoopReshape(Pass):
    """Drop a Reshape or Flatten that leaves the shape as it is.

    Before: ``y = Reshape(x, [0, -1, 64])`` with x of [N, S, 64].
    After:  x in place of y.
    Needs:  the rank of x, and its dims where the target spells numbers.
    Keeps:  the names of graph outputs.
    Skips:  targets with two dims that are not told.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
