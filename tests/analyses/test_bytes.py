"""Bytes moved per node."""

from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest

from graphopt.ir.analyses.bytes import Traffic, model_bytes, node_bytes

HEADER = '<ir_version: 10, opset_import: ["" : 23]>'


def first(text: str) -> ir.Node:
    proto = onnx.shape_inference.infer_shapes(onnx.parser.parse_model(f"{HEADER} {text}"))
    return ir.from_proto(proto).graph[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "g (float[2,2] x) => (float[2,4] y) <float[2,4] w = {0,0,0,0,0,0,0,0}> { y = MatMul(x, w) }",
            Traffic(weights=32, read=16, written=32),
        ),
        ("g (float[4] x) => (float[4] y) { y = Mul(x, x) }", Traffic(0, 16, 16)),
        ("g (float[2,3] x, int64[1] s) => (float[6] y) { y = Reshape(x, s) }", Traffic(0, 0, 0)),
        ("g (float[2,3] x) => (int64[2] y) { y = Shape(x) }", Traffic(0, 0, 0)),
        ("g (float[9,5] x, int64[2] i) => (float[2,5] y) { y = Gather(x, i) }", Traffic(0, 40 + 16, 40)),
        ("g (float16[8] x) => (int4[8] y) { y = Cast<to = 22>(x) }", Traffic(0, 16, 4)),
    ],
)
def test_operands_once_and_results_once(text: str, expected: Traffic) -> None:
    assert node_bytes(first(text)) == expected


def test_unknown_sizes() -> None:
    node = first("g (float[N] x) => (float[N] y) { y = Relu(x) }")
    assert node_bytes(node) is None
    assert node_bytes(node, {"N": 10}) == Traffic(0, 40, 40)
    assert node_bytes(first("g (string[3] x) => (string[3] y) { y = Identity(x) }")) == Traffic(0, 0, 0)


def test_totals_take_the_dearest_branch() -> None:
    text = f"""{HEADER} g (bool c, float[4] x) => (float[4] y) {{
      y = If(c) <then_branch = t () => (float[4] p) {{ q = Abs(x)  p = Neg(q) }},
                 else_branch = e () => (float[4] r) {{ r = Relu(x) }}> }}"""
    model = ir.from_proto(onnx.shape_inference.infer_shapes(onnx.parser.parse_model(text)))
    assert (model_bytes(model).total, model_bytes(model).unknown) == (4 * 16, 0)
