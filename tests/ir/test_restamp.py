"""The lowest opset at which the same nodes mean the same."""

from __future__ import annotations

import numpy as np
import onnx.parser
import onnx_ir as ir
import pytest

from graphopt.ir.load import load_model
from graphopt.ir.opset.restamp import lowest_opset
from graphopt.ir.save import to_bytes
from graphopt.ir.shapes import infer_shapes
from tests.ir.test_opset import IMAGE, run


def _model(
    body: str, opset: int = 23, types: str = "float[1, 2, 4, 6] x, float[1, 4] r, int64[1] b"
) -> ir.Model:
    text = f'<ir_version: 10, opset_import: ["": {opset}]>\ng ({types}) => (y) {{ {body} }}'
    model = onnx.parser.parse_model(text)
    model = onnx.shape_inference.infer_shapes(model)
    loaded = load_model(model)
    infer_shapes(loaded)
    return loaded


@pytest.mark.parametrize(
    ("body", "lowest"),
    [
        ("y = Relu (x)", 18),
        ("y = AveragePool <kernel_shape = [2, 2]> (x)", 18),
        ("y = AveragePool <kernel_shape = [2, 2], dilations = [2, 2]> (x)", 19),
        ('y = RoiAlign <coordinate_transformation_mode = "output_half_pixel"> (x, r, b)', 18),
        ("y = Gelu (x)", 20),
        ("s = Identity (r) y = RMSNormalization (x, s)", 23),
        ("y = DFT (x)", 20),
        ("y = Cast <to = 1> (x)", 18),
        ("y = Cast <to = 1, saturate = 1> (x)", 19),
        ("y = Reshape <allowzero = 1> (x, b)", 18),
    ],
)
def test_lowest(body: str, lowest: int) -> None:
    assert lowest_opset(_model(body)) == lowest


def test_types_count() -> None:
    types = "bfloat16[2] x"
    assert lowest_opset(_model("y = Relu (x)", types=types)) == 18
    assert lowest_opset(_model("y = Elu (x)", types=types)) == 22
    assert lowest_opset(_model("y = Elu (x)", types="float16[2] x")) == 18


def test_an_older_model_stays_at_its_own() -> None:
    assert lowest_opset(_model("y = Relu (x)", opset=13)) == 13


def test_functions_count() -> None:
    text = """<ir_version: 10, opset_import: ["": 23, "f": 1]>
    g (float[2, 3] x) => (float[2, 3] y) { y = f.act (x) }
    <domain: "f", opset_import: ["": 23]>
    act (x) => (y) { y = Gelu (x) }"""
    model = load_model(onnx.parser.parse_model(text))
    infer_shapes(model)
    assert lowest_opset(model) >= 20


def test_the_restamped_model_computes_the_same() -> None:
    model = _model("p = AveragePool <kernel_shape = [2, 2], pads = [0, 0, 1, 1]> (x)  y = Relu (p)")
    feeds = {"x": IMAGE, "r": np.zeros((1, 4), np.float32), "b": np.zeros(1, np.int64)}
    want = run(to_bytes(model), feeds)
    model.opset_imports[""] = lowest_opset(model)
    got = run(to_bytes(model), feeds)
    assert np.abs(got[0] - want[0]).max() <= 4 * np.finfo(np.float32).eps * np.abs(want[0]).max()
