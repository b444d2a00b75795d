"""SplitPackedHeads: queries, keys and values of one product are taken apart before their heads are split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.dims import same_dim
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule

_HEADS, _SIZE = 2, 4
"""Heads and features of a head in the cases drawn."""

_PACKED = "r = Reshape (x, target); t = Transpose <perm = [2, 0, 3, 1, 4]> (r)"
_UNBOUND = "; ".join(
    f"{result} = Squeeze ({part}, {part}x)" for part, result in zip("abc", "qkv", strict=True)
)


def _parts(match: Match) -> tuple[int, int, int] | str:
    """Parts, heads and features of a head of the last dim, or why it is not split so."""
    before, after, target = match.shape("x"), match.shape("r"), match.ints("target")
    if before is None or after is None or len(before) != 3 or len(after) != 5:
        return "the Reshape does not split one of three dims in three"
    parts, heads, size = after[2:]
    if not isinstance(parts, int) or not isinstance(heads, int) or not isinstance(size, int):
        return "the number of heads or their size is not known"
    kept = [
        same_dim(before[axis], after[axis]) or (target is not None and target[axis] == 0) for axis in (0, 1)
    ]
    inferred = target is not None and any(kept) and -1 in target[:2]
    if before[2] != parts * heads * size or not (all(kept) or inferred):
        return "the Reshape may move more than heads"
    return parts, heads, size


def _refuses(match: Match) -> str | None:
    parts = _parts(match)
    if isinstance(parts, str):
        return parts
    if "start" in match:
        return None if _sliced(match, parts[0]) is not None else "not one part is cut out"
    if "index" not in match:
        unbound = all(match.ints(f"{part}x") == (0,) for part in "abc")
        whole = "sizes" not in match or match.ints("sizes") == (1, 1, 1)
        return None if unbound and whole and parts[0] == 3 else "the parts keep a dim of their own"
    index = match.constant("index")
    if index is None or index.ndim != 0 or not -parts[0] <= int(index) < parts[0]:
        return "not one part is picked"
    return None


def _sliced(match: Match, parts: int) -> int | None:
    """Which part a Slice and a Squeeze leave, or None when that is not told."""
    bounds = [match.ints(name) for name in ("start", "end", "axis", "dropped")]
    if bounds[2:] != [(0,), (0,)] or (match.ints("by") if "by" in match else (1,)) != (1,):
        return None
    if any(bound is None or len(bound) != 1 for bound in bounds):
        return None
    first, last = (bound[0] for bound in bounds[:2] if bound is not None)
    first, last, _ = slice(first, last).indices(parts)
    return first if last == first + 1 else None


def _picked(match: Match) -> Replacement:
    """One part of a Split of the last dim; the Splits for the others are the same and merge."""
    found, index = _parts(match), match.constant("index")
    assert not isinstance(found, str), "the guard let only known parts through"
    picked = _sliced(match, found[0]) if index is None else int(index)
    assert picked is not None, "the guard let only one part through"
    return _split(match, [("y", picked % found[0])])


def _all(match: Match) -> Replacement:
    return _split(match, [("q", 0), ("k", 1), ("v", 2)])


def _split(match: Match, wanted: Sequence[tuple[str, int]]) -> Replacement:
    found = _parts(match)
    assert not isinstance(found, str), "the guard let only known parts through"
    parts, heads, size = found
    names = [f"part{index}" for index in range(parts)]
    lines = [f"{', '.join(names)} = Split <axis = -1> (x, sizes)"]
    for result, index in wanted:
        lines.append(f"heads{index} = Reshape (part{index}, target)")
        lines.append(f"{result} = Transpose <perm = [0, 2, 1, 3]> (heads{index})")
    sizes = np.full(parts, heads * size, np.int64)
    target = np.asarray([0, 0, heads, size], np.int64)
    return Replacement("\n".join(lines), {"sizes": sizes, "target": target})


def _draw(draw: Draw) -> None:
    draw.input("x", "B", "S", 3 * _HEADS * _SIZE)
    draw.constant("target", [*draw.choice((0, 0), (0, -1), (-1, 0)), 3, _HEADS, _SIZE])
    draw.constant("index", draw.choice(0, 1, 2, -1))
    for part in "abc":
        draw.constant(f"{part}x", [0])
    draw.constant("sizes", [1, 1, 1])
    draw.attribute("count", None)
    first = draw.choice(0, 1, 2)
    for name, number in (("start", first), ("end", first + 1), ("axis", 0), ("by", 1), ("dropped", 0)):
        draw.constant(name, [number])


def _draw_moving(draw: Draw) -> None:
    """Heads taken from positions."""
    _draw(draw)
    draw.input("x", "B", 4, 12)
    draw.constant("target", [0, -1, 3, 2, 4])


_PICKS = {
    "picked-part": "y = Gather <axis = 0> (t, index)",
    "sliced-part": "s = Slice (t, start, end, axis, by?); y = Squeeze (s, dropped)",
}
"""Ways to take one part."""

RULES = (
    *(
        Rule(
            name,
            before=f"{_PACKED}; {picked}",
            after=_picked,
            guard=_refuses,
            shared=("r", "t"),
            draw=_draw,
            refusals=(Refusal(_draw_moving, "more than heads"),),
        )
        for name, picked in _PICKS.items()
    ),
    Rule(
        "unbound-parts",
        before=f"{_PACKED}; a, b, c = Split <axis = 0, num_outputs = @count> (t, sizes?); {_UNBOUND}",
        after=_all,
        guard=_refuses,
        shared=("r", "t"),
        draw=_draw,
        refusals=(Refusal(_draw_moving, "more than heads"),),
    ),
)


@dataclass(frozen=True)
class SplitPackedHeads(Pass):
    """Split the features of packed queries, keys and values first, and their heads afterwards.

    Before: ``t = Transpose<perm=[2,0,3,1,4]>(Reshape(x, [0,0,3,12,64])); q = Gather(t, 0)``
            or ``Squeeze(Slice(t, [0], [1], [0]), [0])``, so for k and v.
    After:  ``a, b, c = Split(x); q = Transpose<perm=[0,2,1,3]>(Reshape(a, [0,0,12,64]))``, so for k and v.
    Needs:  the number and size of heads.
    Keeps:  every bit of the parts.
    Skips:  packed heads: the three parts of a head beside each other.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
