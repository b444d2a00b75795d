"""ScalarRangeOperands: Range takes scalars, and is given tensors of one element."""

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

_OPERANDS = ("start", "limit", "delta")


def _wrapped(match: Match, name: str) -> bool:
    """Whether an operand is a vector of one element."""
    shape = match.shape(name)
    return shape is not None and len(shape) == 1 and shape[0] == 1


def _some_wrapped(match: Match) -> str | None:
    return None if any(_wrapped(match, name) for name in _OPERANDS) else ""


def _unwrapped(match: Match) -> Replacement:
    wrapped = [name for name in _OPERANDS if _wrapped(match, name)]
    lines = [f"{name}0 = Reshape ({name}, scalar)" for name in wrapped]
    operands = ", ".join(f"{name}0" if name in wrapped else name for name in _OPERANDS)
    return Replacement(
        "\n".join([*lines, f"y = Range ({operands})"]), constants={"scalar": np.zeros(0, np.int64)}
    )


def _draw(draw: Draw) -> None:
    for name, value in (("start", 1), ("limit", 9), ("delta", 2)):
        shape = draw.choice((), (1,)) if name != "limit" else (1,)
        draw.input(name, *shape)
        draw.feeds[name] = np.full(shape, value, draw.dtype.numpy())


def _draw_scalars(draw: Draw) -> None:
    for name in _OPERANDS:
        draw.input(name)


RULES = (
    Rule(
        "range-of-tensors",
        before="y = Range (start, limit, delta)",
        after=_unwrapped,
        guard=_some_wrapped,
        dtypes=(ir.DataType.FLOAT, ir.DataType.INT64),
        draw=_draw,
        refusals=(Refusal(_draw_scalars),),
    ),
)


@dataclass(frozen=True)
class ScalarRangeOperands(Pass):
    """Give Range the scalars it takes where an exporter wrote tensors of one element.

    Runtimes let such operands pass as long as they do not know them before they run, and refuse the model
    once a pass has folded one to a constant.

    Before: ``y = Range(start, limit, delta)`` with limit of shape [1].
    After:  ``y = Range(start, Reshape(limit, []), delta)``.
    Needs:  the operands' shapes.
    Keeps:  the values.
    Skips:  operands of unknown rank or with more elements than one.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, RULES, self.name(), ctx)
