"""MergeAttentionHeads: attention splits and merges heads itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
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

_SWAP = "Transpose <perm = [0, 2, 1, 3]>"
_COUNT, _SIZE = 3, 4
"""Heads and features of a head in the cases drawn."""


def _split(match: Match, name: str) -> tuple[int, int] | str:
    """What the Reshape of operand ``name`` makes of the last dim (heads, features of a head), or why not."""
    before, after = match.shape(f"{name}x"), match.shape(f"{name}r")
    if not before or after is None or len(after) != 4:
        return f"the Reshape of {name} does not make four dims"
    count, size = after[2:]
    if not isinstance(count, int) or not isinstance(size, int):
        return "the number of heads or their size is not known"
    if len(before) != 3:
        only_last = before[-1] == count * size and _wide(match, name) is not None
        return (count, size) if only_last else f"the Reshape of {name} does not split the last dim"
    kept = _keeps_two(match.ints(f"{name}s"), before, after)
    fits = before[2] == count * size or match.ints(f"{name}s") == (0, 0, count, size)
    return (count, size) if kept and fits else f"the Reshape of {name} may move more than heads"


def _keeps_two(target: tuple[int, ...] | None, before: tuple[Dim, ...], after: tuple[Dim, ...]) -> bool:
    """Whether a Reshape leaves batch and positions as they are; one of the two may be inferred."""
    kept = [
        same_dim(before[axis], after[axis]) or (target is not None and target[axis] == 0) for axis in (0, 1)
    ]
    return all(kept) or (any(kept) and target is not None and -1 in target[:2])


def _wide(match: Match, name: str) -> tuple[int, int, int] | None:
    """What brings rows of all positions to three dims, the heads still merged; None where no numbers tell."""
    target, after = match.ints(f"{name}s"), match.shape(f"{name}r")
    if target is None or after is None or len(target) != 4 or 0 in target:
        return None
    count, size = after[2:]
    return (target[0], target[1], count * size) if isinstance(count, int) and isinstance(size, int) else None


def _refuses(match: Match) -> str | None:
    splits = [_split(match, name) for name in ("q", "k", "v")]
    reason = next((split for split in splits if isinstance(split, str)), None)
    if reason is not None:
        return reason
    merged, shape = match.ints("ys"), match.shape("t")
    if shape is None or merged is None:
        return "the Reshape behind the attention is computed"
    if any(size == 0 for size in merged[2:]):
        return "the Reshape behind the attention copies the number or the size of heads"
    return None


def _merged(match: Match) -> Replacement:
    """The operator on three dims; a Reshape stays where the last two are not simply merged."""
    splits = [_split(match, name) for name in ("q", "k", "v")]
    (heads, _), (kv_heads, _), (_, size) = (split for split in splits if not isinstance(split, str))
    lines, constants, operands = [], {}, []
    for name in ("q", "k", "v"):
        found, wide = f"{name}x", None if match.rank(f"{name}x") == 3 else _wide(match, name)
        if wide is not None:
            constants[f"{name}wide"] = np.asarray(wide, np.int64)
            lines.append(f"{name}w = Reshape ({found}, {name}wide)")
            found = f"{name}w"
        if f"{name}c" in match:
            lines.append(_rotary(name, found))
            found = f"{name}3"
        operands.append(found)
    shape, target = match.shape("y"), match.ints("ys") or ()
    is_merged = len(target) == 3 and _keeps_two(target, match.shape("t") or (), shape or (0, 0, 0))
    is_merged = is_merged and target[2] in (heads * size, -1)
    result = "y" if is_merged else "h3"
    results = f"{result}, keys, values" if "keys" in match else result
    lines.append(
        f"{results} = Attention <q_num_heads = @heads, kv_num_heads = @kv_heads, **attrs> "
        f"({', '.join(operands)}, mask?, past_key?, past_value?)"
    )
    if not is_merged:
        lines.append("y = Reshape (h3, ys)")
    counts = {"heads": heads, "kv_heads": kv_heads}
    return Replacement("\n".join(lines), constants, counts)


def _rotary(name: str, operand: str) -> str:
    """The rotation of an operand of three dims."""
    count = "heads" if name == "q" else "kv_heads"
    return (
        f"{name}3 = RotaryEmbedding <num_heads = @{count}, interleaved = @{name}i, "
        f"rotary_embedding_dim = @{name}d> ({operand}, {name}c, {name}o, {name}p?)"
    )


def _draw(draw: Draw) -> None:
    rows = draw.flag()
    for name, length in (("q", "S"), ("k", "T"), ("v", "T")):
        draw.input(f"{name}x", "B", length, _COUNT * _SIZE)
        targets = ((0, 0, _COUNT, _SIZE), (0, -1, _COUNT, _SIZE), (-1, 0, _COUNT, _SIZE))
        draw.constant(f"{name}s", list(draw.choice(*targets)))
        if rows:
            draw.input(f"{name}x", draw.dim("B") * draw.dim(length), _COUNT * _SIZE)
            draw.constant(f"{name}s", [-1, draw.dim(length), _COUNT, _SIZE])
        draw.attribute(f"{name}i", draw.choice(0, 1))
        draw.attribute(f"{name}d", 0)
        if name != "v":
            draw.input(f"{name}c", "B", length, _SIZE // 2)
            draw.input(f"{name}o", "B", length, _SIZE // 2)
        draw.omit(f"{name}p")
    draw.constant(
        "ys", list(draw.choice((0, 0, _COUNT * _SIZE), (0, -1, _COUNT * _SIZE), (-1, _COUNT * _SIZE)))
    )
    draw.input("mask", "S", "T")
    draw.omit("past_key")
    draw.omit("past_value")
    draw.attribute("attrs", {"scale": 0.5})


def _draw_cached(draw: Draw) -> None:
    _draw(draw)
    draw.inputs.pop("mask")
    draw.omit("mask")
    for name in ("past_key", "past_value"):
        draw.missing.discard(name)
        draw.input(name, "B", _COUNT, "P", _SIZE)
    for name in ("keys", "values"):
        draw.result(name, "B", _COUNT, "L", _SIZE)


def _draw_moving(draw: Draw) -> None:
    """Heads taken from positions."""
    _draw(draw)
    draw.input("vx", "B", _COUNT, "T", _SIZE)
    draw.constant("vs", [0, -1, _COUNT, _SIZE])


def _text(results: str, rotated: bool) -> str:
    steps = []
    for name in ("q", "k", "v"):
        plain = f"{name}r = Reshape ({name}x, {name}s); {name}t = {_SWAP} ({name}r)"
        rotary = (
            f"RotaryEmbedding <interleaved = @{name}i, rotary_embedding_dim = @{name}d> "
            f"({name}t, {name}c, {name}o, {name}p?)"
        )
        steps.append(f"{plain}; {name} = {rotary if rotated and name != 'v' else f'{name}t'}")
    attention = f"{results} = Attention <**attrs> (q, k, v, mask?, past_key?, past_value?)"
    return "; ".join([*steps, attention, f"t = {_SWAP} (h)", "y = Reshape (t, ys)"])


def _rule(
    name: str,
    results: str,
    rotated: bool = False,
    draw: Callable[[Draw], object] = _draw,
    refusals: tuple[Refusal, ...] = (),
) -> Rule:
    text = _text(results, rotated)
    if "," in results:
        text = f"heads (qx, kx, vx) => (y, keys, values) {{ {text} }}"
    shared = tuple(f"{operand}{step}" for operand in "qkv" for step in ("r", "t"))
    return Rule(
        name,
        text,
        _merged,
        guard=_refuses,
        shared=(*shared, "q", "k") if rotated else shared,
        min_opset=23,
        exact=False,
        dtypes=_scores.TYPES,
        draw=draw,
        refusals=refusals,
    )


RULES = (
    _rule("heads-of-attention", "h", refusals=(Refusal(_draw_moving),)),
    _rule("heads-of-rotated-attention", "h", rotated=True),
    _rule("heads-of-attention-with-cache", "h, keys, values", draw=_draw_cached),
)


@dataclass(frozen=True)
class MergeAttentionHeads(Pass):
    """Let attention split its operands into heads and merge its result.

    Before: ``q = Transpose<perm=[0,2,1,3]>(Reshape(x, [0,0,12,64]))``, so for k and v;
            ``h = Attention(q, k, v); y = Reshape(Transpose<perm=[0,2,1,3]>(h), [0,0,768])``.
    After:  ``y = Attention<q_num_heads=12, kv_num_heads=12>(x, …)``; so for a RotaryEmbedding in between.
    Needs:  the number and size of heads; Reshapes that leave batch and positions alone.
    Keeps:  heads that something else reads, a Reshape behind that does more than merge them, and one in front
            of an operand that has a row for each position of the whole batch.
    Skips:  attention of which an operand is not the last dim split in heads.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
