"""WidenHalfAttention: attention in float16 is computed in float32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule


def _refuses(match: Match) -> str | None:
    if match.dtype("q") != ir.DataType.FLOAT16:
        return ""
    if any(output.uses() or output.is_graph_output() for output in match.root.outputs[1:]):
        return "it returns more than the result"
    return None


def _widened(match: Match) -> Replacement:
    lines = [f"{name}w = Cast <to = 1> ({name})" for name in ("q", "k", "v")]
    operands = "qw, kw, vw"
    if "mask" in match:
        is_half = match.dtype("mask") == ir.DataType.FLOAT16
        lines += ["maskw = Cast <to = 1> (mask)"] if is_half else []
        operands += ", maskw" if is_half else ", mask"
    lines += [f"w = Attention <**attrs> ({operands})", "y = Cast <to = 10> (w)"]
    return Replacement("\n".join(lines))


def _draw(draw: Draw) -> None:
    for name in ("q", "k", "v"):
        draw.input(name, "B", 4, 8)
    draw.input("mask", 4, 4, dtype=draw.choice(None, ir.DataType.BOOL))
    draw.feeds["mask"][:, 0] = 1
    if draw.flag():
        draw.omit("mask")
    draw.attribute("attrs", {"q_num_heads": 2, "kv_num_heads": 2, "scale": 0.5})


def _draw_wide(draw: Draw) -> None:
    draw.dtype = ir.DataType.FLOAT
    _draw(draw)


RULES = (
    Rule(
        "in-float16",
        before="y = Attention <**attrs> (q, k, v, mask?)",
        after=_widened,
        guard=_refuses,
        min_opset=23,
        exact=False,
        dtypes=(ir.DataType.FLOAT16,),
        draw=_draw,
        refusals=(Refusal(_draw_wide),),
    ),
)


@dataclass(frozen=True)
class WidenHalfAttention(Pass):
    """Compute attention in float32 where its operands are float16.

    ONNX Runtime 1.31 has no products in float16 on most processors: it widens both factors of each and
    narrows the result, scores and weights included, where the pieces of attention stayed in float32.

    Before: ``y = Attention(q, k, v)`` in float16.
    After:  ``y = Cast<to=float16>(Attention(Cast<to=float>(q), …))``.
    Needs:  the element type.
    Keeps:  boolean masks.
    Skips:  attention with a cache.
    """

    backend: ClassVar[str] = "onnxruntime"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, RULES, self.name(), ctx)
