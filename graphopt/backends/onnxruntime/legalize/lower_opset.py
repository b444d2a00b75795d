"""LowerOpset: the newest version of an operator is not the one ONNX Runtime serves best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.backends.onnxruntime.opset import opset_for_onnxruntime
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass


@dataclass(frozen=True)
class LowerOpset(Pass):
    """Write an older opset number over nodes that mean the same in it, where ONNX Runtime is better at it.

    Before: opset 23 with an AveragePool, which ONNX Runtime computes up to nine times slower than opset 11's.
    After:  opset 18 and the same nodes.
    Needs:  the types of all values; no local functions.
    Keeps:  every node.
    Skips:  models that hold a node whose meaning is newer.
    """

    backend: ClassVar[str] = "onnxruntime"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Change the number."""
        own, lower = model.opset_imports.get("", 0), opset_for_onnxruntime(model)
        if lower is None or lower >= own:
            return False
        model.opset_imports[""] = lower
        ctx.applied(self.name(), None, f"opset {own} became {lower}")
        return True
