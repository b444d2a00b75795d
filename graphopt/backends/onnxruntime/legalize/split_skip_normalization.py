"""SplitSkipNormalization: a sum and its normalisation are two vectorised kernels, not one scalar one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.backends.onnxruntime.settings import disable_optimizers
from graphopt.ir import walk
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.rule import Rule

_FUSION = "SkipLayerNormFusion"


def _draw(draw: Draw) -> None:
    draw.input("x", "B", "S", 8)
    draw.input("skip", "B", "S", 8)
    for name in ("gamma", "beta", "bias"):
        draw.input(name, 8)
    for name in ("y", "total"):
        draw.result(name, "B", "S", 8)
    draw.attribute("e", draw.choice(1e-12, 1e-5))


def _rules(contrib: str, standard: str, weights: str, min_opset: int) -> tuple[Rule, ...]:
    """For one kind of normalisation: with and without a bias on the sum; the sum itself may be used."""
    norm = f"y = {standard} <axis = -1, epsilon = @e> (total, {weights})"
    spellings = {
        "": (f"(x, skip, {weights})", "total = Add (x, skip)"),
        "-with-bias": (f"(x, skip, {weights}, bias)", "b = Add (x, bias); total = Add (b, skip)"),
    }
    return tuple(
        Rule(
            f"{standard.lower()}{suffix}{'-and-total' if outputs != 'y' else ''}",
            before=f"{outputs} = com.microsoft.{contrib} <epsilon = @e> {inputs}",
            after=f"{total}; {norm}",
            min_opset=min_opset,
            exact=False,
            dtypes=(ir.DataType.FLOAT,),
            draw=_draw,
        )
        for suffix, (inputs, total) in spellings.items()
        for outputs in ("y", "y, _, _, total")
    )


RULES = (
    *_rules("SkipLayerNormalization", "LayerNormalization", "gamma, beta", 17),
    *_rules("SkipSimplifiedLayerNormalization", "RMSNormalization", "gamma", 23),
)


@dataclass(frozen=True)
class SplitSkipNormalization(Pass):
    """Keep a residual sum and its normalisation apart: ONNX Runtime's kernel for both is not vectorised.

    As of 1.31 the two kernels are three to nine times as fast as the one, and the runtime fuses them of
    its own accord where the shapes are known.

    Before: ``y = com.microsoft.SkipLayerNormalization(x, skip, gamma, beta)``, or ``y =
            LayerNormalization(Add(x, skip), gamma, beta)``, which ONNX Runtime would turn into the former.
    After:  ``y = LayerNormalization(Add(x, skip), gamma, beta)``, with ONNX Runtime's fusion switched off.
    Needs:  nothing.
    Keeps:  the sum as a result of its own, where something reads it.
    Skips:  a normalisation whose mean or deviation is read, and those of float16, which have no other kernel.
    """

    backend: ClassVar[str] = "onnxruntime"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere, then look for what ONNX Runtime would fuse."""
        changed = apply(model, RULES, self.name(), ctx)
        tempting = next((node for node in walk.nodes(model) if _would_fuse(node)), None)
        if tempting is not None and disable_optimizers(model, [_FUSION]):
            ctx.applied(self.name(), tempting, f"ONNX Runtime is told to leave it alone ({_FUSION})")
            changed = True
        return changed


def _would_fuse(node: ir.Node) -> bool:
    if node.op_type != "LayerNormalization" or node.domain != "" or not node.inputs:
        return False
    source = node.inputs[0]
    producer = source.producer() if source is not None else None
    return producer is not None and producer.op_type == "Add" and producer.domain == ""
