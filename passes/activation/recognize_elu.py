"""RecognizeElu: x above zero and alpha·(exp(x) - 1) below as Elu, a multiple of it as Selu."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.constants import constant_array
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Guard, Refusal, Rule

_SINGLES = (ir.DataType.FLOAT16, ir.DataType.FLOAT)


def _number(match: Match, name: str) -> float | None:
    """The number ``name`` holds; 1 where the spelling has none."""
    if name not in match:
        return 1.0
    array = constant_array(match.value(name))
    if array is None or array.size != 1 or array.ndim > (match.rank("x") or 0):
        return None
    return float(array.astype(np.float64).reshape(()))


def _guard(name: str) -> Guard:
    def guard(match: Match) -> str | None:
        if match.dtype("x") not in _SINGLES:
            return "Elu is for float16 and float32"
        return None if _number(match, name) is not None else "the factor is no constant number"

    return guard


def _elu(match: Match) -> Replacement:
    return Replacement("y = Elu <alpha = @number> (x)", attributes={"number": _number(match, "alpha") or 0.0})


def _selu(match: Match) -> Replacement:
    return Replacement(
        "y = Selu <alpha = @alpha, gamma = @number> (x)",
        attributes={"number": _number(match, "gamma") or 0.0},
    )


def _draw(draw: Draw) -> None:
    draw.input("x", "N", 3)
    draw.constant("alpha", np.asarray(1.5).reshape(draw.choice((), (1,))).astype(draw.dtype.numpy()))


def _draw_vector(draw: Draw) -> None:
    draw.input("x", "N", 3)
    draw.constant("alpha", draw.array(3))


def _draw_multiple(draw: Draw) -> None:
    draw.input("x", "N", 3)
    draw.attribute("alpha", draw.choice(None, 1.67326319))
    draw.constant("gamma", 1.05070102)


_BELOW = "s = Sub (e, 1.0) | Add (e, -1.0)"

RULES = (
    *(
        Rule(
            name,
            before=f"e = Exp (x); {_BELOW}; {scaled}p = {test}",
            after=_elu,
            guard=_guard("alpha"),
            shared=("p",),
            exact=False,
            dtypes=_SINGLES,
            draw=_draw,
            refusals=refusals,
        )
        for kind, scaled, refusals in (
            ("", "m = Mul (s, alpha); ", (Refusal(_draw_vector, "no constant number"),)),
            ("unit-", "", ()),
        )
        for name, test in (
            (
                f"{kind}choice-above",
                f"Greater (x, 0.0) | GreaterOrEqual (x, 0.0); y = Where (p, x, {'m' if scaled else 's'})",
            ),
            (
                f"{kind}choice-below",
                f"Less (x, 0.0) | LessOrEqual (x, 0.0); y = Where (p, {'m' if scaled else 's'}, x)",
            ),
        )
    ),
    Rule(
        "multiple",
        before="u = Elu <alpha = @alpha> (x); y = Mul (u, gamma)",
        after=_selu,
        guard=_guard("gamma"),
        exact=False,
        dtypes=_SINGLES,
        draw=_draw_multiple,
    ),
)


@dataclass(frozen=True)
class RecognizeElu(Pass):
    """Recognise Elu and Selu in their pieces.

    Before: ``Where(x > 0, x, alpha·(exp(x) - 1))``; a multiple of Elu.
    After:  ``Elu(x)``; ``Selu(x)``.
    Needs:  constant factors; float16 or float32.
    Keeps:  the element type.
    Skips:  factors of several numbers; inner values with other readers.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
