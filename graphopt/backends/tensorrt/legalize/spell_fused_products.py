"""SpellFusedProducts: products that ONNX Runtime's optimizer fused with what is around them."""

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
from graphopt.rewrite.replacement import Attribute, Constant, Replacement
from graphopt.rewrite.rule import Refusal, Rule

_PLAIN = frozenset({"Relu", "Sigmoid", "Tanh", "HardSwish"})
_BY_ALPHA = frozenset({"LeakyRelu"})
_BY_BOTH = frozenset({"HardSigmoid"})


def _activation(match: Match, value: str) -> tuple[str, dict[str, Attribute], dict[str, Constant]] | str:
    """What follows the product, or why that is not known."""
    name, parameters = match.attr("activation"), match.attr("parameters")
    numbers = [float(number) for number in parameters] if isinstance(parameters, (tuple, list)) else []
    if name in (None, ""):
        return f"y = {value}", {}, {}
    if name in _PLAIN:
        return f"y = {name} ({value})", {}, {}
    if name in _BY_ALPHA and len(numbers) == 1:
        return f"y = {name} <alpha = @first> ({value})", {"first": numbers[0]}, {}
    if name in _BY_BOTH and len(numbers) == 2:
        ends: dict[str, Attribute] = {"first": numbers[0], "second": numbers[1]}
        return f"y = {name} <alpha = @first, beta = @second> ({value})", ends, {}
    if name == "Clip" and len(numbers) == 2:
        low, high = (np.asarray(number, np.float32) for number in numbers)
        return f"y = Clip ({value}, low, high)", {}, {"low": low, "high": high}
    return f"its activation {name} has no spelling here"


def _refuses_conv(match: Match) -> str | None:
    found = _activation(match, "t")
    return found if isinstance(found, str) else None


def _conv(match: Match) -> Replacement:
    found = _activation(match, "summed" if "z" in match else "product")
    assert not isinstance(found, str), "the guard asks for it"
    last, attributes, constants = found
    residual = "summed = Add (product, z)" if "z" in match else ""
    return Replacement(f"product = Conv <**attrs> (x, w, b?)\n{residual}\n{last}", constants, attributes)


def _refuses_product(match: Match) -> str | None:
    if match.attr_int("batch_a") or match.attr_int("batch_b"):
        return "a batch is transposed"
    ranks = match.rank("x"), match.rank("w")
    if any(rank is None or rank < 2 for rank in ranks) or match.dtype("x") is None:
        return "a rank is not known, or a vector's"
    return None


def _product(match: Match) -> Replacement:
    lines, operands = [], []
    for name, flag in (("x", "trans_a"), ("w", "trans_b")):
        rank = match.rank(name)
        assert rank is not None, "the guard asks for it"
        if not match.attr_int(flag):
            operands.append(name)
            continue
        perm = [*range(rank - 2), rank - 1, rank - 2]
        lines.append(f"{name}_turned = Transpose <perm = {perm}> ({name})")
        operands.append(f"{name}_turned")
    alpha, dtype = match.attr("alpha"), match.dtype("x")
    assert dtype is not None, "the guard asks for it"
    if not isinstance(alpha, (int, float)) or alpha == 1.0:
        return Replacement("\n".join([*lines, f"y = MatMul ({', '.join(operands)})"]))
    # In float16 the product alone might overflow: what is scaled is an operand.
    lines += [f"scaled = Mul ({operands[0]}, alpha)", f"y = MatMul (scaled, {operands[1]})"]
    return Replacement("\n".join(lines), {"alpha": np.asarray(alpha, dtype.numpy())})


def _draw_conv(draw: Draw) -> None:
    draw.input("x", "N", 2, 5, 5)
    draw.constant("w", draw.array(3, 2, 3, 3))
    draw.constant("b", draw.array(3))
    draw.input("z", "N", 3, 3, 3)
    if draw.flag():
        draw.omit("z")
    kinds = (("Relu", None), ("LeakyRelu", (0.25,)), ("Clip", (-0.5, 0.5)), ("HardSigmoid", (0.25, 0.5)))
    name, parameters = draw.choice(*kinds)
    draw.attribute("activation", name)
    draw.attribute("parameters", parameters)
    draw.attribute("attrs", {"kernel_shape": (3, 3)})
    draw.result("y", "N", 3, 3, 3)


def _draw_unknown(draw: Draw) -> None:
    _draw_conv(draw)
    draw.attribute("activation", "Erf")


def _draw_product(draw: Draw) -> None:
    flags = draw.choice(0, 1), draw.choice(0, 1)
    draw.input("x", "N", *((4, 3) if flags[0] else (3, 4)))
    draw.input("w", *((5, 4) if flags[1] else (4, 5)))
    draw.attribute("trans_a", flags[0])
    draw.attribute("trans_b", flags[1])
    draw.attribute("batch_a", 0)
    draw.attribute("batch_b", None)
    draw.attribute("alpha", draw.choice(None, 1.0, 0.125))
    draw.result("y", "N", 3, 5)


def _draw_batch(draw: Draw) -> None:
    _draw_product(draw)
    draw.attribute("batch_a", 1)


RULES = (
    Rule(
        "fused-conv",
        before="""
            y = com.microsoft.FusedConv
                <activation = @activation, activation_params = @parameters, **attrs> (x, w, b?, z?)
        """,
        after=_conv,
        guard=_refuses_conv,
        min_opset=14,
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw_conv,
        refusals=(Refusal(_draw_unknown, "no spelling"),),
    ),
    Rule(
        "fused-mat-mul",
        before="""
            y = com.microsoft.FusedMatMul
                <alpha = @alpha, transA = @trans_a, transB = @trans_b,
                 transBatchA = @batch_a, transBatchB = @batch_b> (x, w)
        """,
        after=_product,
        guard=_refuses_product,
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw_product,
        refusals=(Refusal(_draw_batch, "batch"),),
    ),
)


@dataclass(frozen=True)
class SpellFusedProducts(Pass):
    """Write products of ``com.microsoft`` as the standard has them; TensorRT fuses them its own way.

    Before: ``com.microsoft.FusedConv<activation="Relu">(x, w, b, z)``,
            ``com.microsoft.FusedMatMul<alpha=0.125, transB=1>(q, k)``.
    After:  ``Relu(Add(Conv(x, w, b), z))``; ``MatMul(Mul(q, 0.125), Transpose(k))``.
    Needs:  ranks where an operand is transposed.
    Keeps:  the attributes of the convolution.
    Skips:  products of transposed batches; activations that are none of the usual ones.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
