"""SpellAttention: attention as two products and a softmax, which TensorRT fuses by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.backends.tensorrt.legalize._attention import refuses_attention, spelled_attention
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Axis, Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.rule import Refusal, Rule

_HEADS, _KEYS = 4, 2
"""Heads of queries, and of keys where they are grouped, in the cases drawn."""


def _draw(draw: Draw) -> None:
    """Self attention over three dims or cross attention over four, with one kind of mask or none."""
    heads = draw.choice(_HEADS, _KEYS)
    if draw.flag():
        draw.input("q", "B", 5, _HEADS * 8)
        for name in ("k", "v"):
            draw.input(name, "B", 6, heads * 8)
        draw.attribute("heads", _HEADS)
        draw.attribute("kv", heads)
    else:
        draw.input("q", "B", _HEADS, 5, 8)
        for name in ("k", "v"):
            draw.input(name, "B", heads, 6, 8)
        draw.attribute("heads", None)
        draw.attribute("kv", None)
    draw.attribute("scale", draw.choice(None, 0.25))
    draw.attribute("softcap", draw.choice(0.0, 2.0))
    draw.attribute("causal", draw.choice(0, 1))
    draw.attribute("precision", None)
    draw.attribute("mode", 0)
    for name in ("past_key", "past_value"):
        draw.omit(name)
    _draw_mask(draw, 6)


def _draw_mask(draw: Draw, keys: int) -> None:
    kind = draw.choice(None, ir.DataType.BOOL, draw.dtype)
    if kind is None:
        draw.omit("mask")
        return
    values = draw.input("mask", 5, keys, dtype=kind)
    if kind == ir.DataType.BOOL:
        values[0], values[1] = True, False
    else:
        values[:, -1] = np.finfo(np.float32).min


def _draw_cached(draw: Draw) -> None:
    _draw(draw)
    past: Axis = 3 if draw.flag() else "P"
    for name in ("past_key", "past_value"):
        draw.missing.discard(name)
        draw.input(name, "B", _grouped(draw), past, 8)
    draw.missing.discard("mask")
    _draw_mask(draw, 6 + draw.feeds["past_key"].shape[2])
    _draw_results(draw, "T" if isinstance(past, str) else 6 + past)


def _draw_scores(draw: Draw) -> None:
    """ONNX's inference forgets the cache in the shape of the scores: there is none."""
    _draw(draw)
    draw.attribute("mode", draw.choice(0, 1, 2, 3))
    _draw_results(draw, 6)


def _grouped(draw: Draw) -> int:
    """Heads of keys in a case drawn."""
    return _KEYS if _KEYS in (draw.attributes["kv"], draw.inputs["k"][1]) else _HEADS


def _draw_results(draw: Draw, total: int | str) -> None:
    draw.result("y", *draw.inputs["q"])
    for name in ("pk", "pv"):
        draw.result(name, "B", _grouped(draw), total, 8)


def _draw_many(draw: Draw) -> None:
    """Queries and keys of as many positions as the case says."""
    _draw(draw)
    draw.omit("mask")
    draw.input("q", "B", _HEADS, "S", 8)
    for name in ("k", "v"):
        draw.input(name, "B", _HEADS, "S", 8)
    draw.attribute("heads", None)
    draw.attribute("kv", None)


def _draw_unknown(draw: Draw) -> None:
    """Nothing tells how many features a head has."""
    _draw_many(draw)
    draw.attribute("scale", None)
    for name in ("q", "k", "v"):
        draw.input(name, 2, _HEADS, 5, "D")


def _rule(
    name: str, results: str, draw: Callable[[Draw], None] | None, *, more: str = "", opset: int = 23
) -> Rule:
    return Rule(
        name,
        before=f"{results} = Attention <q_num_heads = @heads, kv_num_heads = @kv, scale = @scale,"
        " softcap = @softcap, is_causal = @causal, softmax_precision = @precision,"
        f" qk_matmul_output_mode = @mode> (q, k, v, mask?, past_key?, past_value?{more})",
        after=spelled_attention,
        guard=refuses_attention,
        min_opset=opset,
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        draw=draw,
        refusals=() if name != "result" else (Refusal(_draw_unknown, "size of a head"),),
    )


RULES = (
    _rule("result", "y", _draw),
    _rule("any-length", "y", _draw_many),
    _rule("cached", "y, pk, pv", _draw_cached),
    _rule("with-scores", "y, pk, pv, qk", _draw_scores),
)
_RAGGED = _rule("ragged", "y", None, more=", valid", opset=24)
"""Sequences of different lengths, padded to the same; of an opset that proofs do not draw."""


@dataclass(frozen=True)
class SpellAttention(Pass):
    """Write attention as products, masks and a softmax.

    The parser makes one layer of it that may not be taken apart: where no kernel of TensorRT's fits (its
    float32 on most cards), the build fails. The pieces are fused just so where one fits, and run one by one
    where none does. NVIDIA's guide asks for the scale on the queries, before the product: in float16 nothing
    then exceeds the scaled scores.

    Before: ``y = Attention<q_num_heads=8, kv_num_heads=8>(q, k, v, mask)``.
    After:  ``y = Transpose(MatMul(Softmax(Add(MatMul(Mul(q, s), Transpose(k)), mask)), v))``, with heads
            split and merged; grouped keys and values are repeated, causal and boolean masks are a Where.
    Needs:  element type, ranks and heads; the size of a head where it decides the scale.
    Keeps:  zeros for a query to which a boolean mask leaves no key; caches, scores that are returned.
    Skips:  masks of unknown rank. A float mask is taken as finite: in float16 it is raised to -60000.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, (*RULES, _RAGGED), self.name(), ctx)
