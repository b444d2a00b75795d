"""The driver's own library: what it says, and the help where it says no."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from graphopt.targets import cuda, cuda_driver
from graphopt.targets.cuda_driver import CudaDriver, ask_driver
from graphopt.targets.gpu import Gpu
from tests.targets.fake_cuda import FakeCuda


def test_gpus_of_the_driver() -> None:
    fake = FakeCuda(gpus=(("NVIDIA L4", 8, 9, 24 << 30), ("NVIDIA RTX 5090", 12, 0, 32 << 30)))
    assert ask_driver(lambda name: fake) == CudaDriver(
        (13, 0), (Gpu("NVIDIA L4", "sm_89", 24 << 30, ""), Gpu("NVIDIA RTX 5090", "sm_120", 32 << 30, ""))
    )
    assert ask_driver(lambda name: FakeCuda(version=12090)).cuda == (12, 9)


@pytest.mark.parametrize(
    ("code", "reason", "fix"),
    [
        (34, "the toolkit's stub", "LD_LIBRARY_PATH"),
        (100, "sees no GPU", "CUDA_VISIBLE_DEVICES"),
        (802, "not ready", "fabricmanager"),
        (803, "different versions", "restart"),
        (804, "compatibility package", "cuda-compat"),
        (999, "error 999", "nvidia-smi"),
    ],
)
def test_a_driver_that_does_not_start(code: int, reason: str, fix: str) -> None:
    driver = ask_driver(lambda name: FakeCuda(init=code))
    assert (driver.cuda, driver.gpus) == ((13, 0), ())
    assert reason in driver.reason
    assert fix in driver.fix


def test_no_gpu_visible() -> None:
    driver = ask_driver(lambda name: FakeCuda(gpus=()))
    assert "sees no GPU" in driver.reason
    assert "CUDA_VISIBLE_DEVICES" in driver.fix


def test_no_driver() -> None:
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    driver = ask_driver(missing)
    assert driver.cuda is None
    assert "libcuda.so.1 is missing" in driver.reason
    assert "--gpus all" in driver.fix


def test_a_driver_that_does_not_know_its_version() -> None:
    assert ask_driver(lambda name: FakeCuda(version=0)).cuda is None


def test_a_library_that_breaks_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda_driver.cuda_driver.cache_clear()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    driver = cuda_driver.cuda_driver()
    cuda_driver.cuda_driver.cache_clear()
    assert driver.cuda is None
    assert driver.reason.startswith("libcuda.so.1 broke when asked: AttributeError")


def test_without_the_drivers_tool_the_library_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    gpu = Gpu("NVIDIA L4", "sm_89", 1, "")
    monkeypatch.setattr(cuda_driver, "cuda_driver", lambda: CudaDriver((13, 0), (gpu,)))
    assert cuda.find_gpus() == cuda.GpuQuery((gpu,), "")
    monkeypatch.setattr(cuda_driver, "cuda_driver", lambda: CudaDriver(None, (), "there is none", "fix"))
    assert cuda.find_gpus() == cuda.GpuQuery((), "there is none")


def test_a_tool_that_leaves_out_the_capability(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'Orin (nvgpu), [N/A], [N/A], 540.4.0'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    orin = Gpu("Orin", "sm_87", 1, "")
    monkeypatch.setattr(cuda_driver, "cuda_driver", lambda: CudaDriver((12, 6), (orin,)))
    assert cuda.find_gpus().gpus == (orin,)
