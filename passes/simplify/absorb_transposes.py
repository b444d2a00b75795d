"""AbsorbTransposes: a transposition that a product or a reduction does by itself."""

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
from graphopt.rewrite.rule import Refusal, RightSide, Rule

_REDUCTIONS = ("ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum")


def _exchanges_last(match: Match, name: str) -> bool:
    """Whether a permutation only exchanges the last two axes."""
    perm = match.attr_ints(name)
    return perm is not None and perm == (*range(len(perm) - 2), len(perm) - 1, len(perm) - 2)


def _all_exchange(match: Match) -> str | None:
    return None if all(_exchanges_last(match, name) for name in ("p", "q", "r")) else ""


def _is_matrix(match: Match) -> str | None:
    perm = match.attr_ints("p")
    return None if perm in (None, (1, 0)) else ""


def _gemm(match: Match) -> Replacement:
    """The flag of the operand that was transposed, turned round."""
    is_left = match.root.inputs[0] is match.value("t")
    operands = "x, w" if is_left else "w, x"
    text = f"y = Gemm <alpha = @alpha, beta = @beta, transA = @a, transB = @b> ({operands}, c?)"
    a, b = match.attr_int("ta") or 0, match.attr_int("tb") or 0
    return Replacement(text, attributes={"a": int(a != is_left), "b": int(b == is_left)})


def _axes_before(match: Match) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """The reduced axes before the transposition, and where the others come from."""
    perm, axes = match.attr_ints("p"), match.ints("axes")
    if perm is None or not axes:
        return None
    reduced = {axis % len(perm) for axis in axes}
    return tuple(sorted(perm[axis] for axis in reduced)), tuple(
        p for i, p in enumerate(perm) if i not in reduced
    )


def _keeps_order(match: Match) -> str | None:
    found = _axes_before(match)
    if found is None:
        return ""
    return None if tuple(sorted(found[1])) == found[1] else "the axes that are left change their order"


def _reduce(op_type: str) -> RightSide:
    def replacement(match: Match) -> Replacement:
        found = _axes_before(match)
        assert found is not None, "the guard lets only known axes through"
        text = f"y = {op_type} <keepdims = 0, noop_with_empty_axes = @n> (x, a)"
        return Replacement(text, constants={"a": np.asarray(found[0], np.int64)})

    return replacement


def _draw_gemm(draw: Draw) -> None:
    draw.attribute("p", draw.choice((1, 0), None))
    flags = (("ta", draw.choice(0, 1)), ("tb", draw.choice(0, 1)))
    for name, number in (*flags, ("alpha", 0.5), ("beta", 2.0)):
        draw.attribute(name, number)
    if draw.flag():
        draw.omit("c")
    else:
        draw.input("c", 4)


def _draw_left(draw: Draw) -> None:
    _draw_gemm(draw)
    draw.input("x", *((3, "N"), ("N", 3))[draw.attributes["ta"] == 1])
    draw.input("w", *((3, 4), (4, 3))[draw.attributes["tb"] == 1])


def _draw_right(draw: Draw) -> None:
    _draw_gemm(draw)
    draw.input("w", *(("N", 3), (3, "N"))[draw.attributes["ta"] == 1])
    draw.input("x", *((4, 3), (3, 4))[draw.attributes["tb"] == 1])


def _draw_product(draw: Draw) -> None:
    draw.input("x", "B", 3, "N")
    draw.input("z", "B", 4, 3)
    for name in ("p", "q", "r"):
        draw.attribute(name, (0, 2, 1))


def _draw_other_perm(draw: Draw) -> None:
    _draw_product(draw)
    draw.input("z", 4, 3, "B")
    draw.attribute("q", (2, 1, 0))


def _draw_reduced(draw: Draw) -> None:
    draw.input("x", "N", 3, 4, 5)
    draw.attribute("p", (0, 2, 3, 1))
    draw.constant("axes", draw.choice([1, 2], [-2, 1], [3]))
    draw.attribute("n", draw.choice(0, 1))


def _draw_reordered(draw: Draw) -> None:
    _draw_reduced(draw)
    draw.constant("axes", [1])


RULES = (
    Rule(
        "left-of-gemm",
        before="""
            t = Transpose <perm = @p> (x)
            y = Gemm <alpha = @alpha, beta = @beta, transA = @ta, transB = @tb> (t, w, c?)
        """,
        after=_gemm,
        guard=_is_matrix,
        shared=("t",),
        exact=False,
        draw=_draw_left,
    ),
    Rule(
        "right-of-gemm",
        before="""
            t = Transpose <perm = @p> (x)
            y = Gemm <alpha = @alpha, beta = @beta, transA = @ta, transB = @tb> (w, t, c?)
        """,
        after=_gemm,
        guard=_is_matrix,
        shared=("t",),
        exact=False,
        draw=_draw_right,
    ),
    Rule(
        "product-of-transposed",
        before="""
            a = Transpose <perm = @p> (x)
            b = Transpose <perm = @q> (z)
            t = MatMul (a, b)
            y = Transpose <perm = @r> (t)
        """,
        after="y = MatMul (z, x)",
        guard=_all_exchange,
        shared=("a", "b"),
        exact=False,
        draw=_draw_product,
        refusals=(Refusal(_draw_other_perm),),
    ),
    *(
        Rule(
            f"{op_type[6:].lower()}-of-transposed",
            before=f"""
                t = Transpose <perm = @p> (x)
                y = {op_type} <keepdims = 0, noop_with_empty_axes = @n> (t, axes)
            """,
            after=_reduce(op_type),
            guard=_keeps_order,
            shared=("t",),
            min_opset=18,
            exact=False,
            draw=_draw_reduced,
            refusals=(Refusal(_draw_reordered, "change their order"),),
        )
        for op_type in _REDUCTIONS
    ),
)


@dataclass(frozen=True)
class AbsorbTransposes(Pass):
    """Let Gemm transpose by its flags, products exchange their operands, and reductions name other axes.

    Before: ``t = Transpose(x); y = Gemm(t, w)``.
    After:  ``y = Gemm<transA=1>(x, w)``.
    Needs:  constant axes for reductions.
    Keeps:  a Transpose that something else reads.
    Skips:  reductions whose remaining axes change their order.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
