"""SimplifyDivision: divisions that are multiplications, and multiplications that are divisions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.ir.dims import same_shape
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.constants import constant_tensor
from graphopt.rewrite.dims import FLOATS
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule


def _inverse(match: Match) -> Replacement | None:
    """Multiplication by 1/c where both c and 1/c are powers of two, so that nothing is rounded."""
    tensor = constant_tensor(match.value("c"))
    if tensor is None or tensor.size != 1 or tensor.dtype not in FLOATS:
        return None
    divisor = np.asarray(tensor.numpy()).astype(np.float64)
    if not np.isfinite(divisor).all() or abs(float(np.frexp(divisor.ravel()[0])[0])) != 0.5:
        return None
    inverse = (1.0 / divisor).astype(tensor.dtype.numpy())
    if not np.array_equal(inverse.astype(np.float64) * divisor, np.ones_like(divisor)):
        return None
    return Replacement("y = Mul (x, i)", constants={"i": ir.tensor(inverse, dtype=tensor.dtype)})


def _has_inverse(match: Match) -> str | None:
    return None if _inverse(match) is not None else ""


def _multiply(match: Match) -> Replacement:
    found = _inverse(match)
    assert found is not None, "the guard lets only powers of two through"
    return found


def _no_smaller(match: Match) -> str | None:
    """One division is cheaper than a reciprocal and a product only where the divisor is not broadcast."""
    if same_shape(match.value("z").shape, match.root.outputs[0].shape):
        return None
    return "the divisor is smaller than the result"


def _draw_power(draw: Draw) -> None:
    draw.input("x", "N", 3)
    shape = draw.choice((), (1,))
    draw.constant("c", np.full(shape, draw.choice(0.25, 2.0, -8.0, 1024.0)).astype(draw.dtype.numpy()))


def _draw_other(draw: Draw) -> None:
    draw.input("x", "N", 3)
    draw.constant("c", np.asarray(draw.choice(3.0, 0.0, np.inf)).astype(draw.dtype.numpy()))


def _draw_quotient(draw: Draw) -> None:
    """Divisors away from zero: a quotient by a tiny number has any size."""
    draw.input("x", "N", 3)
    z = draw.input("z", "N", 3)
    draw.feeds["z"] = (np.abs(z.astype(np.float64)) + 0.5).astype(z.dtype)


def _draw_broadcast(draw: Draw) -> None:
    draw.input("x", "N", 3)
    draw.input("z", "N", 1)


RULES = (
    Rule(
        "divide-by-power-of-two",
        before="y = Div (x, c)",
        after=_multiply,
        guard=_has_inverse,
        draw=_draw_power,
        refusals=(Refusal(_draw_other),),
    ),
    Rule(
        "one-over",
        before="y = Div (1.0, z)",
        after="y = Reciprocal (z)",
        types={"z": "float"},
        draw=_draw_quotient,
    ),
    Rule(
        "multiply-by-reciprocal",
        before="r = Reciprocal (z); y = Mul (x, r)",
        after="y = Div (x, z)",
        guard=_no_smaller,
        exact=False,
        draw=_draw_quotient,
        refusals=(Refusal(_draw_broadcast, "smaller"),),
    ),
)


@dataclass(frozen=True)
class SimplifyDivision(Pass):
    """Multiply where dividing gives the same bits; divide where a reciprocal only served one product.

    Before: ``y = Div(x, 8)``.
    After:  ``y = Mul(x, 0.125)``.
    Needs:  a constant divisor that is a power of two; known shapes for the product with a reciprocal.
    Keeps:  every bit in the first case, one rounding less in the second.
    Skips:  other divisors, and reciprocals that are broadcast: few divisions are cheaper than many.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
