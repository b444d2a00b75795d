"""StandardizeNormalizations: normalisations that ONNX Runtime's optimizer wrote, as the standard has them."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.ops.op import DOMAIN
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rewriter import Rewriter, anchors
from graphopt.rewrite.rule import Rule

_SIMPLIFIED = "SimplifiedLayerNormalization"
"""Has no domain and no schema: it can be rewritten, but not checked or proven as the rules are."""

_RMS_OPSET = 23


def _draw(draw: Draw) -> None:
    for name in ("x", "skip"):
        draw.input(name, "B", "S", 8)
    for name in ("gamma", "beta", "bias"):
        draw.input(name, 8)
    for name in ("y", "total"):
        draw.result(name, "B", "S", 8)
    draw.attribute("e", draw.choice(1e-12, 1e-3))


def _rules(name: str, contrib: str, norm: str, vectors: str, min_opset: int) -> tuple[Rule, ...]:
    """With and without a bias on the sum; with the sum as a result or not."""
    sums = {
        "": (f"(x, skip, {vectors})", "total = Add (x, skip)"),
        "-with-bias": (f"(x, skip, {vectors}, bias)", "s = Add (x, bias); total = Add (s, skip)"),
    }
    return tuple(
        Rule(
            f"{name}{suffix}{'-and-sum' if outputs != 'y' else ''}",
            before=f"{outputs} = com.microsoft.{contrib} <epsilon = @e> {operands}",
            after=f"{total}; y = {norm} <axis = -1, epsilon = @e> (total, {vectors})",
            min_opset=min_opset,
            exact=False,
            dtypes=(ir.DataType.FLOAT,),
            draw=_draw,
        )
        for suffix, (operands, total) in sums.items()
        for outputs in ("y", "y, _, _, total")
    )


RULES = (
    *_rules("layer", "SkipLayerNormalization", "LayerNormalization", "gamma, beta", 17),
    *_rules("rms", "SkipSimplifiedLayerNormalization", "RMSNormalization", "gamma", _RMS_OPSET),
)


def _rewrite_simplified(model: ir.Model, pass_name: str, ctx: PassContext) -> bool:
    """RMSNormalization under its old name, whose attributes and defaults are the same."""
    rewriter = Rewriter(model, pass_name, ctx)
    for node in anchors(model, frozenset({_SIMPLIFIED}), DOMAIN):
        opset = rewriter.opset(node)
        x, *rest = node.inputs
        others = [value for value in node.outputs[1:] if value.uses() or value.is_graph_output()]
        if opset < _RMS_OPSET or others or x is None or len(rest) != 1 or rest[0] is None:
            continue
        known = {name: node.attributes.get(name) for name in ("axis", "epsilon", "stash_type")}
        if any(attribute is not None and attribute.is_ref() for attribute in known.values()):
            continue
        attributes = {name: None if a is None else a.value for name, a in known.items()}
        match = Match(node, (node,), {"x": x, "scale": rest[0], "y": node.outputs[0]}, attributes, opset)
        text = "y = RMSNormalization <axis = @axis, epsilon = @epsilon, stash_type = @stash_type> (x, scale)"
        rewriter.replace(match, ("y",), Replacement(text), "simplified")
    return rewriter.count > 0


@dataclass(frozen=True)
class StandardizeNormalizations(Pass):
    """Write the normalisations of ONNX Runtime's own as standard operators.

    Before: ``com.microsoft.SkipLayerNormalization``, ``com.microsoft.SkipSimplifiedLayerNormalization``,
        ``SimplifiedLayerNormalization``, as its optimizer leaves them.
    After:  the sum, and ``LayerNormalization`` or ``RMSNormalization``.
    Needs:  opset 17; 23 for RMSNormalization.
    Keeps:  the sum as a result of its own.
    Skips:  nodes whose mean or deviation is read; a SkipLayerNormalization without beta.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules, then rename what has no schema."""
        changed = apply(model, RULES, self.name(), ctx)
        return _rewrite_simplified(model, self.name(), ctx) or changed
