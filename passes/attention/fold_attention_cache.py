"""FoldAttentionCache: attention itself appends to the keys and values of earlier positions."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.passes.attention import _scores
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.dims import same_dim
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.rule import Refusal, Rule

_POSITIONS = 2


def _refuses(match: Match) -> str | None:
    shapes = {name: match.shape(name) for name in ("q", "k0", "v0", "pk", "pv")}
    if any(shape is None or len(shape) != 4 for shape in shapes.values()):
        return "an operand is not known to have a dim of heads"
    if any(match.attr_int(name) not in (_POSITIONS, _POSITIONS - 4) for name in ("ka", "va")):
        return "keys or values are not appended along the positions"
    for new, old in (("k0", "pk"), ("v0", "pv")):
        before, after = shapes[old], shapes[new]
        if before is None or after is None:
            return "an operand is not known to have a dim of heads"
        if not same_dim(before[1], after[1]) or not same_dim(before[3], after[3]):
            return "what is appended differs in its heads"
    if match.attr_int("causal"):
        return "which keys a query may see would change"
    if not all(_is_kept(match.value(name), match.root) for name in ("k", "v")):
        return "the appended keys and values are not kept for later"
    return None


def _is_kept(value: ir.Value, attention: ir.Node) -> bool:
    return value.is_graph_output() or any(use.node is not attention for use in value.uses())


def _draw(draw: Draw, axis: int = _POSITIONS) -> None:
    draw.input("q", "B", 2, "S", 4)
    for name in ("k", "v"):
        draw.input(f"{name}0", "B", 2, 2, 4)
        draw.input(f"p{name}", "B", 2, 2, 4)
        draw.attribute(f"{name}a", axis)
    draw.omit("mask")
    draw.attribute("scale", draw.choice(0.5, None))
    draw.attribute("softcap", 0.0)
    draw.attribute("causal", 0)
    draw.attribute("precision", None)


def _draw_heads(draw: Draw) -> None:
    """More heads instead of more positions."""
    _draw(draw, axis=1)


_ATTRIBUTES = "scale = @scale, softcap = @softcap, is_causal = @causal, softmax_precision = @precision"

RULES = (
    Rule(
        "appended-keys-and-values",
        before=f"""
            appended (q, k0, v0, pk, pv) => (y, k, v) {{
              k = Concat <axis = @ka> (pk, k0)
              v = Concat <axis = @va> (pv, v0)
              y = Attention <{_ATTRIBUTES}> (q, k, v, mask?)
            }}
        """,
        after=f"y, k, v = Attention <{_ATTRIBUTES}> (q, k0, v0, mask?, pk, pv)",
        guard=_refuses,
        min_opset=23,
        exact=False,
        dtypes=_scores.TYPES,
        draw=_draw,
        refusals=(Refusal(_draw_heads, "along the positions"),),
    ),
)


@dataclass(frozen=True)
class FoldAttentionCache(Pass):
    """Let attention append new keys and values to those of earlier positions and return both.

    Before: ``k = Concat<axis=2>(past_k, k0); v = Concat<axis=2>(past_v, v0); y = Attention(q, k, v)``.
    After:  ``y, k, v = Attention(q, k0, v0, past_key=past_k, past_value=past_v)``.
    Needs:  operands of four dims; k and v are read elsewhere too, as they are where they are kept for later.
    Keeps:  the names of k and v.
    Skips:  causal attention: its diagonal would move.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, RULES, self.name(), ctx)
