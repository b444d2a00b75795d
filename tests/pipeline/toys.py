"""Small passes and models that the pipeline tests run."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass


@dataclass(frozen=True)
class RemoveOneRelu(Pass):
    """Removes the first Relu of a chain."""

    keep_last: bool = False
    domains: tuple[str, ...] = ("",)
    limit: int = 100

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        relus = [node for node in model.graph if node.op_type == "Relu"]
        if len(relus) <= (2 if self.keep_last else 1):
            return False
        relus[0].outputs[0].replace_all_uses_with(relus[0].inputs[0])
        model.graph.remove(relus[0], safe=True)
        ctx.applied(self.name(), relus[0], "one too many")
        return True


@dataclass(frozen=True)
class Flip(Pass):
    """Renames every Relu to Abs and back: never converges."""

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        for node in model.graph:
            node.op_type = {"Relu": "Abs", "Abs": "Relu"}.get(node.op_type, node.op_type)
        return True


@dataclass(frozen=True)
class LieAboutChange(Pass):
    """Changes the model and denies it."""

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        model.graph.node(0).op_type = "Abs"
        return False


@dataclass(frozen=True)
class BreakTheModel(Pass):
    """Leaves a dangling input behind."""

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        model.graph.node(0).replace_input_with(0, ir.val("from_nowhere"))
        return True


@dataclass(frozen=True)
class Raise(Pass):
    """Stumbles."""

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        raise KeyError("conv_weight")


TOYS: dict[str, type[Pass]] = {
    cls.name(): cls for cls in (RemoveOneRelu, Flip, LieAboutChange, BreakTheModel, Raise)
}


def relu_chain(length: int) -> ir.Model:
    """``y = Relu(… Relu(x))``."""
    lines, value = [], "x"
    for index in range(length):
        result = "y" if index == length - 1 else f"v{index}"
        lines.append(f"{result} = Relu({value})")
        value = result
    body = "\n".join(lines)
    return ir.from_onnx_text(
        f'<ir_version: 10, opset_import: ["" : 23]> chain (float[2,3] x) => (float[2,3] y) {{ {body} }}'
    )
