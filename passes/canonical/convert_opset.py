"""ConvertOpset: one opset for the model and its functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir.levels import Level
from graphopt.ir.opset.convert import convert, target_version
from graphopt.ir.opset.scene import Refused
from graphopt.ir.shapes import infer_shapes
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass


@dataclass(frozen=True)
class ConvertOpset(Pass):
    """Bring the standard operators of the model and of its functions to the canonical opset.

    Before: ``Squeeze(x) {axes=[1]}`` at opset 11.
    After:  ``Squeeze(x, [1])`` at opset 23.
    Needs:  graphs in topological order.
    Keeps:  models at opset 24 to 26 at theirs; other domains; names, metadata, dims.
    Skips:  the whole model when one of its nodes cannot be said in the new opset: it keeps its own.
    """

    level: ClassVar[Level] = Level.IMPORTED
    """It may leave Constant nodes behind, for lift-constants."""

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Convert everything or nothing; raises ModelError for what is newer than any backend."""
        before = model.opset_imports.get("")
        try:
            changed = convert(model, lambda: infer_shapes(model))
        except Refused as refusal:
            ctx.warn(self.name(), None, f"the model stays at opset {before}: {refusal}")
            return False
        if changed and before != target_version(model):
            ctx.applied(self.name(), None, f"opset {before} became {target_version(model)}")
        return changed
