"""NVIDIA's part of ``doctor``: every state of every thing, with the step that mends it."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from graphopt.backends.tensorrt import module
from graphopt.backends.tensorrt.module import Library
from graphopt.cli.doctor import _nvidia
from graphopt.driver import doctor_nvidia
from graphopt.driver.doctor_nvidia import Check, NvidiaReport, examine_nvidia
from graphopt.errors import BackendError
from graphopt.targets import cuda_driver
from graphopt.targets.cuda_driver import INSTALL, CudaDriver
from graphopt.targets.gpu import Gpu, GpuQuery

L4 = Gpu("NVIDIA L4", "sm_89", 24 << 30, "580.65.06")
H100 = Gpu("NVIDIA H100", "sm_90", 80 << 30, "580.65.06")
RTX = Library(
    "tensorrt_rtx",
    "1.7.1.116",
    SimpleNamespace(ComputeCapability=SimpleNamespace(__members__={"SM86": 0, "SM89": 1, "CURRENT": 2})),
)
NEWER = Library("tensorrt", "11.4.0.106", SimpleNamespace())
NO_DRIVER = CudaDriver(None, (), "there is no NVIDIA driver here: libcuda.so.1 is missing", INSTALL)

Examine = Callable[..., NvidiaReport]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Examine:
    """``machine(driver=…, gpus=…, libraries=…, packages=…, …)`` is what doctor finds on such a machine."""

    def examine(
        driver: CudaDriver = NO_DRIVER,
        gpus: tuple[Gpu, ...] = (),
        libraries: tuple[Library, ...] = (),
        packages: dict[str, str] | None = None,
        major: int | None = None,
        files: tuple[Path, ...] = (),
        providers: tuple[str, ...] = ("CPUExecutionProvider",),
        fault: str = "",
    ) -> NvidiaReport:
        by_name = {library.name: library for library in libraries}

        def find(name: str) -> Library:
            if name not in by_name:
                raise BackendError(f"{module.TITLES[name]} is not installed", module.FIXES[name])
            return by_name[name]

        runtime = SimpleNamespace(get_available_providers=lambda: list(providers))
        monkeypatch.setattr(cuda_driver, "cuda_driver", lambda: driver)
        monkeypatch.setattr(doctor_nvidia, "find_gpus", lambda: GpuQuery(gpus, ""))
        monkeypatch.setattr(module, "find_library", find)
        monkeypatch.setattr(module, "library_files", lambda: files)
        monkeypatch.setattr(doctor_nvidia, "package_version", (packages or {}).get)
        monkeypatch.setattr(doctor_nvidia, "cuda_major", lambda name: major)
        monkeypatch.setattr(doctor_nvidia, "_provider_fault", lambda: fault)
        monkeypatch.setattr(importlib, "import_module", lambda name: runtime)
        monkeypatch.setattr(shutil, "which", lambda name: None)
        return examine_nvidia()

    return examine


def check(report: NvidiaReport, name: str) -> Check:
    return next(c for c in report.checks if c.name == name)


def test_a_bare_machine(machine: Examine) -> None:
    report = machine()
    assert {c.state for c in report.checks} == {"missing"}
    assert all(c.fix for c in report.checks if c.name != "CUDA toolkit"), (
        "each comes with the step that mends it"
    )
    assert check(report, "driver").fix == INSTALL
    assert check(report, "TensorRT-RTX").fix == "pip install 'graphopt[tensorrt-rtx]'"
    assert (report.compiles_for, report.runs_on) == ((), ())
    json.dumps(report.to_json())


def test_a_laptop_that_compiles_for_others(machine: Examine, tmp_path: Path) -> None:
    files = (tmp_path / "libcudart.so.13.4.36", tmp_path / "libtensorrt_rtx.so.1.7.1")
    report = machine(libraries=(RTX,), files=files, major=13)
    assert report.compiles_for == ("sm_86", "sm_89")
    assert report.runs_on == ()
    rtx = check(report, "TensorRT-RTX")
    assert (rtx.state, rtx.version) == ("ok", "1.7.1.116")
    assert rtx.detail == "builds for sm_86, sm_89; running needs a driver of branch 580 or later (CUDA 13)"
    assert check(report, "TensorRT-RTX libraries") == Check(
        "TensorRT-RTX libraries", "ok", doctor_nvidia._PURPOSE, "1.7.1", str(tmp_path)
    )


def test_a_machine_with_everything(machine: Examine) -> None:
    packages = {"cuda-bindings": "13.0.1", "onnxruntime-gpu": "1.31.1"}
    report = machine(
        driver=CudaDriver((13, 0), (L4,)),
        gpus=(L4,),
        libraries=(RTX,),
        packages=packages,
        major=13,
        providers=("CUDAExecutionProvider", "CPUExecutionProvider"),
    )
    assert report.runs_on == ("sm_89",)
    assert {c.name: c.state for c in report.checks} == {
        "driver": "ok",
        "TensorRT": "missing",
        "TensorRT-RTX": "ok",
        "TensorRT-RTX libraries": "ok",
        "cuda-bindings": "ok",
        "ONNX Runtime CUDA": "ok",
        "CUDA toolkit": "missing",
    }
    assert check(report, "driver").version == "580.65.06"


def test_a_driver_too_old_for_what_is_installed(machine: Examine) -> None:
    report = machine(
        driver=CudaDriver((12, 4), (L4,)),
        gpus=(L4,),
        libraries=(RTX,),
        packages={"cuda-bindings": "13.0.1"},
        major=13,
    )
    rtx, bindings = check(report, "TensorRT-RTX"), check(report, "cuda-bindings")
    assert (rtx.state, bindings.state) == ("broken", "broken")
    assert rtx.detail.startswith("made for CUDA 13, the driver runs CUDA 12.4")
    assert "update the driver to 580 or later" in rtx.fix
    assert bindings.fix == "pip install 'cuda-bindings<13'"


def test_a_card_the_library_does_not_know(machine: Examine) -> None:
    report = machine(driver=CudaDriver((13, 0), (H100,)), gpus=(H100,), libraries=(RTX,))
    rtx = check(report, "TensorRT-RTX")
    assert "not for this machine's sm_90" in rtx.detail
    assert rtx.fix == "pip install 'graphopt[tensorrt]'"
    assert report.runs_on == ()


def test_tensorrt_without_a_gpu_builds_nothing(machine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_nvidia, "builds_for", lambda library: ())
    found = check(machine(libraries=(NEWER,)), "TensorRT")
    assert (found.state, found.detail) == ("ok", "builds only for a GPU of this machine, and there is none")


def test_libraries_of_another_version(machine: Examine, tmp_path: Path) -> None:
    found = check(
        machine(libraries=(RTX,), files=(tmp_path / "libtensorrt_rtx.so.1.6.0",)), "TensorRT-RTX libraries"
    )
    assert found.state == "broken"
    assert found.detail.startswith("version 1.6.0, the Python bindings are 1.7.1.116")
    assert found.fix == "pip install 'graphopt[tensorrt-rtx]'"


def test_gpus_that_are_hidden(machine: Examine) -> None:
    report = machine(driver=CudaDriver((13, 0), (L4,)), gpus=(L4, H100))
    assert "CUDA_VISIBLE_DEVICES hides 1 of 2 GPUs" in check(report, "driver").detail
    hidden = machine(driver=CudaDriver((13, 0), (), "the driver sees no GPU", "check it"), gpus=(L4,))
    assert check(hidden, "driver").state == "broken"
    assert hidden.runs_on == ()


@pytest.mark.parametrize(
    ("packages", "providers", "fault", "detail", "fix"),
    [
        ({"onnxruntime": "1.31.1"}, (), "", "is not installed", "pip uninstall -y onnxruntime"),
        ({"onnxruntime": "1", "onnxruntime-gpu": "2"}, (), "", "overwrite", "pip uninstall -y onnxruntime"),
        ({"onnxruntime-gpu": "1.31.1"}, (), "", "no CUDA provider", "--force-reinstall"),
        (
            {"onnxruntime-gpu": "1.31.1"},
            ("CUDAExecutionProvider",),
            "OSError: libcudnn.so.9: cannot open shared object file",
            "libcudnn.so.9",
            "[cuda,cudnn]",
        ),
    ],
)
def test_onnxruntime_on_cuda(
    machine: Examine,
    packages: dict[str, str],
    providers: tuple[str, ...],
    fault: str,
    detail: str,
    fix: str,
) -> None:
    found = check(machine(packages=packages, providers=providers, fault=fault), "ONNX Runtime CUDA")
    assert found.state in ("missing", "broken")
    assert detail in found.detail
    assert fix in found.fix


def test_what_breaks_when_asked_is_broken(machine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine()

    def explode(*_: object) -> None:
        raise RuntimeError("two\nlines")

    for name in ("package_version", "cuda_major"):
        monkeypatch.setattr(doctor_nvidia, name, explode)
    monkeypatch.setattr(module, "library_files", explode)
    monkeypatch.setattr(module, "find_library", explode)
    monkeypatch.setattr(shutil, "which", explode)
    report = examine_nvidia()
    assert {c.state for c in report.checks} == {"missing", "broken"}
    assert all("\n" not in c.detail for c in report.checks)


def test_the_provider_that_is_not_there_says_so() -> None:
    pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" in importlib.import_module("onnxruntime").get_available_providers():
        pytest.skip("this ONNX Runtime has the CUDA provider")
    assert "libonnxruntime_providers" in doctor_nvidia._provider_fault()


def test_the_toolkit_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvcc"
    tool.write_text("#!/bin/sh\necho 'Cuda compilation tools, release 13.0, V13.0.88'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert doctor_nvidia._toolkit() == Check("CUDA toolkit", "ok", "nothing of graphopt's", "13.0", str(tool))


def test_which_cuda_the_packages_are_for(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("tensorrt_cu12_bindings", "tensorrt-rtx-cu13-bindings", "tensorrt-rtx", "numpy")
    found = [SimpleNamespace(metadata={"Name": name}) for name in names]
    monkeypatch.setattr(metadata, "distributions", lambda: found)
    assert doctor_nvidia.cuda_major("tensorrt") == 12
    assert doctor_nvidia.cuda_major("tensorrt_rtx") == 13


def test_what_a_person_reads(machine: Examine) -> None:
    text = "\n".join(_nvidia(machine(libraries=(RTX,))))
    assert "compiles for: sm_86, sm_89" in text
    assert "runs here on: nothing, see below" in text
    assert (
        "missing: TensorRT is not installed (for building and running engines; one TensorRT is enough)"
        in text
    )
    assert "fix: pip install 'graphopt[tensorrt]'" in text


def test_bindings_that_cannot_be_imported(machine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(packages={"cuda-bindings": "13.0.1"})

    def absent(name: str) -> None:
        raise ImportError(f"no {name}")

    monkeypatch.setattr(importlib, "import_module", absent)
    found = check(examine_nvidia(), "cuda-bindings")
    assert (found.state, found.detail) == ("broken", "no cuda.bindings.runtime")
    assert found.fix == "pip install --force-reinstall cuda-bindings"
