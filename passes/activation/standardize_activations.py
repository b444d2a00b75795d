"""StandardizeActivations: activations that ONNX Runtime's optimizer wrote, as the standard has them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from graphopt.ops.quick_gelu import QUICK_GELU
from graphopt.ops.silu import SILU
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.rule import FunctionFactory, Rule


def _draw(draw: Draw) -> None:
    draw.input("x", "N", 4)
    draw.input("b", 4)
    draw.attribute("alpha", draw.choice(1.702, -0.5))
    draw.result("y", "N", 4)


def _rule(
    name: str,
    before: str,
    after: str,
    min_opset: int,
    functions: tuple[FunctionFactory, ...] = (),
    draw: Callable[[Draw], None] = _draw,
) -> Rule:
    return Rule(
        name,
        before=f"y = com.microsoft.{before}",
        after=after,
        functions=functions,
        min_opset=min_opset,
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        draw=draw,
    )


RULES = (
    _rule("gelu", "Gelu (x)", "y = Gelu (x)", 20),
    _rule("bias-gelu", "BiasGelu (x, b)", "s = Add (x, b); y = Gelu (s)", 20),
    _rule("fast-gelu", "FastGelu (x)", 'y = Gelu <approximate = "tanh"> (x)', 20),
    _rule("fast-bias-gelu", "FastGelu (x, b)", 's = Add (x, b); y = Gelu <approximate = "tanh"> (s)', 20),
    _rule(
        "silu",
        "QuickGelu <alpha = 1.0> (x)",
        "y = graphopt.Silu (x)",
        SILU.min_opset,
        (SILU.function,),
    ),
    _rule(
        "quick-gelu",
        "QuickGelu <alpha = @alpha> (x)",
        "y = graphopt.QuickGelu <alpha = @alpha> (x)",
        QUICK_GELU.min_opset,
        (QUICK_GELU.function,),
    ),
)


@dataclass(frozen=True)
class StandardizeActivations(Pass):
    """Write the activations of ONNX Runtime's own domain as standard and named operators.

    Before: ``com.microsoft.Gelu``, ``BiasGelu``, ``FastGelu``, ``QuickGelu``, as its optimizer leaves them.
    After:  ``Gelu``, a bias as an Add before it; ``graphopt.Silu``, ``graphopt.QuickGelu``.
    Needs:  opset 20 for Gelu.
    Keeps:  the element type.
    Skips:  a QuickGelu that does not say its alpha.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
