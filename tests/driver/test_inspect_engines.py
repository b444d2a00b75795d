"""Artifacts with engines on a machine that cannot run them: what they are, what they need, are they whole."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest
from click.testing import CliRunner
from rich.console import Console

from graphopt.artifact.pack import pack
from graphopt.backends.tensorrt.module import Library
from graphopt.cli.verify import verify as verify_command
from graphopt.driver import inspect_engines
from graphopt.driver.inspect import InspectReport, inspect
from graphopt.driver.integrity import check_integrity
from graphopt.driver.verify import verify
from graphopt.errors import ArtifactError, BackendError
from graphopt.report.inspection import render
from graphopt.targets.cuda_driver import CudaDriver
from graphopt.targets.gpu import Gpu
from tests.driver.engine_artifact import MODEL, facts, write

A10 = Gpu("NVIDIA A10", "sm_86", 24 << 30, "580")
L4 = Gpu("NVIDIA L4", "sm_89", 24 << 30, "580")
NO_DRIVER = CudaDriver(None, (), "there is no NVIDIA driver here", "install the driver")


def at_host(
    monkeypatch: pytest.MonkeyPatch, driver: CudaDriver = NO_DRIVER, version: str | None = None
) -> None:
    """Pretend a driver, and TensorRT-RTX of a version (None: not installed)."""

    def find(name: str) -> Library:
        if version is None:
            raise BackendError(f"{name} is not installed", "pip install it")
        return Library(name, version, SimpleNamespace())

    monkeypatch.setattr(inspect_engines, "cuda_driver", lambda: driver)
    monkeypatch.setattr(inspect_engines, "find_library", find)


def printed(report: InspectReport) -> str:
    out = io.StringIO()
    render(report, Console(file=out, width=200, color_system=None))
    return out.getvalue()


def test_an_engine_in_words(tmp_path: Path) -> None:
    report = inspect(write(tmp_path / "m.gopt"))
    (engine,) = report.engines
    assert engine.built_by == "TensorRT-RTX 1.7.1.116"
    assert engine.architectures == ("sm_86", "sm_120")
    assert (engine.inputs, engine.outputs) == (("x: float32[?,4]",), ("y: float32[?,4]",))
    assert engine.profiles == ({"x": "1x4 to 32x4, tuned for 8x4"},)
    assert engine.memory == (2 << 20) + (3 << 20)
    assert engine.options == ("builder level 5", "at most 64 MiB of workspace", "TF32")
    assert engine.notes == ("int64 weights were cut to int32",)
    assert engine.fault == ""
    assert report.artifact["hashes"] == "all 2 files are what the manifest says"
    json.dumps(report.to_json())


def test_a_packed_artifact_says_the_same(tmp_path: Path) -> None:
    folder = write(tmp_path / "m.gopt")
    pack(folder, tmp_path / "packed.gopt")
    one, other = inspect(folder), inspect(tmp_path / "packed.gopt")
    assert (one.engines, one.needs) == (other.engines, other.needs)


def test_cards_and_versions_it_also_runs_on(tmp_path: Path) -> None:
    options = facts(hardware_compatible="ampere+", version_compatible=True, device="NVIDIA A10")
    (engine,) = inspect(write(tmp_path / "m.gopt", options=options)).engines
    assert engine.also == (
        "every card from sm_80 on that TensorRT-RTX supports",
        "later versions of TensorRT-RTX",
    )
    assert engine.built_on == "NVIDIA A10"


def test_what_a_host_without_anything_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_host(monkeypatch)
    gpu, library, _ = inspect(write(tmp_path / "m.gopt")).needs
    assert gpu.what == (
        "an NVIDIA GPU: sm_86 (A10, A40, RTX 30) or sm_120 (RTX 50, RTX PRO) with 5 MiB of free memory"
    )
    assert (gpu.here, gpu.reason, gpu.fix) == (False, "there is no NVIDIA driver here", "install the driver")
    assert (library.what, library.here, library.fix) == ("TensorRT-RTX 1.7.1.116", False, "pip install it")


def test_a_host_that_has_it_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_host(monkeypatch, CudaDriver((13, 0), (L4, A10)), "1.7.1.116")
    gpu, library, _ = inspect(write(tmp_path / "m.gopt")).needs
    assert (gpu.here, gpu.reason) == (True, "NVIDIA A10")
    assert library.here


def test_another_card_and_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_host(monkeypatch, CudaDriver((13, 0), (L4,)), "1.8.0.1")
    gpu, library, _ = inspect(write(tmp_path / "m.gopt")).needs
    assert (gpu.here, gpu.reason) == (False, "here is NVIDIA L4, sm_89")
    assert gpu.fix == "graphopt compile MODEL --target cuda:sm_89"
    assert not library.here
    assert "1.8.0.1" in library.reason
    assert "1.7.1.116" in library.fix


def test_hardware_compatible_engines_run_on_later_cards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_host(monkeypatch, CudaDriver((13, 0), (L4,)))
    assert inspect(write(tmp_path / "m.gopt", options=facts(hardware_compatible="ampere+"))).needs[0].here


def test_regions_of_onnxruntime_say_where_they_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    path = write(tmp_path / "m.gopt", backend="onnxruntime")
    monkeypatch.setattr(inspect_engines, "package_version", {}.get)
    (need,) = inspect(path).needs
    assert need.here
    assert need.reason.endswith(", on the CPU")
    monkeypatch.setattr(inspect_engines, "package_version", {"onnxruntime-gpu": "1.31.1"}.get)
    assert inspect(path).needs[0].reason.startswith("onnxruntime-gpu ")
    assert inspect(write(tmp_path / "cpu.gopt", backend="onnxruntime", target="cpu")).needs == ()


def test_what_a_person_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_host(monkeypatch)
    details = {
        "placement": [{"backend": "tensorrt", "nodes": 2, "share": 1.0}],
        "precision": {"asked": "fp16", "converted": 2, "kept": {"n": "r"}},
        "equality": {"verdict": "rounding", "notes": ["the engine was not run"]},
    }
    text = printed(inspect(write(tmp_path / "m.gopt", details=details)))
    for words in (
        "cuda:sm_86,sm_120",
        "tensorrt 100.0 %",
        "fp16, 2 nodes compute in it, 1 stay in fp32 for a reason (graphopt explain)",
        "rounding; the engine was not run",
        "TensorRT-RTX 1.7.1.116",
        "x: 1x4 to 32x4, tuned for 8x4",
        "about 5.24 MB",
        "To run it a host needs",
        "with 5 MiB of free memory: not here (there is no NVIDIA driver here); fix: install the driver",
    ):
        assert words in text, words


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"key": "0" * 64}, "do not fit its key"),
        ({"plan": "0" * 64}, "it is damaged"),
        ({"module": "mystery"}, "which TensorRT"),
        ({"architectures": "sm_86"}, "which GPUs"),
        ({"weight_bytes": -1}, "no size in bytes"),
        ({"version": None}, "which TensorRT"),
    ],
)
def test_an_engine_that_is_not_what_it_says(changes: dict[str, Any], fault: str, tmp_path: Path) -> None:
    path = write(tmp_path / "m.gopt", options=facts(**changes))
    (engine,) = inspect(path).engines
    assert fault in engine.fault
    assert "damaged" in printed(inspect(path))


def test_hostile_facts_are_plain_text(tmp_path: Path) -> None:
    odd = facts(
        notes=["\x1b[2J[red]", 3],
        profiles=[{"x": "?", "y": {"least": 1}}, "no"],
        inputs=[{"name": "\x1b[2J", "dtype": None, "shape": ["a"]}, 5],
        outputs="none",
        layers="many",
        workspace_bytes=True,
    )
    text = printed(inspect(write(tmp_path / "m.gopt", options=odd)))
    assert "\x1b" not in text
    assert "[red]" in text


def test_a_whole_artifact(tmp_path: Path) -> None:
    path = write(tmp_path / "m.gopt")
    found = check_integrity(path)
    assert (found.files, found.engines) == (2, 1)
    assert found.sentence().endswith("are what the manifest says; 1 engine fits its key")
    done = CliRunner().invoke(verify_command, [str(path), "--json"])
    assert (done.exit_code, json.loads(done.output)["engines"]) == (0, 1)


def test_damage_is_found_without_running(tmp_path: Path) -> None:
    path = write(tmp_path / "m.gopt")
    (path / "regions" / "0.tensorrt").write_bytes(b"an enginE")
    with pytest.raises(ArtifactError, match="have changed"):
        check_integrity(path)
    with pytest.raises(ArtifactError, match="do not fit its key"):
        check_integrity(write(tmp_path / "n.gopt", options=facts(key="0" * 64)))


def test_comparing_uses_the_model_where_the_engines_cannot_run(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    onnx.save(onnx.parser.parse_model(MODEL), tmp_path / "m.onnx")
    report = verify(tmp_path / "m.onnx", write(tmp_path / "m.gopt"))
    assert report.equal
    assert any("the model in it was compared, the engines were not run" in note for note in report.notes)


def test_a_lower_precision_is_judged_by_its_own_noise(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    rounding = "a = Cast<to = 10>(x) b = Cast<to = 10>(w) c = MatMul(a, b) h = Cast<to = 1>(c)"
    rounded = MODEL.replace("h = MatMul(x, w)", rounding)
    onnx.save(onnx.parser.parse_model(MODEL), tmp_path / "m.onnx")
    details = {"precision": {"asked": "fp16", "kept": {}}}
    report = verify(tmp_path / "m.onnx", write(tmp_path / "m.gopt", model=rounded, details=details))
    assert report.outputs[0].max_abs > 1e-4, "its own precision was rounded to"
    assert report.equal
    assert any("noise floor of fp16" in note for note in report.notes)
