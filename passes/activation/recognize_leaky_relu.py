"""RecognizeLeakyRelu: x above zero and a multiple of it below as LeakyRelu or PRelu."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.constants import constant_tensor
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, RightSide, Rule

_SINGLES = (ir.DataType.FLOAT16, ir.DataType.FLOAT)
_LARGEST = 1 << 16


def _slope(match: Match) -> np.ndarray | str:
    """The slope below zero, or why it is none."""
    tensor = constant_tensor(match.value("alpha"))
    if tensor is None or tensor.size > _LARGEST:
        return "the slope is no constant"
    if match.dtype("x") not in _SINGLES:
        return "LeakyRelu is for float16 and float32"
    array = np.asarray(tensor.numpy())
    shape = match.shape("x")
    if array.ndim and (shape is None or array.ndim > len(shape)):
        return "the slope may enlarge its operand"
    for have, want in zip(array.shape[::-1], (shape or ())[::-1], strict=False):
        if have not in (1, want):
            return "the slope may enlarge its operand"
    return array


def _guard(match: Match) -> str | None:
    found = _slope(match)
    return found if isinstance(found, str) else None


def _gentle(match: Match) -> str | None:
    """Guards the larger of x and its multiple: that is x above zero only where the slope is at most 1."""
    found = _slope(match)
    if isinstance(found, str):
        return found
    return None if np.all(found <= 1) else "a slope beyond 1"


def _after(sign: int) -> RightSide:
    def after(match: Match) -> Replacement:
        found = _slope(match)
        assert not isinstance(found, str), "the guard has seen to it"
        if found.size == 1:
            slope = sign * float(found.astype(np.float64).reshape(()))
            return Replacement("y = LeakyRelu <alpha = @slope> (x)", attributes={"slope": slope})
        if sign > 0:
            return Replacement("y = PRelu (x, alpha)")
        return Replacement("y = PRelu (x, slope)", constants={"slope": -found})

    return after


def _draw(draw: Draw) -> None:
    draw.input("x", "N", 4, 3)
    draw.constant("alpha", draw.array(*draw.choice((), (1,), (3,), (4, 1))))


def _draw_gentle(draw: Draw) -> None:
    _draw(draw)
    draw.constants["alpha"] = (-np.abs(draw.constants["alpha"])).astype(draw.dtype.numpy())


def _draw_steep(draw: Draw) -> None:
    _draw(draw)
    draw.constant("alpha", 1.5)


def _draw_large(draw: Draw) -> None:
    _draw(draw)
    draw.constant("alpha", draw.array(2, 1, 4, 1))


def _rule(name: str, before: str, *, sign: int = 1, gentle: bool = False) -> Rule:
    return Rule(
        name,
        before=before,
        after=_after(sign),
        guard=_gentle if gentle else _guard,
        shared=("p",) if "p =" in before else (),
        exact=False,
        dtypes=_SINGLES,
        draw=_draw_gentle if gentle else _draw,
        refusals=(
            Refusal(_draw_large, "" if gentle else "may enlarge"),
            *((Refusal(_draw_steep),) if gentle else ()),
        ),
    )


_BELOW = "n = Neg (x); b = Relu (n); m = Mul (b, alpha); a = Relu (x)"

RULES = (
    _rule("maximum", "m = Mul (x, alpha); y = Max (x, m)", gentle=True),
    _rule(
        "choice-above",
        "m = Mul (x, alpha); p = Greater (x, 0.0) | GreaterOrEqual (x, 0.0); y = Where (p, x, m)",
    ),
    _rule(
        "choice-below", "m = Mul (x, alpha); p = Less (x, 0.0) | LessOrEqual (x, 0.0); y = Where (p, m, x)"
    ),
    _rule("difference-of-halves", f"{_BELOW}; y = Sub (a, m)"),
    _rule("sum-of-halves", f"{_BELOW}; y = Add (a, m)", sign=-1),
)


@dataclass(frozen=True)
class RecognizeLeakyRelu(Pass):
    """Recognise LeakyRelu and PRelu in their pieces.

    Before: ``Max(x, alpha·x)``, ``Where(x > 0, x, alpha·x)``, ``Relu(x) - alpha·Relu(-x)``.
    After:  ``LeakyRelu(x)`` for one slope, ``PRelu(x, alpha)`` for several.
    Needs:  a constant slope; float16 or float32.
    Keeps:  the element type; a slope that other nodes use, too, as the one constant it is.
    Skips:  slopes that may enlarge x; for the first spelling, slopes beyond 1.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
