"""``inspect``: models, artifacts, and how it prints."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import pytest
from rich.console import Console

from graphopt.driver.inspect import InspectReport, inspect
from graphopt.errors import ModelError, UsageError
from graphopt.report.inspection import render
from tests.report.sample import BEFORE

if TYPE_CHECKING:
    from tests.conftest import Zoo

# Shapes computed the way exporters of dynamic models write them.
DYNAMIC = """<ir_version: 8, opset_import: ["" : 17]>
g (float[batch,seq,8] x) => (float[batch,seq,2,4] y)
<int64[1] zero = {0}, int64[1] one = {1}, int64[2] rest = {2,4}> {
  s = Shape(x)
  b = Gather(s, zero)
  l = Gather(s, one)
  t = Concat<axis = 0>(b, l, rest)
  r = Reshape(x, t)
  y = Relu(r)
}"""


def looked_at(text: str, **options: object) -> InspectReport:
    return inspect(onnx.parser.parse_model(text), **options)  # type: ignore[arg-type]


def printed(report: InspectReport, **options: object) -> str:
    out = io.StringIO()
    render(report, Console(file=out, width=140, color_system=None), **options)  # type: ignore[arg-type]
    return out.getvalue()


def test_figures_of_a_model() -> None:
    report = looked_at(BEFORE)
    assert report.dims == {"N": 1}
    assert report.assumed == ("N",)
    assert report.flops == 2 * 8 * 4 + 4 + 4
    assert report.weight_bytes_by_dtype == {"float": 144}
    assert report.parameters == 36
    assert report.bytes_moved == (32 + 128 + 16) + (16 + 16 + 16) + (16 + 16)
    assert report.peak_activation_bytes == 32 + 16
    assert report.inputs == ("x: float32[N,8]",)
    assert [row.op for row in report.top(1)] == ["MatMul"]
    json.dumps(report.to_json())


@pytest.mark.parametrize("shapes", [["x:5x8"], {"x": [5, 8]}])
def test_given_shapes_are_not_assumed(shapes: object) -> None:
    report = looked_at(BEFORE, shapes=shapes)
    assert (report.dims, report.assumed) == ({"N": 5}, ())
    assert report.flops == 5 * (2 * 8 * 4 + 4 + 4)


def test_shapes_the_model_computes_are_known() -> None:
    report = looked_at(DYNAMIC)
    assert report.dims == {"batch": 1, "seq": 128}
    assert report.flops == 128 * 8
    assert (report.uncounted, report.bytes_unknown, report.activations_unknown) == ({}, 0, 0)


def test_open_height_and_width_are_an_image() -> None:
    text = '<ir_version: 8, opset_import: ["" : 17]> g (float[n,3,h,w] x) => (float y) { y = Relu(x) }'
    assert looked_at(text).dims == {"n": 1, "h": 224, "w": 224}


def test_inside_of_branches() -> None:
    text = """<ir_version: 10, opset_import: ["" : 20]>
    g (bool c, float[4] x) => (float[4] y) {
      [pick] y = If(c) <then_branch = t () => (float[4] p) { p = Neg(x) },
                        else_branch = e () => (float[4] q) { q = Sigmoid(x) }> }"""
    report = looked_at(text)
    assert {row.op: row.scope for row in report.rows} == {"If": "", "Neg": "pick", "Sigmoid": "pick"}
    assert report.flops == 4 * 4


def test_printing() -> None:
    text = printed(looked_at(BEFORE))
    for fact in ("x: float32[N,8]", "N=1 (assumed; say --shape for others)", "72 FLOP", "MatMul", "88.9 %"):
        assert fact in text, text
    assert printed(looked_at(BEFORE), every_node=True).count("float32[1,") == 4


def test_hostile_names_are_plain_text() -> None:
    text = printed(looked_at(BEFORE.replace("[matmul]", '["[red]\x1b[2J"]')), every_node=True)
    assert "\x1b" not in text
    assert "[red]" in text


def test_bad_sources(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"not a model")
    with pytest.raises(ModelError):
        inspect(tmp_path / "m.onnx")
    with pytest.raises(ModelError):
        inspect(tmp_path / "absent.onnx")
    with pytest.raises(UsageError):
        looked_at(BEFORE, shapes=["nope:1x8"])


def test_artifacts_folder_and_packed(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    from graphopt.artifact.pack import pack
    from graphopt.driver.compile import compile_model

    onnx.save(onnx.parser.parse_model(BEFORE), tmp_path / "m.onnx")
    compile_model(tmp_path / "m.onnx", output=tmp_path / "m.gopt", measure=False)
    pack(tmp_path / "m.gopt", tmp_path / "packed.gopt")
    folder, packed = inspect(tmp_path / "m.gopt"), inspect(tmp_path / "packed.gopt")
    assert folder.kind == packed.kind == "artifact"
    assert folder.artifact["regions"] == "1 native"
    assert folder.artifact["verdict"] in ("exact", "rounding")
    assert folder.fingerprint == packed.fingerprint
    assert folder.flops == packed.flops == 72


@pytest.mark.zoo
@pytest.mark.parametrize(
    ("name", "shapes", "gflop"),
    [
        # 3 layers of 12·d² multiply-adds per token and 2·s²·d for attention; d = 384, s = 128.
        ("bert_minilm_l3", ["input_ids:1x128"], 2 * 3 * (12 * 128 * 384**2 + 2 * 128**2 * 384) / 1e9),
        # Counted from the network's definition: no layer of it depends on the input's values.
        ("picodet_layout", [], 6.9),
    ],
)
def test_real_models(zoo: Zoo, name: str, shapes: list[str], gflop: float) -> None:
    report = inspect(zoo(name), shapes=shapes)
    assert abs(report.flops / 1e9 / gflop - 1) < 0.02
