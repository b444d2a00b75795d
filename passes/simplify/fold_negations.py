"""FoldNegations: a negation goes into the operator beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.constants import constant_tensor
from graphopt.rewrite.dims import FLOATS
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, RightSide, Rule


def _is_scalar(match: Match) -> str | None:
    """Constants of one element: a negated copy of a larger one would cost memory."""
    tensor = constant_tensor(match.value("c"))
    return None if tensor is not None and tensor.size == 1 and tensor.dtype in FLOATS else ""


def _negated(text: str) -> RightSide:
    def replacement(match: Match) -> Replacement:
        tensor = constant_tensor(match.value("c"))
        assert tensor is not None, "the guard lets only constants through"
        negative = np.negative(np.asarray(tensor.numpy()))
        return Replacement(text, constants={"n": ir.tensor(negative, dtype=tensor.dtype)})

    return replacement


def _owns_weights(match: Match) -> str | None:
    """Whether everything that reads the weights is negated, so that negating them copies nothing for good."""
    weights, bias = match.value("w"), match.value("b") if "b" in match else None
    if any(v is not None and (constant_tensor(v) is None or v.dtype not in FLOATS) for v in (weights, bias)):
        return ""
    if weights.is_graph_output() or not all(_is_negated(use.node, match) for use in weights.uses()):
        return f"the weights {weights.name!r} are shared"
    return None


def _is_negated(node: ir.Node, match: Match) -> bool:
    readers = [use.node.op_type for use in node.outputs[0].uses()]
    return (
        node.op_type == match.nodes[0].op_type
        and readers == ["Neg"]
        and not node.outputs[0].is_graph_output()
    )


def _negate_weights(text: str) -> RightSide:
    def replacement(match: Match) -> Replacement:
        constants = {}
        for name, new in (("w", "v"), ("b", "c")):
            tensor = constant_tensor(match.value(name)) if name in match else None
            if tensor is not None:
                constants[new] = ir.tensor(np.negative(np.asarray(tensor.numpy())), dtype=tensor.dtype)
        return Replacement(text, constants=constants)

    return replacement


def _draw_product(draw: Draw) -> None:
    draw.attribute("attrs", {})
    if draw.ops[0] == "MatMul":
        draw.input("x", "N", 3)
        draw.constant("w", draw.array(3, 4))
        return
    draw.input("x", "N", 3, 6)
    draw.constant("w", draw.array(3, 3, 2))
    if draw.flag():
        draw.omit("b")
    else:
        draw.constant("b", draw.array(3))


def _draw_computed(draw: Draw) -> None:
    _draw_product(draw)
    array = draw.constants.pop("w")
    draw.input("w", *array.shape)


def _draw(draw: Draw) -> None:
    draw.input("x", "N", 3)
    z = draw.input("z", "N", 3)
    if "Div" in draw.ops:
        draw.feeds["z"] = (np.abs(z.astype(np.float64)) + 0.5).astype(z.dtype)


def _draw_constant(draw: Draw) -> None:
    draw.input("x", "N", 3)
    draw.constant("c", np.full(draw.choice((), (1,)), draw.choice(0.3, -2.5)).astype(draw.dtype.numpy()))


def _draw_vector(draw: Draw) -> None:
    draw.input("x", "N", 3)
    draw.constant("c", np.full(3, 0.5).astype(draw.dtype.numpy()))


def _binary(name: str, before: str, after: str, shared: tuple[str, ...] = ("n",)) -> Rule:
    return Rule(name, before=before, after=after, shared=shared, types={"x": "float"}, draw=_draw)


def _constant(name: str, before: str, after: str, shared: tuple[str, ...] = ()) -> Rule:
    return Rule(
        name,
        before=before,
        after=_negated(after),
        guard=_is_scalar,
        shared=shared,
        draw=_draw_constant,
        refusals=(Refusal(_draw_vector),),
    )


RULES = (
    _binary("add-negative", "n = Neg (z); y = Add (x, n)", "y = Sub (x, z)"),
    _binary("subtract-negative", "n = Neg (z); y = Sub (x, n)", "y = Add (x, z)"),
    _binary("multiply-negatives", "n = Neg (z); m = Neg (x); y = Mul (m, n)", "y = Mul (x, z)", ("n", "m")),
    _binary("divide-negatives", "n = Neg (z); m = Neg (x); y = Div (m, n)", "y = Div (x, z)", ("n", "m")),
    _binary("absolute-negative", "n = Neg (x); y = Abs (n)", "y = Abs (x)"),
    _binary("square-negative", "n = Neg (x); y = Mul (n, n)", "y = Mul (x, x)"),
    _constant("scale-negative", "m = Neg (x); y = Mul (m, c)", "y = Mul (x, n)", ("m",)),
    _constant("divide-negative", "m = Neg (x); y = Div (m, c)", "y = Div (x, n)", ("m",)),
    _constant("negate-scaled", "t = Mul (x, c); y = Neg (t)", "y = Mul (x, n)"),
    _constant("negate-divided", "t = Div (x, c); y = Neg (t)", "y = Div (x, n)"),
    *(
        Rule(
            f"negate-{op_type.lower()}",
            before=f"t = {op_type} <**attrs> (x, w{bias}); y = Neg (t)",
            after=_negate_weights(f"y = {op_type} <**attrs> (x, v{bias.replace('b', 'c')})"),
            guard=_owns_weights,
            exact=False,
            dtypes=(ir.DataType.FLOAT,),
            draw=_draw_product,
            refusals=(Refusal(_draw_computed),),
        )
        for op_type, bias in (("Conv", ", b?"), ("ConvTranspose", ", b?"), ("MatMul", ""))
    ),
    Rule("multiply-by-minus-one", before="y = Mul (x, -1.0)", after="y = Neg (x)", draw=_draw),
    Rule("divide-by-minus-one", before="y = Div (x, -1.0)", after="y = Neg (x)", draw=_draw),
)


@dataclass(frozen=True)
class FoldNegations(Pass):
    """Take a Neg into the sum, product or quotient it belongs to.

    Before: ``n = Neg(z); y = Add(x, n)``.
    After:  ``y = Sub(x, z)``.
    Needs:  a constant of one element where it takes the sign, or weights of Conv, ConvTranspose and MatMul.
    Keeps:  a Neg that something else reads.
    Skips:  Neg of a sum or difference: it would change the sign of a zero. Weights that are shared; a bias is
            small and copied.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
