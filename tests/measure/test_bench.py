"""``bench`` on a small model, on its artifact, and on what does not exist."""

import json
import shutil

import numpy as np
import onnx
import onnx.parser
import pytest

from graphopt.artifact.pack import pack
from graphopt.driver.bench import bench
from graphopt.driver.compile import compile_model
from graphopt.errors import ArtifactError, FeedError, ModelError, UsageError

QUICK = {"budget_seconds": 0.2, "threads": 1}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "m.onnx"
    text = (
        '<ir_version: 8, opset_import: ["" : 17]>'
        "f (float[N,32] x) => (float[N,32] z) { a = MatMul(x, w)  b = Identity(a)  z = Relu(b) }"
    )
    parsed = onnx.parser.parse_model(text)
    weights = np.random.default_rng(0).normal(size=(32, 32)).astype(np.float32)
    parsed.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    parsed.graph.input[0].name = parsed.graph.node[0].input[0] = "x:0"
    onnx.save(parsed, path)
    return path


@pytest.fixture(scope="module")
def artifact(model):
    return compile_model(
        model, output=model.with_suffix(".gopt"), measure=False, equality="off", threads=1
    ).path


def test_a_model_is_measured_beside_itself_without_optimisations(model):
    report = bench(model, **QUICK)
    assert report.kind == "model"
    assert report.subject.name == "onnxruntime"
    assert [other.name for other in report.beside] == ["onnxruntime, optimisations off"]
    values = [found.value for found in report.subject.latency_us]
    assert values == sorted(values)
    assert all(0 < found.low <= found.value for found in report.subject.latency_us)
    assert report.subject.throughput.low <= report.subject.throughput.value <= report.subject.throughput.high
    assert report.subject.peak_rss_bytes > report.subject.rss_before_load_bytes > 0
    assert list(report.feeds) == ["x:0"]


def test_the_record_is_json_with_its_conditions(model):
    report = bench(model, **QUICK, baseline=False)
    plain = json.loads(json.dumps(report.to_json()))
    assert list(plain["engines"][0]["latency_us"]) == ["p50", "p90", "p95", "p99"]
    assert (plain["ratios"], plain["conditions"]["threads"]) == ({}, 1)
    assert plain["conditions"]["machine"]
    assert {"python", "graphopt", "onnxruntime"} <= set(plain["versions"])
    assert "comparison" not in plain
    assert json.dumps(report.to_json(samples=True)["comparison"]["engines"][0]["samples_ns"])


def test_an_artifact_is_measured_beside_the_model_it_came_from(artifact):
    report = bench(artifact, **QUICK)
    assert report.kind == "artifact"
    assert report.subject.name == "graphopt"
    names = ["onnxruntime", "onnxruntime on the optimised graph"]
    assert [other.name for other in report.beside] == names
    assert list(report.ratios) == names
    assert not report.failed


def test_an_original_that_changed_is_not_taken_for_it(artifact, model):
    content = model.read_bytes()
    try:
        model.write_bytes(content + b"\x00")
        report = bench(artifact, **QUICK)
    finally:
        model.write_bytes(content)
    assert [other.name for other in report.beside] == ["onnxruntime on the optimised graph"]


def test_a_packed_artifact_is_recognised_whatever_its_name(artifact, tmp_path):
    report = bench(pack(artifact, tmp_path / "packed"), **QUICK)
    assert report.kind == "artifact"
    assert not report.failed


def test_the_baseline_can_be_named(artifact, model, tmp_path):
    other = shutil.copy(model, tmp_path / "other.onnx")
    report = bench(artifact, **QUICK, baseline=other)
    assert [other.name for other in report.beside] == ["onnxruntime on other.onnx"]


def test_a_baseline_that_fails_is_a_reason_and_no_error(artifact, tmp_path):
    (tmp_path / "damaged.onnx").write_bytes(b"\x08\x07 no model")
    report = bench(artifact, **QUICK, baseline=tmp_path / "damaged.onnx")
    assert report.beside == ()
    assert "onnxruntime refuses the model" in report.failed["onnxruntime on damaged.onnx"]


def test_feeds_can_be_given(model, tmp_path):
    feeds = {"x:0": np.ones((7, 32), np.float32)}
    assert bench(model, **QUICK, baseline=False, feeds=feeds).feeds == {"x:0": "float32[7, 32]"}
    np.savez(tmp_path / "in.npz", **feeds)
    assert bench(model, **QUICK, baseline=False, inputs=tmp_path / "in.npz").feeds == {
        "x:0": "float32[7, 32]"
    }


def test_feeds_that_do_not_fit_are_refused(model, tmp_path):
    with pytest.raises(FeedError, match="x:0"):
        bench(model, **QUICK, feeds={"y": np.ones(3, np.float32)})
    with pytest.raises(FeedError):
        bench(model, **QUICK, feeds={"x:0": np.ones((7, 31), np.float32)})
    with pytest.raises(UsageError, match="one of them"):
        bench(model, **QUICK, feeds={}, inputs=tmp_path / "in.npz")


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"absent\.onnx"):
        bench(tmp_path / "absent.onnx")
    with pytest.raises(ArtifactError, match=r"absent\.gopt"):
        bench(tmp_path / "absent.gopt")
    (tmp_path / "m.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError):
        bench(tmp_path / "m.onnx")
