"""RaiseIrVersion: a file format in which weights need not be inputs."""

from __future__ import annotations

from dataclasses import dataclass

import onnx
import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass

# 4: initializers need not be inputs. 8: functions. 10: types of values in functions, 4-bit integers.
_LOWEST = 10


@dataclass(frozen=True)
class RaiseIrVersion(Pass):
    """Raise the IR version to what the compiler's own constructs and the model's opset need.

    Before: IR version 3, every initializer also an input of the graph.
    After:  IR version 10 or what the opset asks for; those initializers are constants.
    Needs:  nothing.
    Keeps:  initializers that are inputs at IR version 4 and up: defaults a caller may override.
    Skips:  models that are new enough.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Raise the version; below 4, take the initializers out of the inputs."""
        imports = [onnx.helper.make_opsetid(d, v) for d, v in model.opset_imports.items()]
        needed = max(_LOWEST, onnx.helper.find_min_ir_version_for(imports, ignore_unknown=True))
        if model.ir_version >= needed:
            return False
        if model.ir_version < 4:
            freed = [value for value in model.graph.inputs if value.is_initializer()]
            for value in freed:
                model.graph.inputs.remove(value)
            if freed:
                ctx.applied(self.name(), None, f"{len(freed)} weights are no longer inputs")
        ctx.applied(self.name(), None, f"IR version {model.ir_version} became {needed}")
        model.ir_version = needed
        return True
