"""SplitBatchOfHeads: batch and heads stay two dims where they are merged for a while."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.passes.attention import _scores
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.dims import same_dim
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Dim, Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule

_HEADS = 3
"""Heads in the cases drawn."""

_ATTRIBUTES = "scale = @scale, softcap = @softcap, is_causal = @causal, softmax_precision = @precision"
_TURN = "perm = [0, 2, 1]"


def _merges(match: Match, before: str, after: str) -> str | None:
    """Why the Reshape from ``before`` to ``after`` does more than merge batch and heads, or None."""
    four, three = match.shape(before), match.shape(after)
    if four is None or three is None or len(four) != 4 or len(three) != 3:
        return "a Reshape does not merge four dims to three"
    kept = same_dim(four[2], three[1]) and same_dim(four[3], three[2])
    return None if kept else "a Reshape is not known to merge batch and heads only"


def _splits(match: Match, rows: tuple[Dim, Dim], like: str) -> str | None:
    """Why the last Reshape does not bring back batch and heads as ``like`` has them, or None."""
    result, first = match.shape("y"), match.shape(like)
    if result is None or first is None or len(result) != 4:
        return "the result does not have four dims"
    wanted = (first[0], first[1], *rows)
    same = all(same_dim(have, want) for have, want in zip(result, wanted, strict=True))
    return None if same else "the last Reshape is not known to bring back batch and heads"


def _same_batch(match: Match, *names: str) -> str | None:
    """Why these do not have batch and heads in common, or None."""
    shapes = [match.shape(name) or () for name in names]
    same = all(same_dim(shape[axis], shapes[0][axis]) for shape in shapes[1:] for axis in (0, 1))
    return None if same else "the operands are not known to have batch and heads in common"


def _refuses_product(match: Match) -> str | None:
    reason = _merges(match, "a", "a3") or _merges(match, "b", "br") or _same_batch(match, "a", "b")
    if reason is not None:
        return reason
    if match.attr("axis") is not None and match.attr_int("axis") not in (-1, 2):
        return "the softmax is not over the last dim"
    product = match.shape("p")
    if product is None or len(product) != 3:
        return "the shape of the product is unknown"
    return _splits(match, (product[1], product[2]), "a")


def _product(match: Match) -> Replacement:
    operators = [node.op_type for node in match.nodes]
    lines = ["w = Softmax <axis = -1> (a)"] if "Softmax" in operators else []
    lines += ["bt = Transpose <perm = [0, 1, 3, 2]> (b)"] if "Transpose" in operators else []
    left, right = ("w" if "Softmax" in operators else "a"), ("bt" if "Transpose" in operators else "b")
    return Replacement("\n".join([*lines, f"y = MatMul ({left}, {right})"]))


def _refuses_attention(match: Match) -> str | None:
    merged = (("q", "q3"), ("k", "kr"), ("v", "v3"))
    reason = next((why for pair in merged if (why := _merges(match, *pair)) is not None), None)
    reason = reason or _same_batch(match, "q", "k", "v")
    queries, values = match.shape("q3"), match.shape("v3")
    if reason is not None or queries is None or values is None:
        return reason or "the rank of an operand is unknown"
    return _splits(match, (queries[1], values[2]), "q")


def _attention(match: Match) -> Replacement:
    turned = any(node.op_type == "Transpose" for node in match.nodes)
    lines = ["kt = Transpose <perm = [0, 1, 3, 2]> (k)"] if turned else []
    lines.append(f"y = Attention <{_ATTRIBUTES}> (q, {'kt' if turned else 'k'}, v)")
    return Replacement("\n".join(lines))


def _refuses_turn(match: Match) -> str | None:
    turned = match.shape("t")
    if turned is None or len(turned) != 3:
        return "a Reshape does not merge four dims to three"
    return _merges(match, "x", "r") or _splits(match, (turned[1], turned[2]), "x")


def _draw_product(draw: Draw) -> None:
    draw.input("a", 2, _HEADS, 4, 5)
    draw.constant("as", [-1, 4, 5])
    last = (7, 5) if "Transpose" in draw.ops else (5, 7)
    draw.input("b", 2, _HEADS, *last)
    draw.constant("bs", [2 * _HEADS, *last])
    draw.constant("ys", [2, _HEADS, 4, 7])
    draw.attribute("axis", draw.choice(-1, 2))


def _draw_attention(draw: Draw) -> None:
    last = {"q": (4, 5), "k": (5, 7) if "Transpose" in draw.ops else (7, 5), "v": (7, 6)}
    for name, sizes in last.items():
        draw.input(name, 2, _HEADS, *sizes)
        draw.constant(f"{name}s", [-1, *sizes])
    draw.constant("ys", [-1, _HEADS, 4, 6])
    for name, value in (("scale", 0.5), ("softcap", 0.0), ("causal", 0), ("precision", None)):
        draw.attribute(name, value)


def _draw_turn(draw: Draw) -> None:
    draw.input("x", 2, _HEADS, 4, 5)
    draw.constant("xs", [-1, 4, 5])
    draw.constant("ys", [-1, _HEADS, 5, 4])


def _draw_other_heads(draw: Draw) -> None:
    """The heads become the batch."""
    (_draw_turn if draw.ops[1] == "Transpose" and len(draw.ops) == 3 else _draw_product)(draw)
    draw.constant("ys", [_HEADS, 2, *[int(size) for size in draw.constants["ys"][2:]]])


RULES = (
    Rule(
        "product",
        before=f"""
            a3 = Reshape (a, as); a4 = Softmax <axis = @axis> (a3) | a3
            br = Reshape (b, bs); b3 = Transpose <{_TURN}> (br) | br
            p = MatMul (a4, b3); y = Reshape (p, ys)
        """,
        after=_product,
        guard=_refuses_product,
        shared=("a3", "br"),
        exact=False,
        draw=_draw_product,
        refusals=(Refusal(_draw_other_heads, "bring back"),),
    ),
    Rule(
        "attention",
        before=f"""
            q3 = Reshape (q, qs); v3 = Reshape (v, vs)
            kr = Reshape (k, ks); k3 = Transpose <{_TURN}> (kr) | kr
            h = Attention <q_num_heads = 1, kv_num_heads = 1, {_ATTRIBUTES}> (q3, k3, v3)
            y = Reshape (h, ys)
        """,
        after=_attention,
        guard=_refuses_attention,
        shared=("q3", "kr", "v3"),
        min_opset=23,
        exact=False,
        dtypes=_scores.TYPES,
        draw=_draw_attention,
    ),
    Rule(
        "transposition",
        before=f"r = Reshape (x, xs); t = Transpose <{_TURN}> (r); y = Reshape (t, ys)",
        after="y = Transpose <perm = [0, 1, 3, 2]> (x)",
        guard=_refuses_turn,
        shared=("r", "t"),
        draw=_draw_turn,
        refusals=(Refusal(_draw_other_heads, "bring back"),),
    ),
)


@dataclass(frozen=True)
class SplitBatchOfHeads(Pass):
    """Leave batch and heads apart around products, softmax and attention that take any number of dims.

    Before: ``p = MatMul(Reshape(a, [B*H, S, D]), Reshape(b, [B*H, D, T])); y = Reshape(p, [B, H, S, T])``.
    After:  ``y = MatMul(a, b)``; so for attention, and for a transposition of the last two dims.
    Needs:  shapes that tell batch and heads apart.
    Keeps:  merged dims that something else reads.
    Skips:  Reshapes that do more, or of which that is not known.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
