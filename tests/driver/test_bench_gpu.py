"""``bench`` of an artifact for a GPU: beside ONNX Runtime on that GPU, on a machine that names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from graphopt.driver import bench as module
from graphopt.driver.conditions import machine_name
from graphopt.targets import cuda
from graphopt.targets.gpu import Gpu, GpuQuery
from tests.driver.engine_artifact import write

L4 = Gpu("NVIDIA L4", "sm_89", 24 << 30, "580.65.06")


@pytest.mark.parametrize(("target", "gpu"), [("cuda", True), ("cpu", False)])
def test_engines_run_where_the_artifact_does(
    target: str, gpu: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    class Measured(Exception):
        pass

    def compare(engines: Any, **conditions: Any) -> None:
        seen.extend([engines, conditions["machine"]])
        raise Measured

    monkeypatch.setattr(module, "bench_feeds", lambda *_, **__: {})
    monkeypatch.setattr(module, "artifact_target", lambda path: {"kind": target})
    monkeypatch.setattr(module, "compare", compare)
    monkeypatch.setattr(cuda, "find_gpus", lambda: GpuQuery((L4,), ""))
    with pytest.raises(Measured):
        module.bench(write(tmp_path / "m.gopt"))
    engines, machine = seen
    beside = [engine for engine in engines if engine.name != module.ARTIFACT]
    assert beside
    assert all(engine.arguments["gpu"] is gpu for engine in beside)
    assert ("NVIDIA L4" in machine) is gpu


def test_the_machine_names_its_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "find_gpus", lambda: GpuQuery((L4,), ""))
    assert machine_name(gpu=True) == f"{machine_name()}, NVIDIA L4 (sm_89, driver 580.65.06)"
    monkeypatch.setattr(cuda, "find_gpus", lambda: GpuQuery((), "none"))
    assert machine_name(gpu=True) == machine_name()
