"""Plans of models in ONNX text."""

from __future__ import annotations

from collections import Counter

import onnx.parser
import onnx_ir as ir

from graphopt.backends.native.plan import Program, Step
from graphopt.backends.native.region import compile_region
from graphopt.ir.shapes import infer_shapes


def model_of(text: str, opset: int = 23) -> ir.Model:
    """A model with inferred shapes; ``text`` is its graph."""
    model = ir.from_proto(onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": {opset}]>\n{text}'))
    for number, node in enumerate(model.graph.all_nodes()):
        node.name = f"{node.op_type}_{number}"
    infer_shapes(model)
    return model


def plan_of(text: str, opset: int = 23) -> Program:
    """Its plan."""
    return compile_region(model_of(text, opset))


def ops(program: Program) -> Counter[str]:
    """How many steps of each operator there are."""
    return Counter(step.op for step in program.all_steps())


def only(program: Program, op: str) -> Step:
    """The one step of an operator."""
    (step,) = (step for step in program.all_steps() if step.op == op)
    return step
