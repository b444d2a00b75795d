"""RecognizeRotaryEmbedding: features rotated in pairs, by an angle for each position."""

from __future__ import annotations

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


def _refuses(match: Match) -> str | None:
    shape = match.shape("x")
    if shape is None or len(shape) != 4:
        return "it does not have four dims"
    interleaved = _is_interleaved(match)
    reason: str | None = (_rotary.pairs if interleaved else _rotary.halves)(match, "x")
    if reason is not None:
        return reason
    if match.attr_int("cat") not in (-1, len(shape) if interleaved else len(shape) - 1):
        return "the parts are not put together along the features"
    if interleaved and not _is_merged(match):
        return "the pairs are not put together as they were"
    size = shape[-1]
    assert isinstance(size, int), "the features were counted"
    reason = _rotary.tables(match, size if _is_whole(match) else size // 2)
    if reason is not None or not _is_whole(match):
        return reason
    repeated = all(_rotary.repeats(match.value(name), interleaved) for name in ("c", "s"))
    return None if repeated else "the two features of a pair are not known to turn by one angle"


def _is_merged(match: Match) -> bool:
    """Whether stacked pairs become the last dim again and the others stay."""
    last = ((-1,), (4,))
    if match.ints("da") not in last or match.ints("ea") not in last:
        return False
    before, after, target = match.shape("x"), match.shape("r" if "r" in match else "y"), match.ints("shape")
    if before is None or after is None or len(after) != 4 or after[-1] != before[-1]:
        return False
    kept = [
        same_dim(before[axis], after[axis]) or (target is not None and target[axis] == 0) for axis in range(3)
    ]
    return kept.count(False) == 0 or (
        kept.count(False) == 1 and target is not None and target[kept.index(False)] == -1
    )


def _rotation(match: Match) -> Replacement:
    """The operator, with a column for each pair and a row for each position of each element of the batch."""
    x, c, s = match.shape("x"), match.shape("c"), match.shape("s")
    assert x is not None and c is not None and s is not None, "the guard asked for shapes"  # noqa: PT018
    first = _rotary.is_positions_first(match)
    heads, width = (2 if first else 1), x[-1]
    interleaved = _is_interleaved(match)
    whole = (0, width, 2) if interleaved else (0, int(width) // 2, 1)  # type: ignore[arg-type]
    names = ("start", "end", "by")
    constants = {name: np.asarray([number], np.int64) for name, number in zip(names, whole, strict=True)}
    constants |= {"heads": np.asarray([heads], np.int64), "last": np.asarray([-1], np.int64)}
    lines = ["xt = Transpose <perm = [0, 2, 1, 3]> (x)"] if first else []
    operands = ["xt" if first else "x"]
    for name, shape in (("c", c), ("s", s)):
        lines.append(f"{name}1 = Squeeze ({name}, heads)")
        if _is_whole(match):
            lines.append(f"{name}2 = Slice ({name}1, start, end, last, by)")
        operands.append(f"{name}2" if _is_whole(match) else f"{name}1")
        if not same_dim(shape[0], x[0]):
            constants["ones"] = np.ones(2, np.int64)
            lines.append(f"{name}n = Shape <start = 0, end = 1> (x)")
            lines.append(
                f"{name}t = Concat <axis = 0> ({name}n, ones); {name}3 = Expand ({operands[-1]}, {name}t)"
            )
            operands[-1] = f"{name}3"
    result = "yt" if first else "y"
    lines.append(f"{result} = RotaryEmbedding <interleaved = @interleaved> ({', '.join(operands)})")
    if first:
        lines.append("y = Transpose <perm = [0, 2, 1, 3]> (yt)")
    used = {name: array for name, array in constants.items() if any(name in line for line in lines)}
    return Replacement("\n".join(lines), used, {"interleaved": int(interleaved)})


def _draw(draw: Draw) -> None:
    first = draw.flag()
    batch: int | str = 1 if draw.flag() else "B"
    draw.input("x", *(("B", _LENGTH, 3, _WIDTH) if first else ("B", 3, _LENGTH, _WIDTH)))
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
    bounds = ((0, _WIDTH, 2), (1, 2**63 - 1, 2)) if interleaved else ((0, half, 1), (half, 2**63 - 1, 1))
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
    draw.input("x", "B", 3, _LENGTH, _WIDTH)


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
    )


_PARTS, _ANGLES = Refusal(_draw_other_parts), Refusal(_draw_other_angles)

RULES = (
    _rule(
        "rotated-halves",
        f"{_SLICES}; n = Neg (hi); r = Concat <axis = @cat> (n, lo); {_ROTATED}",
        _PARTS,
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
