"""EliminateDropout: at inference Dropout passes its input through."""

from __future__ import annotations

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


def _is_inference(match: Match) -> str | None:
    if "training" not in match:
        return None
    mode = match.constant("training")
    if mode is None:
        return "training_mode is decided at run time"
    return "training_mode is on" if bool(mode.any()) else None


def _all_true(_: Match) -> Replacement:
    text = "y = x; s = Shape (x); m = Expand (t, s)"
    return Replacement(text, constants={"t": np.asarray(True)})


def _draw(draw: Draw) -> None:
    draw.input("x", "N", 4)
    draw.attribute("attrs", {"seed": 3} if draw.flag() else {})
    if draw.flag():
        draw.omit("ratio")
    else:
        draw.constant("ratio", np.float32(0.25))
    if draw.flag():
        draw.omit("training")
    else:
        draw.constant("training", np.asarray(False))


def _draw_training(draw: Draw) -> None:
    _draw(draw)
    draw.missing.discard("training")
    draw.constant("training", np.asarray(True))


def _draw_undecided(draw: Draw) -> None:
    _draw(draw)
    draw.missing.discard("training")
    draw.constants.pop("training", None)
    draw.input("training", dtype=ir.DataType.BOOL)


_REFUSALS = (Refusal(_draw_training, "is on"), Refusal(_draw_undecided, "at run time"))

RULES = (
    Rule(
        "dropout",
        before="y = Dropout <**attrs> (x, ratio?, training?)",
        after="y = x",
        guard=_is_inference,
        min_opset=7,
        draw=_draw,
        refusals=_REFUSALS,
    ),
    Rule(
        "dropout-with-mask",
        before="y, m = Dropout <**attrs> (x, ratio?, training?)",
        after=_all_true,
        guard=_is_inference,
        min_opset=12,
        draw=_draw,
        refusals=_REFUSALS,
    ),
)


@dataclass(frozen=True)
class EliminateDropout(Pass):
    """Let the readers of a Dropout read its input; a mask that is used becomes all true.

    Before: ``y = Dropout(x)``.
    After:  x in place of y.
    Needs:  training_mode absent or constant false.
    Keeps:  the names of graph outputs.
    Skips:  training_mode on or computed.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
