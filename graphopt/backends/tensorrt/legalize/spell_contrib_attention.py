"""SpellContribAttention: attention as ONNX Runtime's optimizer writes it, as the standard has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Constant, Replacement
from graphopt.rewrite.rule import Refusal, Rule

_FILTER = -10000.0
"""What ONNX Runtime adds to the score of padding unless ``mask_filter_value`` says otherwise."""


def _refuses(match: Match) -> str | None:
    if match.attr_int("heads") is None or match.dtype("q") is None:
        return "the number of heads or the element type is not known"
    if "padding" in match and match.rank("padding") != 2:
        return "its mask does not tell for each key whether it is padding"
    return None


def _refuses_separate(match: Match) -> str | None:
    if any(match.rank(name) != 3 for name in ("q", "k", "v")):
        return "queries, keys and values do not have three dims"
    widths = _widths(match)
    return _refuses(match) if "b" not in match or widths else "the widths of queries and values are not known"


def _refuses_packed(match: Match) -> str | None:
    weight = match.shape("w")
    if weight is None or not isinstance(weight[1], int) or match.rank("q") != 3:
        return "the width of the projections is not known"
    return _refuses(match)


def _widths(match: Match) -> list[int]:
    """Features of queries, keys and values; empty where they are not known."""
    shapes = [match.shape(name) for name in ("q", "k", "v")]
    found = [shape[-1] for shape in shapes if shape is not None and isinstance(shape[-1], int)]
    return found if len(found) == 3 else []


def _common(match: Match, operands: str, lines: list[str], constants: dict[str, Constant]) -> Replacement:
    """The operator of the standard, with all masks in one."""
    dtype = match.dtype("q")
    assert dtype is not None, "the guard asks for it"
    masks = ["bias"] if "bias" in match else []
    if "padding" in match:
        value = match.attr("filter")
        number = value if isinstance(value, (int, float)) else _FILTER
        constants["none"] = np.asarray(0, dtype.numpy())
        constants["filter"] = np.asarray(number, dtype.numpy())
        constants["heads_and_queries"] = np.asarray([1, 2], np.int64)
        lines.append("kept = Cast <to = 9> (padding); wide = Unsqueeze (kept, heads_and_queries)")
        lines.append("shut = Where (wide, none, filter)")
        masks.append("shut")
    if len(masks) == 2:
        lines.append("mask = Add (bias, shut)")
        masks = ["mask"]
    lines.append(
        "y = Attention <q_num_heads = @heads, kv_num_heads = @heads, scale = @scale, is_causal = @causal>"
        f" ({', '.join([operands, *masks])})"
    )
    causal, scale = match.attr_int("causal") or 0, match.attr("scale")
    if isinstance(scale, float) and scale != 0.0:
        return Replacement("\n".join(lines), constants, {"causal": causal})
    lines[-1] = lines[-1].replace("scale = @scale, ", "")
    return Replacement("\n".join(lines), constants, {"causal": causal})


def _separate(match: Match) -> Replacement:
    if "b" not in match:
        return _common(match, "q, k, v", [], {})
    lines = ["bq, bk, bv = Split <axis = 0> (b, widths)"]
    lines += [f"{name}s = Add ({name}, b{name})" for name in "qkv"]
    return _common(match, "qs, ks, vs", lines, {"widths": np.asarray(_widths(match), np.int64)})


def _packed(match: Match) -> Replacement:
    weight, sizes = match.shape("w"), match.attr_ints("sizes")
    assert weight is not None, "the guard asks for it"
    assert isinstance(weight[1], int), "the guard asks for it"
    widths = sizes or (weight[1] // 3,) * 3
    lines = ["product = MatMul (q, w)"]
    lines.append("projected = Add (product, b)" if "b" in match else "projected = product")
    lines.append("qs, ks, vs = Split <axis = 2> (projected, widths)")
    return _common(match, "qs, ks, vs", lines, {"widths": np.asarray(widths, np.int64)})


def _draw(draw: Draw) -> None:
    draw.input("padding", 2, 5, dtype=ir.DataType.INT32)[:] = [[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]
    draw.input("bias", draw.choice(1, 2), 2, 5, 5)
    for name in ("padding", "bias"):
        if draw.flag():
            draw.omit(name)
    draw.attribute("heads", 2)
    draw.attribute("scale", draw.choice(None, 0.25))
    draw.attribute("filter", draw.choice(None, -1000.0))
    draw.attribute("causal", draw.choice(None, 0, 1))
    draw.result("y", 2, 5, 8)


def _draw_separate(draw: Draw) -> None:
    for name in ("q", "k", "v"):
        draw.input(name, 2, 5, 8)
    draw.input("b", 24)
    if draw.flag():
        draw.omit("b")
    _draw(draw)


def _draw_packed(draw: Draw) -> None:
    draw.input("q", 2, 5, 6)
    draw.input("w", 6, 24)
    draw.input("b", 24)
    draw.attribute("sizes", draw.choice(None, (8, 8, 8)))
    _draw(draw)


def _draw_lengths(draw: Draw) -> None:
    """A mask that gives the length of each sequence."""
    _draw_separate(draw)
    draw.missing.discard("padding")
    draw.input("padding", 2, dtype=ir.DataType.INT32)[:] = 4


_ATTRIBUTES = "num_heads = @heads, scale = @scale, mask_filter_value = @filter, unidirectional = @causal"

RULES = (
    Rule(
        "separate",
        before=f"y = com.microsoft.MultiHeadAttention <{_ATTRIBUTES}> (q, k, v, b?, padding?, bias?)",
        after=_separate,
        guard=_refuses_separate,
        min_opset=23,
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw_separate,
        refusals=(Refusal(_draw_lengths, "padding"),),
    ),
    Rule(
        "packed",
        before=f"""
            y = com.microsoft.Attention <{_ATTRIBUTES}, qkv_hidden_sizes = @sizes>
                (q, w, b?, padding?, , bias?)
        """,
        after=_packed,
        guard=_refuses_packed,
        min_opset=23,
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw_packed,
    ),
)


@dataclass(frozen=True)
class SpellContribAttention(Pass):
    """Write attention of ``com.microsoft`` as the standard's operator, which is then spelled out.

    Before: ``com.microsoft.MultiHeadAttention<num_heads=8>(q, k, v, b, padding)``,
            ``com.microsoft.Attention<num_heads=8>(x, w, b, padding)``.
    After:  ``Attention<q_num_heads=8, kv_num_heads=8>(q + b₁, k + b₂, v + b₃, Where(padding, 0, -10000))``.
    Needs:  opset 23; widths where a bias or a product is split.
    Keeps:  what is added to the scores of padding.
    Skips:  caches, masks that give lengths, keys that come with their heads split.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
