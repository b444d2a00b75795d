"""Small models as ONNX text, and what the driver does to them."""

from __future__ import annotations

import onnx
import onnx.parser
import onnx_ir as ir

from graphopt.rewrite.driver import Driver
from graphopt.rewrite.rule import Rule
from tests.rules.proof import Sink


def model(text: str, *, header: str = 'ir_version: 10, opset_import: ["": 23]') -> ir.Model:
    """A model from a graph in ONNX text, with inferred types and shapes."""
    return ir.from_proto(onnx.shape_inference.infer_shapes(onnx.parser.parse_model(f"<{header}> {text}")))


def ops(graph: ir.Graph | ir.Function) -> list[str]:
    """Operators in the order of the nodes."""
    return [node.op_type for node in graph]


def drive(target: ir.Model, *rules: Rule) -> tuple[Driver, Sink]:
    """Run a driver to its end, and check what it leaves behind."""
    sink = Sink()
    driver = Driver(target, rules, "test", sink)
    assert driver.run() == bool(sink.fired)
    assert driver.rewrites == len(sink.fired)
    onnx.checker.check_model(ir.to_proto(target), full_check=True)
    return driver, sink


IDENTITY = Rule("identity", before="y = Identity (x)", after="y = x")
GELU = Rule(
    "gelu",
    before="""
        d = Div (x, 1.4142135623730951) | Mul (x, 0.7071067811865476)
        e = Erf (d)
        a = Add (e, 1.0)
        m = Mul (x, a)
        y = Mul (m, 0.5)
    """,
    after='y = Gelu <approximate = "none"> (x)',
    exact=False,
)
