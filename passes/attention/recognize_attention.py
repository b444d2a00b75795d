"""RecognizeAttention: scores, softmax and weighted values are one operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.passes.attention import _scores
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Dim, Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule

_SCALE = "s1 = Mul (s0, c) | Div (s0, c) | s0"
_HIDE = "s2 = Where (keep, s1, fill) | Where (drop, fill, s1) | s1"
_ADD = "s3 = Add (s2, mask) | s2"


def _scale(match: Match) -> float | str:
    """What the scores are multiplied by, or why that is not known."""
    scaled = match.values.get("s1")
    node = scaled.producer() if isinstance(scaled, ir.Value) else None
    found: float | str = _scores.scale_of(match, "c", "" if node is None else node.op_type)
    return found


def _refuses(match: Match) -> str | None:
    """Why this is no attention: types, ranks, heads, the axis, the scale or the mask."""
    values = "vt" if "vt" in match else "v"
    shapes = [match.shape(name) for name in ("q", "kt", values)]
    if any(shape is None for shape in shapes):
        return "the rank of an operand is unknown"
    q, k, v = (shape or () for shape in shapes)
    if not len(q) == len(k) == len(v) or len(q) not in (3, 4):
        return "the operands are not all of rank 3 or all of rank 4"
    if match.attr_int("axis") not in (-1, len(q) - 1):
        return "the softmax is not over the keys"
    if not all(_scores.may_be_one_batch(a, b) for a, b in ((q[0], k[0]), (q[0], v[0]), (k[0], v[0]))):
        return "an operand is stretched along the batch"
    scale = _scale(match)
    if isinstance(scale, str):
        return scale
    if "cap" in match and (_scores.scalar(match, "cap") or 0) <= 0:
        return "the scores are not capped by one positive number"
    if "vt" in match and match.attr_ints("turned") != _turned(len(q)):
        return "the weights are not transposed"
    if match.attr("wide") is not None and (match.attr("wide"), match.attr("narrow")) != (1, match.dtype("q")):
        return "the softmax is in a type of its own"
    reason: str | None = _scores.heads(q[1], k[1], v[1]) if len(q) == 4 else None
    if reason is None:
        reason = _scores.takes(match, "q", "kt", values)
    return _masks(match, (*q[:-1], k[-1])) if reason is None else reason


def _masks(match: Match, scores: tuple[Dim, ...]) -> str | None:
    """Why the masks cannot be handed over, or None."""
    for name in ("mask", "bias", "keep", "drop"):
        reason: str | None = _scores.broadcasts(match.value(name), scores) if name in match else None
        if reason is not None:
            return reason
    for name in ("keep", "drop"):
        reason = _scores.hides(match, name, "fill", name == "drop") if name in match else None
        if reason is not None:
            return reason
    return None


def _attention(match: Match) -> Replacement:
    """The operator, behind whatever its mask and its keys still need."""
    rank = match.rank("q")
    lines, constants = [], {}
    bias = "mask" if "mask" in match else ""
    for name, order in (("keep", "zero, fill"), ("drop", "fill, zero")):
        if name in match:
            hidden = match.value("fill").dtype or ir.DataType.FLOAT
            constants["zero"] = np.zeros((), hidden.numpy())
            lines.append(f"hide = Where ({name}, {order})")
            lines.append(f"added = {f'Add (hide, {bias})' if bias else 'hide'}")
            bias = "added"
    if "bias" in match:
        lines.append("added = Add (bias, mask)")
        bias = "added"
    lines.append("k = Transpose <perm = @swapped> (kt)")
    if bias and rank == 3 and _mask_rank(match) == 3:
        constants["axis"] = np.asarray([1], np.int64)
        lines.append(f"spread = Unsqueeze ({bias}, axis)")
        bias = "spread"
    scale = _scale(match)
    assert isinstance(scale, float), "the guard let only known scales through"
    count = "" if rank == 4 else "q_num_heads = 1, kv_num_heads = 1, "
    cap = _scores.scalar(match, "cap") or 0.0
    extra = ", softmax_precision = 1" if match.attr("wide") is not None else ""
    extra += ", softcap = @cap" if cap else ""
    operands = f"q, k, v, {bias}" if bias else "q, k, v"
    result = "y"
    if "vt" in match:
        lines.append("v = Transpose <perm = @swapped> (vt)")
        result = "h"
    lines.append(f"{result} = Attention <{count}scale = @scale{extra}> ({operands})")
    if "vt" in match:
        lines.append("y = Transpose <perm = @swapped> (h)")
    return Replacement(
        "\n".join(lines), constants, {"swapped": _turned(rank or 0), "scale": scale, "cap": cap}
    )


def _turned(rank: int) -> tuple[int, ...]:
    """The permutation that exchanges the last two dims."""
    axes = range(rank)
    return (*axes[:-2], axes[-1], axes[-2])


def _mask_rank(match: Match) -> int:
    return max(match.rank(name) or 0 for name in ("mask", "bias", "keep", "drop") if name in match)


def _draw(draw: Draw, fill: float = -1e4, ranks: tuple[int, ...] = (3, 4)) -> None:
    rank = draw.choice(*ranks)
    lead: tuple[str | int, ...] = ("B", 3) if rank == 4 else ("B",)
    draw.input("q", *lead, "S", 4)
    draw.input("kt", *lead, 4, "T")
    draw.input("v", *lead, "T", 5)
    draw.input("vt", *lead, 5, "T")
    draw.attribute("turned", _turned(rank))
    draw.attribute("axis", draw.choice(-1, rank - 1))
    draw.constant("c", draw.choice(2.0, [0.5], [[0.7]]))
    draw.constant("cap", draw.choice(1.5, [3.0]))
    if "Add" in draw.ops:
        draw.input("mask", *draw.choice(("S", "T"), (1, "S", "T"), (*lead, "S", "T")))
        draw.input("bias", *draw.choice(("S", "T"), (1, "S", "T"), (*lead, "S", "T")))
    if "Where" in draw.ops:
        hidden = draw.array("S", "T", dtype=ir.DataType.BOOL)
        hidden[..., 0] = False
        draw.constant("keep", np.logical_not(hidden))
        draw.constant("drop", hidden)
        draw.constant("fill", np.asarray(fill).astype(draw.dtype.numpy()))


def _draw_wide(draw: Draw) -> None:
    _draw(draw)
    draw.attribute("narrow", int(draw.dtype))
    draw.attribute("wide", 1)


def _draw_stretched(draw: Draw) -> None:
    """One set of queries for a whole batch."""
    _draw(draw, ranks=(4,))
    draw.input("q", 1, 3, "S", 4)


def _draw_other_axis(draw: Draw) -> None:
    _draw(draw)
    draw.attribute("axis", 1)


def _draw_shallow(draw: Draw) -> None:
    """Hidden scores of -2 still have a weight."""
    _draw(draw, fill=-2.0)
    if "Where" not in draw.ops:
        draw.attribute("axis", 1)


def _rule(
    name: str,
    middle: str,
    last: str = "y = MatMul (p, v)",
    draw: Callable[[Draw], object] = _draw,
    refusals: tuple[Refusal, ...] = (),
) -> Rule:
    return Rule(
        name,
        f"s0 = MatMul (q, kt); {_SCALE}; {middle}; {last}",
        _attention,
        guard=_refuses,
        min_opset=23,
        exact=False,
        dtypes=_scores.TYPES,
        draw=draw,
        refusals=refusals,
    )


RULES = (
    _rule(
        "softmax-of-scores",
        f"{_HIDE}; {_ADD}; p = Softmax <axis = @axis> (s3)",
        refusals=(Refusal(_draw_stretched, "stretched"), Refusal(_draw_other_axis), Refusal(_draw_shallow)),
    ),
    _rule(
        "rows-without-keys-are-zero",
        f"s2 = s1; {_ADD}; n = Softmax <axis = @axis> (s3); b = IsNaN (n); p = Where (b, 0.0, n)",
        refusals=(Refusal(_draw_stretched, "stretched"),),
    ),
    _rule(
        "two-masks",
        "s2 = Add (s1, bias); s3 = Add (s2, mask); p = Softmax <axis = @axis> (s3)",
        refusals=(Refusal(_draw_stretched, "stretched"),),
    ),
    _rule(
        "capped-scores",
        f"f = Div (s1, cap); g = Tanh (f); s2 = Mul (g, cap); {_ADD}; p = Softmax <axis = @axis> (s3)",
        refusals=(Refusal(_draw_stretched, "stretched"),),
    ),
    _rule(
        "features-first",
        f"s2 = s1; {_ADD}; p = Softmax <axis = @axis> (s3)",
        "pt = Transpose <perm = @turned> (p); y = MatMul (vt, pt)",
        refusals=(Refusal(_draw_stretched, "stretched"),),
    ),
    _rule(
        "softmax-in-float32",
        f"s2 = s1; {_ADD}; h = Cast <to = @wide> (s3); n = Softmax <axis = @axis> (h); "
        "p = Cast <to = @narrow> (n)",
        draw=_draw_wide,
    ),
)


@dataclass(frozen=True)
class RecognizeAttention(Pass):
    """Write the softmax of scaled and masked scores, times the values, as Attention.

    Before: ``s = MatMul(q, kt); d = Div(s, 8); m = Add(d, mask); p = Softmax(m); y = MatMul(p, v)``.
    After:  ``k = Transpose<perm=[0,1,3,2]>(kt); y = Attention<scale=0.125>(q, k, v, mask)``.
    Needs:  operands of rank 4 (batch, heads, positions, features), or of rank 3: these are one head.
    Keeps:  nothing of the scores; two masks are added to each other first.
    Skips:  a softmax that something else reads, operands stretched along batch or heads, scales that are
            computed, and a Where that leaves hidden scores a weight.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
