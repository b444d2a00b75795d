"""FoldGroupedHeads: attention itself gives several heads of queries one head of keys and values."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.passes.attention import _scores
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.rule import Refusal, Rule

_HEADS = 2
"""Heads of keys and values in the cases drawn."""


def _group(match: Match, name: str) -> int | str:
    """How many copies of each head of operand ``name`` there are side by side, or why that is not known."""
    few, copies, many = (match.shape(f"{name}{step}") for step in ("0", "e", ""))
    if few is None or copies is None or many is None or (len(few), len(copies), len(many)) != (4, 5, 4):
        return f"the heads of {name} are not copied in a dim of their own"
    if match.ints(f"{name}a") not in ((2,), (-3,)):
        return f"the copies of {name} are not beside each other"
    if copies[1] != few[1] or not all(isinstance(dim, int) for dim in (few[1], few[3], copies[2])):
        return f"the heads of {name} are not known"
    if not all(_scores.may_be_one_batch(few[at], copies[to]) for at, to in ((0, 0), (2, 3), (3, 4))):
        return f"more than the heads of {name} are copied"
    count = copies[2]
    merged = isinstance(few[1], int) and isinstance(count, int) and many[1] == few[1] * count
    if not merged or many[3] != few[3] or not isinstance(count, int):
        return f"the copies of {name} are not merged into heads"
    return count


def _refuses(match: Match) -> str | None:
    groups = [_group(match, name) for name in ("k", "v")]
    reason = next((group for group in groups if isinstance(group, str)), None)
    if reason is not None:
        return reason
    if match.rank("q") != 4:
        return "the queries have no dim of heads"
    if any(output.uses() or output.is_graph_output() for output in match.root.outputs[1:]):
        return "all heads are returned"
    return (
        None
        if "past_key" not in match and groups[0] == groups[1]
        else "keys and values differ in their heads"
    )


def _draw(draw: Draw, axis: int = 2) -> None:
    groups = draw.choice(1, 2, 3)
    draw.input("q", "B", _HEADS * groups, "S", 4)
    for name in ("k", "v"):
        draw.input(f"{name}0", "B", _HEADS, "T", 4)
        draw.constant(f"{name}a", [axis])
        sizes = [1, 1, 1, 1, 1]
        sizes[axis] = groups
        draw.constant(f"{name}n", sizes)
        draw.constant(f"{name}z", [0, _HEADS * groups, -1, 4])
    draw.input("mask", "S", "T")
    draw.omit("past_key")
    draw.omit("past_value")
    draw.attribute("attrs", {"scale": 0.5})


def _draw_alternating(draw: Draw) -> None:
    """The heads one after the other, again and again."""
    _draw(draw, axis=1)


_COPIES = "; ".join(
    f"{name}u = Unsqueeze ({name}0, {name}a); {name}e = Expand ({name}u, {name}n) | Tile ({name}u, {name}n); "
    f"{name} = Reshape ({name}e, {name}z)"
    for name in ("k", "v")
)

RULES = (
    Rule(
        "copied-heads",
        before=f"{_COPIES}; y = Attention <**attrs> (q, k, v, mask?, past_key?, past_value?)",
        after="y = Attention <**attrs> (q, k0, v0, mask?)",
        guard=_refuses,
        shared=("ku", "ke", "k", "vu", "ve", "v"),
        min_opset=23,
        exact=False,
        dtypes=_scores.TYPES,
        draw=_draw,
        refusals=(Refusal(_draw_alternating, "beside each other"),),
    ),
)


@dataclass(frozen=True)
class FoldGroupedHeads(Pass):
    """Hand keys and values to attention once per group of heads instead of once per head.

    Before: ``k = Reshape(Expand(Unsqueeze(k0, [2]), [B, 8, 4, T, D]), [B, 32, T, D])``, so for v;
            ``y = Attention(q, k, v)``.
    After:  ``y = Attention(q, k0, v0)``.
    Needs:  the number of heads and copies.
    Keeps:  copies that something else reads.
    Skips:  copies in another order than side by side; attention that returns or extends its keys.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, RULES, self.name(), ctx)
