"""What the benchmark measures, and what it says of the claims."""

import json

import numpy as np
import onnxruntime
import pytest

from benchmarks import per_op
from benchmarks.claims import claims
from benchmarks.per_op import KINDS, kind_of
from benchmarks.roof import roof
from benchmarks.workloads import GROUPS, WORKLOADS, expand_workloads
from graphopt import _kernels


def test_groups_are_of_known_workloads_and_names_come_once():
    assert {name for group in GROUPS.values() for name in group} <= set(WORKLOADS)
    assert expand_workloads(["variants", "resnet50_he"]) == list(GROUPS["variants"])
    with pytest.raises(KeyError):
        expand_workloads(["resnet51"])


def test_feeds_have_the_extents_of_the_variant():
    found = WORKLOADS["bert_minilm_l3_128"].feeds()
    assert {name: array.shape for name, array in found.items()} == {
        "input_ids": (1, 128),
        "attention_mask": (1, 128),
    }


def test_constants_have_the_dtype_of_their_input():
    (value,) = WORKLOADS["silero_vad_16k"].compile_options()["constants"].values()
    assert value.dtype == np.int64
    assert value == 16000
    assert WORKLOADS["silero_vad"].compile_options() == {}


def test_seeded_weights_make_a_network_that_computes(tmp_path):
    workload = WORKLOADS["resnet50_he"]
    feeds = workload.feeds()
    session = onnxruntime.InferenceSession(workload.file(tmp_path))
    answers = [session.run(None, feeds)[0], session.run(None, workload.feeds(seed=1))[0]]
    assert all(np.isfinite(answer).all() for answer in answers)
    # Constant weights give 1000 equal probabilities whatever the image.
    assert np.ptp(answers[0]) > 1e-4
    assert not np.array_equal(*answers)
    bounds = roof(tmp_path / "resnet50_he.onnx", feeds, 1)
    assert bounds["flops"] == pytest.approx(8.2e9, rel=0.05)
    assert bounds["peak"] > 1e9


def _row(model, ours, openvino, *, float32=True, variant=False):
    def engine(time):
        start = [{"load_seconds": 1.0, "first_run_seconds": 1.0}]
        return {"latency_ns": {"median": time}, "startups": start, "peak_rss_bytes": 100}

    return {
        "model": model,
        "float32": float32,
        "variant": variant,
        "roof": {"flops": 500, "peak": 1e10},
        "engines": {"graphopt": engine(100), "onnxruntime": engine(100 * ours), "openvino-f32": engine(1)},
        "ratios": {"graphopt": {"median": ours}, "openvino-f32": {"median": openvino}},
    }


def test_means_are_over_float32_models_and_over_the_better_peer():
    rows = [_row("a", 2.0, 4.0), _row("b", 2.0, 0.5), _row("c", 9.0, 1.0, variant=True)]
    rows += [_row("d", 9.0, 1.0, float32=False), {"model": "e", "engines": {}}]
    found = claims(rows)
    assert found["counted"] == ["a", "b"]
    assert found["over_baseline"] == pytest.approx(2.0)
    assert found["over_better_peer"] == pytest.approx(1.0)  # 0.5 and 2
    assert found["models"]["a"]["better_peer"] == "openvino-f32"
    assert found["models"]["a"]["peak_share"] == pytest.approx(0.5)
    assert found["models"]["b"]["better_peer"] == "onnxruntime"
    assert found["models"]["a"]["start"] == found["models"]["a"]["memory"] == 1.0


def test_every_kernel_has_a_kind_in_the_table_beside_openvino():
    ceilings = {"fma_peak", "stream_copy", "stream_read"}  # they run in no plan
    assert {kind_of(name) for name in set(_kernels.kernel_names()) - ceilings} <= set(KINDS)
    assert kind_of("NobodyKnows") == "other"


def test_kinds_of_a_model_that_the_peer_refuses(monkeypatch, tmp_path, capsys):
    def refuses(*_):
        raise RuntimeError("no such\n  operator")

    monkeypatch.setattr(per_op, "_openvino", refuses)
    monkeypatch.setattr(per_op, "_REST_SECONDS", 0.0)
    output = tmp_path / "found.json"
    assert per_op.main(["light_squeezenet", "--threads", "1", "--output", str(output)]) == 0
    row = json.loads(output.read_text("utf-8"))["models"]["light_squeezenet"]
    assert row["milliseconds"]["graphopt"]["convolution"] > 0
    assert row["refused"] == {"openvino-f32": "no such operator"}
    assert not row["other"]
    assert "openvino-f32 refuses the model: no such operator" in capsys.readouterr().out
