"""A model is optimised once and a region built once; what is given up, or not raced, is named."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx_ir as ir
import pytest

import graphopt
from graphopt.artifact.weights import WeightFile
from graphopt.backends.base import Blob, BuildOptions
from graphopt.backends.onnxruntime.backend import OnnxRuntimeBackend
from graphopt.driver.compilation import candidate
from graphopt.driver.opt import Optimized
from graphopt.errors import ArtifactError, BackendError
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from tests.driver.races import pretend
from tests.driver.slow_passes import RemoveWaste, matmul_model, wasteful_model

BOTH = "onnxruntime alone"


@dataclass(frozen=True)
class Preferred(OnnxRuntimeBackend):
    """ONNX Runtime under another name, with passes of its own or none."""

    name: str = "preferred"
    least_share: float = 0.0

    def build(self, region: ir.Model, options: BuildOptions) -> Blob:
        blob = super().build(region, options)
        return Blob("onnxruntime", blob.data, blob.options)


@dataclass(frozen=True)
class Second(OnnxRuntimeBackend):
    """ONNX Runtime, which counts what it builds and may refuse to."""

    refusal: str = ""
    built: ClassVar[list[int]] = []

    def build(self, region: ir.Model, options: BuildOptions) -> Blob:
        self.built.append(len(region.graph))
        if self.refusal:
            raise BackendError(self.refusal)
        return super().build(region, options)


@dataclass(frozen=True)
class Wrong(Pass):
    """Doubles the answer of a region of the second backend."""

    backend: ClassVar[str] = "onnxruntime"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        weight = model.graph.initializers["w"]
        assert weight.const_value is not None
        weight.const_value = ir.tensor(2 * weight.const_value.numpy(), name="w")
        return True


@dataclass(frozen=True)
class Stumble(Pass):
    """Raises in a region of the second backend."""

    backend: ClassVar[str] = "onnxruntime"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        raise ValueError("stumbled")


@pytest.fixture
def two_backends(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts a preferred backend in front of ONNX Runtime."""

    def put(second: OnnxRuntimeBackend | None = None) -> None:
        Second.built.clear()
        both = [Preferred(), second or Second()]
        monkeypatch.setattr("graphopt.driver.compile.usable_backends", lambda _: both)

    return put


@pytest.fixture
def optimised(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The pipelines that ran over the whole model, as texts."""
    from graphopt.pipeline.manager import pipeline_text

    seen: list[str] = []
    original = candidate.optimize_model

    def count(model: ir.Model, steps: tuple[object, ...], **rest: object) -> Optimized:
        seen.append(pipeline_text(steps))  # type: ignore[arg-type]
        return original(model, steps, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(candidate, "optimize_model", count)
    return seen


def _compile(tmp_path: Path, model: ir.Model | None = None, **options: object) -> graphopt.CompileResult:
    return graphopt.compile(model or matmul_model(), output=tmp_path / "m.gopt", **options)


def test_a_measured_compile_optimises_once_and_builds_each_candidate_once(
    two_backends: Callable[..., None],
    optimised: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    two_backends()
    races = pretend(monkeypatch, {"input": 2.0, BOTH: 1.5})
    report = _compile(tmp_path).report
    assert len(optimised) == 1
    assert len(Second.built) == 1, "the write stage and the race share what was built"
    assert races == [["optimised", BOTH]]
    assert report.measurement.notes == ()
    assert "2.000x the speed of the input (onnxruntime alone 1.333x)" in report.measurement.reason


def test_a_backend_that_is_dropped_costs_no_second_optimisation(
    optimised: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @dataclass(frozen=True)
    class Broken(Preferred):
        def build(self, region: ir.Model, options: BuildOptions) -> Blob:
            raise BackendError("it does not fit")

    both = [Broken(), Second()]
    monkeypatch.setattr("graphopt.driver.compile.usable_backends", lambda _: both)
    report = _compile(tmp_path, measure=False).report
    assert len(optimised) == 1
    assert [(d.pass_text, d.reason) for d in report.dropped] == [("backend preferred", "it does not fit")]


def test_the_report_says_why_the_fallback_was_not_raced(
    two_backends: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    two_backends(Second(refusal="it has no room"))
    races = pretend(monkeypatch, {"input": 2.0})
    done = _compile(tmp_path)
    assert races == [["optimised"]]
    assert done.report.measurement.notes == ("onnxruntime alone was not raced: it has no room",)
    assert "it has no room" in (done.path / "report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("guilty", "reason"),
    [(Wrong, "the noise floor"), (Stumble, "ValueError: stumbled")],
    ids=["wrong", "raises"],
)
def test_a_pass_of_the_fallback_is_blamed_without_optimising_again(
    guilty: type[Pass],
    reason: str,
    two_backends: Callable[..., None],
    optimised: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    two_backends()
    pretend(monkeypatch, {"input": 2.0})
    report = _compile(tmp_path, passes=["canonical", guilty(), "split-skip-normalization"]).report
    assert len(optimised) == 1
    assert not report.dropped, "what ships never ran that pass"
    (note,) = report.measurement.notes
    assert note.startswith(f"{BOTH} was raced without {guilty.name()}: ")
    assert reason in note


def test_a_fallback_that_wins_is_shipped_without_its_guilty_pass(
    two_backends: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    two_backends()
    pretend(monkeypatch, {"input": 3.0, "optimised": 2.0})
    report = _compile(tmp_path, passes=["canonical", Wrong()]).report
    assert [d.pass_text for d in report.dropped] == ["backend preferred", "wrong"]
    assert [row["backend"] for row in report.placement] == ["onnxruntime"]


def test_the_input_is_shipped_on_the_backend_it_was_raced_on(
    two_backends: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    two_backends()
    pretend(monkeypatch, {"input": 1.0, "optimised": 2.0, BOTH: 2.0, "remove-waste": 2.0, "canonical": 2.0})
    monkeypatch.setattr("graphopt.driver.compilation.fast._MOST_ABLATIONS", 1)
    report = _compile(tmp_path, wasteful_model(2), passes=[RemoveWaste()]).report
    assert report.measurement.shipped == "input"
    assert [row["backend"] for row in report.placement] == ["onnxruntime"]
    x = np.zeros((768, 768), np.float32)
    assert graphopt.load(tmp_path / "m.gopt").run({"x": x})["y"].shape == (768, 768)


def test_leaving_out_a_backends_pass_keeps_the_graph(
    two_backends: Callable[..., None], optimised: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @dataclass(frozen=True)
    class Harmless(Pass):
        backend: ClassVar[str] = "onnxruntime"

        def run(self, model: ir.Model, ctx: PassContext) -> bool:
            model.graph.meta["touched"] = True
            return True

    two_backends()
    pretend(monkeypatch, {"input": 2.0})
    report = _compile(tmp_path, passes=[Harmless()], backends=("onnxruntime",), measure_each=True).report
    assert [row.pass_text for row in report.measurement.ablation] == ["harmless"]
    assert len(optimised) == 1


def test_the_next_command_after_a_dropped_pass_is_about_the_model_that_came_in(tmp_path: Path) -> None:
    source = tmp_path / "model.onnx"
    ir.save(matmul_model(), source)
    report = graphopt.compile(
        source, passes=["canonical", Wrong()], backends=("onnxruntime",), measure=False
    ).report
    assert [d.pass_text for d in report.dropped] == ["wrong"]
    assert report.next_command == f"graphopt bisect {source}"


def test_a_full_disk_names_the_artifact_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(WeightFile, "_write", full)
    with pytest.raises(ArtifactError) as caught:
        _compile(tmp_path, measure=False)
    assert caught.value.message == f"cannot write {tmp_path / 'm.gopt'}: No space left on device"
    assert caught.value.hint.startswith("free some space")
    assert not list(tmp_path.iterdir())
