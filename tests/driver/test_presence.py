"""Only what is compiled for this very machine is run as an engine, and measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx.parser
import pytest

import graphopt
from graphopt.backends.onnxruntime import session
from graphopt.driver import compile as driver
from graphopt.driver.compilation import built
from graphopt.driver.compilation.presence import absence, unmeasurable
from graphopt.targets import cuda
from graphopt.targets.gpu import Gpu, GpuQuery
from graphopt.targets.parse import parse_target
from tests.driver.fake_engine import FakeEngine, install

Gpus = Callable[..., None]

CHAIN = """
<ir_version: 10, opset_import: ["": 23]>
g (float[2,16] x, float[16,16] w) => (float[2,16] y) { a = MatMul (x, w) y = Sin (a) }
"""


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Gpus:
    """Pretend this machine has GPUs of some architectures."""

    def pretend(*architectures: str) -> None:
        found = tuple(Gpu(f"Card {a}", a, 1 << 34, "999") for a in architectures)
        monkeypatch.setattr(cuda, "find_gpus", lambda: GpuQuery(found, "" if found else "none"))

    return pretend


def test_this_cpu_is_here_and_another_is_not() -> None:
    assert absence(parse_target("cpu")) == ""
    assert absence(parse_target("zen2")) in ("", "zen2 is another machine than this one")
    assert "neoverse-v1 is another machine" in absence(parse_target("neoverse-v1"))


def test_one_of_the_architectures_is_enough(gpus: Gpus) -> None:
    gpus("sm_89")
    assert absence(parse_target("cuda:sm_86,sm_89")) == ""
    assert absence(parse_target("cuda:sm_86")) == "no sm_86 GPU here, only Card sm_89 (sm_89)"
    gpus()
    assert absence(parse_target("cuda:sm_86,sm_89,sm_120")) == "no sm_86, sm_89 or sm_120 GPU here"


def test_without_the_baseline_nothing_is_measured(gpus: Gpus, monkeypatch: pytest.MonkeyPatch) -> None:
    class Cpu:
        @staticmethod
        def get_available_providers() -> list[str]:
            return ["CPUExecutionProvider"]

    gpus("sm_86")
    monkeypatch.setattr(session, "import_onnxruntime", lambda: Cpu)
    assert (
        unmeasurable(parse_target("cuda:sm_86"))
        == "onnxruntime-gpu, to measure against, is not installed here"
    )
    assert unmeasurable(parse_target("cpu")) == ""


def test_an_engine_that_cannot_be_opened_where_its_gpu_is_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(FakeEngine(), monkeypatch)
    monkeypatch.setattr(built, "absence", lambda target: "")
    monkeypatch.setattr(driver, "unmeasurable", lambda target: "")
    done = graphopt.compile(
        onnx.parser.parse_model(CHAIN), output=tmp_path / "m.gopt", target="cuda:sm_86", level=1
    )
    why = "no backend 'engine' is installed here"
    assert done.report.equality is not None
    assert (
        f"checked on the legalised graph; the engine itself was not run: {why}"
        in done.report.equality["notes"]
    )
    assert done.report.measurement.reason == f"not measured: {why}"
