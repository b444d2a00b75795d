"""RecognizeRotaryEmbedding: features rotated in pairs, by an angle for each position."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.passes.attention import _rotary, _scores
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.dims import same_dim
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule

_LENGTH, _WIDTH = 5, 8
"""Positions and features of the cases drawn."""

_SLICES = "lo = Slice (x, ls, le, la, lt?); hi = Slice (x, hs, he, ha, ht?)"
_WIDE = f"x = Slice (wide, xs, xe, xa, xt?); {_SLICES.replace('(x,', '(wide,')}"
_SPLIT = "lo, hi = Split <axis = @split, num_outputs = @parts> (x, sizes?)"
_ROTATED = "a = Mul (x, c); b = Mul (r, s); y = Add (a, b)"
_PRODUCTS = (
    "p = Mul (lo, c); q = Mul (hi, s); o = Sub (p, q); u = Mul (hi, c); v = Mul (lo, s); w = Add (u, v)"
)
_STACKED = "d = Unsqueeze ({0}, da); e = Unsqueeze ({1}, ea); z = Concat <axis = @cat> (d, e)"


def _is_whole(match: Match) -> bool:
    """Whether the tables have a column for each feature rather than one for two."""
    return "r" in match


def _is_interleaved(match: Match) -> bool:
    return "z" in match


def _turned(match: Match) -> int | str:
    """How many features are rotated, or why these are not the parts of a rotation."""
    x = match.shape("x")
    if x is None or len(x) != 4:
        return "it does not have four dims"
    if "wide" in match and _rotary.takes(match, "wide", "xs", "xe", "xa", "xt") != (0, x[-1], 1):
        return "what is rotated are not the first features"
    width = x[-1] if _is_whole(match) else None
    if not (width is None or isinstance(width, int)):
        return "the number of features is unknown"
    source = "wide" if "wide" in match else "x"
    found: int | str = (_rotary.pairs if _is_interleaved(match) else _rotary.halves)(match, source, width)
    return found


def _refuses(match: Match) -> str | None:
    turned = _turned(match)
    if isinstance(turned, str):
        return turned
    interleaved = _is_interleaved(match)
    if match.attr_int("cat") not in (-1, 4 if interleaved else 3):
        return "the parts are not put together along the features"
    if interleaved and not _is_merged(match, turned):
        return "the pairs are not put together as they were"
    reason: str | None = _rotary.tables(match, turned if _is_whole(match) else turned // 2)
    if reason is not None or not _is_whole(match):
        return reason
    repeated = all(_rotary.repeats(match.value(name), interleaved) for name in ("c", "s"))
    return None if repeated else "the two features of a pair are not known to turn by one angle"


def _is_merged(match: Match, width: int) -> bool:
    """Whether stacked pairs become the last dim again and the others stay."""
    last = ((-1,), (4,))
    if match.ints("da") not in last or match.ints("ea") not in last:
        return False
    before, after, target = match.shape("x"), match.shape("r" if "r" in match else "y"), match.ints("shape")
    if before is None or after is None or len(after) != 4 or after[-1] != width:
        return False
    kept = [
        same_dim(before[axis], after[axis]) or (target is not None and target[axis] == 0) for axis in range(3)
    ]
    inferred = target is not None and kept.count(False) == 1 and target[kept.index(False)] == -1
    return all(kept) or inferred


def _rotation(match: Match) -> Replacement:
    """The operator, with a column for each pair and a row for each position of each element of the batch."""
    turned, x = _turned(match), match.shape("x")
    assert isinstance(turned, int), "the guard let only known parts through"
    first, interleaved = _rotary.is_positions_first(match), _is_interleaved(match)
    constants = {name: np.asarray([number], np.int64) for name, number in (("zero", 0), ("last", -1))}
    constants |= {"heads": np.asarray([2 if first else 1], np.int64), "all": np.asarray([turned], np.int64)}
    constants |= {"end": np.asarray([turned if interleaved else turned // 2], np.int64)}
    constants |= {"by": np.asarray([2 if interleaved else 1], np.int64), "ones": np.ones(2, np.int64)}
    lines, rotated = [], "x"
    if x is not None and x[-1] != turned:
        lines.append("xw = Slice (x, zero, all, last)")
        rotated = "xw"
    if first:
        lines.append(f"xt = Transpose <perm = [0, 2, 1, 3]> ({rotated})")
        rotated = "xt"
    tables = [_table(match, name, lines) for name in ("c", "s")]
    operator = f"RotaryEmbedding <interleaved = @interleaved> ({', '.join([rotated, *tables])})"
    lines += (
        [f"yt = {operator}", "y = Transpose <perm = [0, 2, 1, 3]> (yt)"] if first else [f"y = {operator}"]
    )
    text = "\n".join(lines)
    used = {name: array for name, array in constants.items() if re.search(rf"\b{name}\b", text)}
    return Replacement(text, used, {"interleaved": int(interleaved)})


def _table(match: Match, name: str, lines: list[str]) -> str:
    """The name of a table as the operator takes it; what makes it so is added to ``lines``."""
    lines.append(f"{name}1 = Squeeze ({name}, heads)")
    found = f"{name}1"
    if _is_whole(match):
        lines.append(f"{name}2 = Slice ({found}, zero, end, last, by)")
        found = f"{name}2"
    x, table = match.shape("x"), match.shape(name)
    if x is None or table is None or same_dim(table[0], x[0]):
        return found
    lines.append(f"{name}n = Shape <start = 0, end = 1> (x)")
    lines.append(f"{name}t = Concat <axis = 0> ({name}n, ones)")
    lines.append(f"{name}3 = Expand ({found}, {name}t)")
    return f"{name}3"


def _draw(draw: Draw) -> None:
    first = draw.flag()
    batch: int | str = 1 if draw.flag() else "B"
    wider = _WIDTH + ("Neg" not in draw.ops and "Split" not in draw.ops) * draw.choice(0, 3)
    for name, width in (("x", wider), ("wide", _WIDTH + 3)):
        draw.input(name, *(("B", _LENGTH, 3, width) if first else ("B", 3, _LENGTH, width)))
    interleaved = "Unsqueeze" in draw.ops
    for name in ("c", "s"):
        if "Neg" in draw.ops:
            half = draw.array(1, 1, _LENGTH, _WIDTH // 2)
            table = np.repeat(half, 2, axis=-1) if interleaved else np.concatenate([half, half], axis=-1)
            draw.constant(name, np.moveaxis(table, 1, 2) if first else table)
        else:
            draw.input(
                name, *((batch, _LENGTH, 1, _WIDTH // 2) if first else (batch, 1, _LENGTH, _WIDTH // 2))
            )
    _draw_parts(draw, interleaved)


def _draw_parts(draw: Draw, interleaved: bool) -> None:
    half = _WIDTH // 2
    bounds = ((0, _WIDTH, 2), (1, _WIDTH, 2)) if interleaved else ((0, half, 1), (half, _WIDTH, 1))
    for name, number in (("xs", 0), ("xe", _WIDTH), ("xa", -1), ("xt", 1)):
        draw.constant(name, [number])
    for name, numbers in zip(("l", "h"), bounds, strict=True):
        for step, number in zip(("s", "e", "t"), numbers, strict=True):
            draw.constant(f"{name}{step}", [number])
        draw.constant(f"{name}a", [draw.choice(3, -1)])
    draw.constant("sizes", [half, half])
    for name, value in (("split", draw.choice(3, -1)), ("parts", None), ("cat", -1)):
        draw.attribute(name, value)
    for name in ("da", "ea"):
        draw.constant(name, [draw.choice(4, -1)])
    draw.constant("shape", list(draw.choice((0, 0, 0, _WIDTH), (0, 0, -1, _WIDTH))))


def _draw_other_parts(draw: Draw) -> None:
    """The second part overlaps the first."""
    _draw(draw)
    draw.constant("hs", [2])
    draw.constant("sizes", [2, 6] if "Neg" in draw.ops else [4, 4])
    if "Split" in draw.ops:
        draw.attribute("cat", 1)


def _draw_other_angles(draw: Draw) -> None:
    """Each feature with an angle of its own."""
    _draw(draw)
    for name in ("c", "s"):
        draw.constant(name, draw.array(1, 1, _LENGTH, _WIDTH))
    for name, width in (("x", _WIDTH), ("wide", _WIDTH + 3)):
        draw.input(name, "B", 3, _LENGTH, width)


def _rule(name: str, text: str, *refusals: Refusal) -> Rule:
    return Rule(
        name,
        text,
        _rotation,
        guard=_refuses,
        min_opset=23,
        exact=False,
        dtypes=_scores.TYPES,
        draw=_draw,
        refusals=refusals,
        shared=("x",) if "wide" in text else (),
    )


_PARTS, _ANGLES = Refusal(_draw_other_parts), Refusal(_draw_other_angles)

RULES = (
    _rule(
        "rotated-halves",
        f"{_SLICES}; n = Neg (hi); r = Concat <axis = @cat> (n, lo); {_ROTATED}",
        _PARTS,
        _ANGLES,
    ),
    _rule(
        "rotated-first-halves",
        f"{_WIDE}; n = Neg (hi); r = Concat <axis = @cat> (n, lo); {_ROTATED}",
        _ANGLES,
    ),
    _rule("rotated-split", f"{_SPLIT}; n = Neg (hi); r = Concat <axis = @cat> (n, lo); {_ROTATED}", _ANGLES),
    _rule("halves", f"{_SLICES}; {_PRODUCTS}; y = Concat <axis = @cat> (o, w)", _PARTS),
    _rule("split", f"{_SPLIT}; {_PRODUCTS}; y = Concat <axis = @cat> (o, w)", _PARTS),
    _rule(
        "rotated-pairs",
        f"{_SLICES}; n = Neg (hi); {_STACKED.format('n', 'lo')}; r = Reshape (z, shape); {_ROTATED}",
        _ANGLES,
    ),
    _rule("pairs", f"{_SLICES}; {_PRODUCTS}; {_STACKED.format('o', 'w')}; y = Reshape (z, shape)", _PARTS),
)


@dataclass(frozen=True)
class RecognizeRotaryEmbedding(Pass):
    """Write the rotation of halves or pairs of features as RotaryEmbedding.

    Before: ``lo, hi = Split(x); r = Concat(Neg(hi), lo); y = Add(Mul(x, cos), Mul(r, sin))``.
    After:  ``y = RotaryEmbedding(x, cos, sin)`` with half the columns of cos and sin.
    Needs:  four dims, heads second or third; the number of features; tables with a row for each position.
            Where they have a column for each feature, that the two of a pair are the same.
    Keeps:  the layout of x: heads in third place are transposed there and back.
    Skips:  tables that differ between heads, parts that are not halves or pairs.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
