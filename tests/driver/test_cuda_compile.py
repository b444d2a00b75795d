"""A compile for GPUs that are not here, with the TensorRT that builds without one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest

import graphopt
from graphopt.artifact.reader import open_artifact
from graphopt.backends.engine_options import EngineOptions
from graphopt.backends.registry import find_backend
from graphopt.driver.explain_placement import explain_artifact
from graphopt.driver.legalize import optimize_for
from graphopt.driver.opt import import_model, pipeline
from graphopt.errors import BackendError, UsageError
from graphopt.report.html import render
from graphopt.targets.parse import parse_target

MLP = """
<ir_version: 10, opset_import: ["": 23]>
g (float[batch,16] x) => (float[batch,4] y) {
  [first] a = MatMul (x, w)
  [bias] c = Add (a, b)
  [bend] d = Gelu (c)
  [second] y = MatMul (d, v)
}
"""
HITS = """
<ir_version: 10, opset_import: ["": 23]>
g (float[8,16] x) => (float[8,16] y, int64[2,n] hits) {
  [product] p = MatMul (x, w)
  [find] hits = NonZero (p)
  y = Relu (p)
}
"""


@pytest.fixture(autouse=True)
def _tensorrt() -> None:
    """TensorRT that builds engines here."""
    backend = find_backend("tensorrt")
    answer = backend.availability()
    if not hasattr(answer, "version"):
        pytest.skip(f"no TensorRT: {answer}")


WEIGHTS = {"MLP": {"w": (16, 32), "b": (32,), "v": (32, 4)}, "HITS": {"w": (16, 16)}}


def model(text: str) -> onnx.ModelProto:
    """ONNX text with weights drawn at random."""
    proto = onnx.parser.parse_model(text)
    rng = np.random.default_rng(0)
    for name, shape in WEIGHTS["MLP" if text is MLP else "HITS"].items():
        proto.graph.initializer.append(
            onnx.numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)
        )
    return proto


def options_of(path: Path) -> dict[str, object]:
    """What the only engine of an artifact says about itself."""
    (region,) = [r for r in open_artifact(path).manifest.regions if r.backend == "tensorrt"]
    return dict(region.options)


def test_a_model_becomes_one_engine_and_is_judged_by_what_it_was_built_from(tmp_path: Path) -> None:
    shapes = {"x": (2, 16)}
    done = graphopt.compile(model(MLP), output=tmp_path / "m.gopt", target="cuda:sm_86,sm_89", shapes=shapes)
    (row,) = done.report.placement
    assert (row["backend"], row["share"], row["regions"]) == ("tensorrt", 1.0, 1)
    assert options_of(done.path)["architectures"] == ["sm_86", "sm_89"]
    equality = done.report.equality
    assert equality is not None
    assert equality["equal"]
    if not done.report.measurement.ratio:
        assert done.report.measurement.reason == "not measured: no sm_86 or sm_89 GPU here"
        (note,) = [text for text in equality["notes"] if "legalised" in text]
        assert note.endswith("the engine itself was not run: no sm_86 or sm_89 GPU here")
        assert done.report.next_command.startswith("graphopt inspect")
    page = render(done.report)
    assert "<h3>Engines</h3>" in page
    assert "100 %" in page


def test_options_and_ranges_reach_the_engine(tmp_path: Path) -> None:
    done = graphopt.compile(
        model(MLP),
        output=tmp_path / "m.gopt",
        target="cuda:sm_86",
        min_shapes=["x:1x16"],
        opt_shapes=["x:4x16"],
        max_shapes=["x:32x16"],
        engine=EngineOptions(workspace_bytes=64 << 20, builder_level=1, tf32=True),
    )
    found = options_of(done.path)
    assert found["profiles"] == [{"x": {"least": [1, 16], "usual": [4, 16], "most": [32, 16]}}]
    assert (found["workspace_bytes"], found["builder_level"], found["tf32"]) == (64 << 20, 1, True)
    assert done.report.options["ranges"]["x"]["most"] == [32, 16]
    assert done.report.options["engine"]["workspace_bytes"] == 64 << 20
    json.loads(done.report.to_text())


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_precision_is_written_into_the_graph(precision: str, tmp_path: Path) -> None:
    shapes = {"x": (2, 16)}
    done = graphopt.compile(
        model(MLP), output=tmp_path / "m.gopt", target="cuda:sm_86", shapes=shapes, precision=precision
    )
    assert done.report.precision is not None
    assert done.report.precision["asked"] == precision
    assert done.report.precision["converted"] >= 3
    assert done.report.equality is not None
    assert done.report.equality["equal"]
    written = onnx.load(done.path / "model.onnx").graph
    assert {v.type.tensor_type.elem_type for v in (*written.input, *written.output)} == {1}
    kind = {"fp16": onnx.TensorProto.FLOAT16, "bf16": onnx.TensorProto.BFLOAT16}[precision]
    assert kind in {tensor.data_type for tensor in written.initializer}
    details = open_artifact(done.path).manifest.details
    assert details["precision"]["asked"] == precision
    again = graphopt.compile(
        model(MLP), output=tmp_path / "r.gopt", target="cuda:sm_86", shapes=shapes, replay=done.path
    )
    assert again.report.precision == done.report.precision
    assert [e.pass_text for e in again.report.effects] == [e.pass_text for e in done.report.effects]


def test_what_tensorrt_refuses_is_named_with_its_reason(tmp_path: Path) -> None:
    done = graphopt.compile(model(HITS), output=tmp_path / "m.gopt", target="cuda:sm_86")
    rows = {row["backend"]: row for row in done.report.placement}
    assert rows["tensorrt"]["share"] > 0.9
    ((reason, nodes),) = rows["onnxruntime"]["fell_back"].items()
    assert nodes == ["find"]
    assert reason.startswith("tensorrt: ")
    found = explain_artifact(done.path, why_not="NonZero")
    assert [(group.where, group.nodes) for group in found.elsewhere] == [("onnxruntime", ("find",))]
    with pytest.raises(UsageError, match="nothing called 'Relu' fell back"):
        explain_artifact(done.path, why_not="Relu")
    with pytest.raises(BackendError, match=r"node 'find' \(NonZero\) would fall back"):
        graphopt.compile(model(HITS), output=tmp_path / "s.gopt", target="cuda:sm_86", strict=True)


def test_without_any_pass_it_still_ends_in_an_artifact(tmp_path: Path) -> None:
    done = graphopt.compile(model(HITS), output=tmp_path / "m.gopt", target="cuda:sm_86", level=0)
    assert done.report.equality is not None
    assert done.report.equality["equal"]


def test_opt_writes_what_an_engine_is_built_from() -> None:
    done = optimize_for(
        import_model(model(MLP), shapes={"x": (2, 16)}),
        pipeline(level=2),
        "tensorrt",
        precision="fp16",
        feeds=[{"x": np.ones((2, 16), np.float32)}],
    )
    names = [effect.pass_text.partition("{")[0] for effect in done.effects]
    assert "convert-precision" in names
    assert not done.model.functions
    with pytest.raises(UsageError, match="backend 'reference' is for cpu, not for cuda"):
        optimize_for(import_model(model(MLP)), (), "reference", target=parse_target("cuda:sm_86"))


BRAIN = """
<ir_version: 10, opset_import: ["": 23]>
g (float[2,4] x) => (float[2,4] y) {
  a = Cast <to = 16> (x)
  b = MatMul (a, k)
  c = Tanh (b)
  y = Cast <to = 1> (c)
}
"""


def test_a_model_in_bfloat16_is_emulated_and_compiled(tmp_path: Path) -> None:
    import ml_dtypes

    proto = onnx.parser.parse_model(BRAIN)
    weight = np.random.default_rng(0).normal(size=(4, 4)).astype(ml_dtypes.bfloat16)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(weight, "k"))
    done = graphopt.compile(proto, output=tmp_path / "m.gopt", target="cuda:sm_86")
    assert done.report.equality is not None
    assert done.report.equality["equal"]
    with pytest.raises(UsageError, match="the model computes in bfloat16 as it is"):
        graphopt.compile(proto, output=tmp_path / "m.gopt", target="cuda:sm_86", precision="fp16")


def test_precision_is_not_for_cpus(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a CPU gains nothing from fp16"):
        graphopt.compile(model(MLP), output=tmp_path / "m.gopt", precision="fp16")


def test_another_cpu_is_not_measured(tmp_path: Path) -> None:
    done = graphopt.compile(model(MLP), output=tmp_path / "m.gopt", target="zen2")
    assert done.report.measurement.ratio is None
    assert "is another machine than this one" in done.report.measurement.reason
