"""FoldPartialRotation: a rotary embedding leaves the last features alone by itself."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.passes.attention import _rotary, _scores
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule

_TURNED, _WIDTH = 4, 6
"""Features that are rotated, and all, in the cases drawn."""

_SLICES = "lo = Slice (x, ls, le, la, lt?); hi = Slice (x, hs, he, ha, ht?)"
_SPLIT = "lo, hi = Split <axis = @split> (x, sizes)"
_TURN = (
    "r = RotaryEmbedding <interleaved = @pairs, rotary_embedding_dim = @turned> (lo, c, s, p?); "
    "y = Concat <axis = @cat> (r, hi)"
)


def _turned(match: Match) -> int | str:
    """How many of the features are rotated, or why that is not told."""
    x, low = match.shape("x"), match.shape("lo")
    if x is None or low is None or len(x) != 4 or not isinstance(low[-1], int) or not isinstance(x[-1], int):
        return "the number of features is unknown"
    count, size = low[-1], x[-1]
    if match.attr_int("turned") not in (0, count):
        return "a part of the part is rotated"
    if match.attr_int("cat") not in (-1, 3):
        return "the parts are not put together along the features"
    if "sizes" in match:
        split = match.attr_int("split") in (-1, 3) and match.ints("sizes") == (count, size - count)
    else:
        low_part = _rotary.takes(match, "x", "ls", "le", "la", "lt")
        split = low_part == (0, count, 1)
        split = split and _rotary.takes(match, "x", "hs", "he", "ha", "ht") == (count, size, 1)
    return count if split else "the parts are not the first and the other features"


def _refuses(match: Match) -> str | None:
    turned = _turned(match)
    return turned if isinstance(turned, str) else None


def _rotation(match: Match) -> Replacement:
    turned = _turned(match)
    assert isinstance(turned, int), "the guard let only known parts through"
    text = "y = RotaryEmbedding <interleaved = @pairs, rotary_embedding_dim = @count> (x, c, s, p?)"
    return Replacement(text, attributes={"count": turned})


def _draw(draw: Draw) -> None:
    draw.input("x", "B", 3, "S", _WIDTH)
    for name, (start, end) in {"l": (0, _TURNED), "h": (_TURNED, draw.choice(_WIDTH, 2**63 - 1))}.items():
        draw.constant(f"{name}s", [start])
        draw.constant(f"{name}e", [end])
        draw.constant(f"{name}a", [draw.choice(3, -1)])
        draw.omit(f"{name}t")
    for name in ("c", "s"):
        draw.input(name, "B", "S", _TURNED // 2)
    draw.omit("p")
    draw.constant("sizes", [_TURNED, _WIDTH - _TURNED])
    for name, value in (
        ("split", draw.choice(3, -1)),
        ("pairs", draw.choice(0, 1)),
        ("cat", -1),
        ("turned", 0),
    ):
        draw.attribute(name, value)


def _draw_overlapping(draw: Draw) -> None:
    """Some features are there twice."""
    _draw(draw)
    draw.constant("hs", [_TURNED - 1])
    draw.attribute("cat", -1 if "Slice" in draw.ops else 2)


def _rule(name: str, parts: str) -> Rule:
    return Rule(
        name,
        f"{parts}; {_TURN}",
        _rotation,
        guard=_refuses,
        shared=("lo",),
        min_opset=23,
        exact=False,
        dtypes=_scores.TYPES,
        draw=_draw,
        refusals=(Refusal(_draw_overlapping, "the parts"),),
    )


RULES = (_rule("sliced", _SLICES), _rule("split", _SPLIT))


@dataclass(frozen=True)
class FoldPartialRotation(Pass):
    """Let a rotary embedding pass on the features it does not rotate.

    Before: ``lo, hi = Split(x, [64, 16]); y = Concat(RotaryEmbedding(lo, cos, sin), hi)``.
    After:  ``y = RotaryEmbedding<rotary_embedding_dim=64>(x, cos, sin)``.
    Needs:  the number of features.
    Keeps:  the rotated part where something else reads it, before it is rotated.
    Skips:  parts in another order, or that overlap.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
