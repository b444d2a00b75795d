"""A backend's own passes run on its regions, are part of the pipeline, and are dropped when they fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import pytest

import graphopt
from graphopt.artifact.reader import open_artifact
from graphopt.driver.legalize import for_onnxruntime, optimize_for, steps_of
from graphopt.driver.opt import import_model, pipeline
from graphopt.pipeline.manager import flatten
from graphopt.pipeline.pass_base import Pass
from tests.legalize.wrong import ALL_WRONG, NeverAsked

POST_NORM = """
<ir_version: 10, opset_import: ["": 23]>
g (float[2,5,8] x, float[2,5,8] r) => (float[2,5,8] y)
<float[8] s = {1, 2, 3, 4, 5, 6, 7, 8}, float[8] b = {0, 1, 0, 1, 0, 1, 0, 1}>
{
  a = Add (x, r)
  n = LayerNormalization (a, s, b)
  y = Sigmoid (n)
}
"""
CALLS = """
<ir_version: 10, opset_import: ["": 23, "graphopt": 1]>
g (float[2,5,8] x, bool c) => (float[2,5,8] y) {
  h = graphopt.Silu (x)
  y = If (c) <then_branch = t () => (p) { p = graphopt.Silu (h) }, else_branch = e () => (q) { q = Neg (h) }>
}
<domain: "graphopt", opset_import: ["": 23]>
Silu (x) => (y) {
  g = Sigmoid (x)
  y = Mul (x, g)
}
"""


def proto(text: str) -> onnx.ModelProto:
    """A model in ONNX text."""
    return onnx.parser.parse_model(text)


def _compile(model: onnx.ModelProto, **options: Any) -> graphopt.CompileResult:
    """Compile for ONNX Runtime, whose passes these tests are about."""
    return graphopt.compile(model, backends=("onnxruntime",), **options)


def names(steps: object) -> list[str]:
    """Names of the passes of a pipeline."""
    return [step.name() for step in flatten(steps)]  # type: ignore[arg-type]


def region(path: Path) -> onnx.ModelProto:
    """The only region of an artifact."""
    (entry,) = open_artifact(path).manifest.regions
    return onnx.load_from_string((path / entry.file).read_bytes())


def test_o2_ends_with_the_backend_and_o1_does_not() -> None:
    own = for_onnxruntime()
    assert names(pipeline(level=2, legalize=own))[-len(own) :] == names(own)
    assert not steps_of(pipeline(level=1, legalize=own), "onnxruntime")
    assert not steps_of(pipeline("canonical", legalize=own), "onnxruntime")
    assert names(steps_of(pipeline("canonical,onnxruntime"), "onnxruntime")) == names(own)
    assert not steps_of(pipeline(level=2, legalize=own, disabled=["onnxruntime"]), "onnxruntime")


def test_the_pipeline_that_is_recorded_holds_the_legalisation(tmp_path: Path) -> None:
    first = _compile(proto(POST_NORM), output=tmp_path / "a.gopt", measure=False)
    manifest = open_artifact(first.path).manifest
    assert "split-skip-normalization" in str(manifest.details["pipeline"])
    assert "split-skip-normalization" in {effect.pass_text for effect in first.report.effects}
    again = _compile(proto(POST_NORM), output=tmp_path / "b.gopt", replay=first.path)
    assert region(again.path) == region(first.path)


@pytest.mark.parametrize("wrong", ALL_WRONG, ids=lambda cls: cls.name())
def test_a_wrong_pass_is_dropped_and_named(wrong: type[Pass], tmp_path: Path) -> None:
    passes = ["canonical,simplify,fold", wrong(), "split-skip-normalization"]
    done = _compile(proto(POST_NORM), output=tmp_path / "m.gopt", passes=passes, measure=False)
    assert [dropped.pass_text for dropped in done.report.dropped] == [wrong.name()]
    assert done.report.equality is not None
    assert done.report.equality["equal"]
    ran = {effect.pass_text for effect in done.report.effects}
    assert wrong.name() not in ran
    assert "split-skip-normalization" in ran


def test_bisect_finds_a_wrong_one(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(proto(POST_NORM), path)
    report = graphopt.bisect(path, passes=["canonical", ALL_WRONG[0](), "fold"])
    assert report.guilty == ALL_WRONG[0].name()


def test_a_pass_of_another_backend_does_not_run(tmp_path: Path) -> None:
    passes = ["canonical", NeverAsked()]
    done = _compile(proto(POST_NORM), output=tmp_path / "m.gopt", passes=passes, measure=False)
    assert not done.report.dropped


def test_the_settings_a_region_wants_reach_the_session(tmp_path: Path) -> None:
    done = _compile(proto(POST_NORM), output=tmp_path / "m.gopt", measure=False)
    (entry,) = open_artifact(done.path).manifest.regions
    config = entry.options["session_config"]
    assert config == {"optimization.disable_specified_optimizers": "SkipLayerNormFusion"}
    assert "SkipLayerNormalization" in optimised_ops(region(done.path), tmp_path, {})
    assert "SkipLayerNormalization" not in optimised_ops(region(done.path), tmp_path, config)
    x = np.ones((2, 5, 8), np.float32)
    assert graphopt.load(done.path).run({"x": x, "r": x})["y"].shape == (2, 5, 8)


def optimised_ops(model: onnx.ModelProto, folder: Path, config: dict[str, str]) -> set[str]:
    """Operators of the graph that ONNX Runtime runs."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    for key, value in config.items():
        options.add_session_config_entry(key, value)
    ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return {node.op_type for node in onnx.load(folder / "optimised.onnx").graph.node}


def test_calls_reach_the_legalisation_and_are_inlined_after_it(tmp_path: Path) -> None:
    done = _compile(proto(CALLS), output=tmp_path / "m.gopt", measure=False)
    assert [f.name for f in onnx.load(done.path / "model.onnx").functions] == ["Silu"]
    built = region(done.path)
    assert not built.functions
    assert {node.domain for node in built.graph.node} <= {"", "com.microsoft"}


def test_opt_for_a_backend_writes_what_its_runtime_runs_alone(tmp_path: Path) -> None:
    for text in (CALLS, POST_NORM):
        done = optimize_for(import_model(proto(text)), pipeline(level=2), "onnxruntime")
        written = graphopt_proto(done.model)
        assert not written.functions
        before = ort.InferenceSession(proto(text).SerializeToString(), providers=["CPUExecutionProvider"])
        after = ort.InferenceSession(written.SerializeToString(), providers=["CPUExecutionProvider"])
        rng = np.random.default_rng(3)
        feeds = {
            i.name: np.array(True) if i.type == "tensor(bool)" else rng.standard_normal((2, 5, 8)).astype("f")
            for i in before.get_inputs()
        }
        for one, other in zip(before.run(None, feeds), after.run(None, feeds), strict=True):
            assert np.max(np.abs(one - other)) < 8 * np.spacing(np.max(np.abs(one)))


def test_the_written_model_says_which_settings_it_wants() -> None:
    done = optimize_for(import_model(proto(POST_NORM)), pipeline(level=2), "onnxruntime")
    text = done.model.metadata_props["graphopt.onnxruntime.session_config"]
    assert json.loads(text) == {"optimization.disable_specified_optimizers": "SkipLayerNormFusion"}


def test_a_disabled_pass_stays_away_from_the_backend_too() -> None:
    off = ["split-skip-normalization"]
    steps = pipeline(level=2, disabled=off)
    done = optimize_for(import_model(proto(POST_NORM)), steps, "onnxruntime", disabled=off)
    assert off[0] not in names(done.steps)
    assert "graphopt.onnxruntime.session_config" not in done.model.metadata_props


def graphopt_proto(model: object) -> onnx.ModelProto:
    """An ``onnx_ir`` model as a protobuf."""
    import onnx_ir as ir

    assert isinstance(model, ir.Model)
    return ir.to_proto(model)
