"""What ``doctor`` finds of NVIDIA's: driver, toolkit, TensorRT, CUDA packages, and what mends each."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from typing import Any, Literal

from graphopt.backends.tensorrt import module
from graphopt.backends.tensorrt.architectures import builds_for
from graphopt.errors import GraphoptError
from graphopt.targets import cuda_driver as driver_module
from graphopt.targets.cuda import find_gpus
from graphopt.targets.cuda_driver import LEAST_DRIVER, CudaDriver
from graphopt.targets.gpu import Gpu

State = Literal["ok", "missing", "broken"]

_TIMEOUT_SECONDS = 30.0
_INSTEAD = "pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'graphopt[cuda]'"


@dataclass(frozen=True)
class Check:
    """One thing that compiling for NVIDIA GPUs, or running on them, needs.

    Attributes:
        name: what it is.
        state: ``ok``, ``missing`` (not here) or ``broken`` (here and not usable).
        version: where it is known.
        detail: what else is worth knowing; for what is not ok, why.
        fix: the command or step that mends it.
        purpose: what it is needed for.
    """

    name: str
    state: State
    purpose: str
    version: str = ""
    detail: str = ""
    fix: str = ""


@dataclass(frozen=True)
class NvidiaReport:
    """NVIDIA's part of the report.

    Attributes:
        checks: driver first, then what stands on it.
        gpus: of this machine.
        compiles_for: architectures engines can be built for here.
        runs_on: architectures of GPUs that programs may use here and some TensorRT here supports.
    """

    checks: tuple[Check, ...]
    gpus: tuple[Gpu, ...]
    compiles_for: tuple[str, ...]
    runs_on: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON types."""
        return {
            "checks": [asdict(check) for check in self.checks],
            "gpus": [asdict(gpu) for gpu in self.gpus],
            "compiles_for": list(self.compiles_for),
            "runs_on": list(self.runs_on),
        }


def examine_nvidia() -> NvidiaReport:
    """Look at everything NVIDIA's on this machine; never raises."""
    driver, gpus = driver_module.cuda_driver(), find_gpus().gpus
    here = tuple(dict.fromkeys(gpu.architecture for gpu in gpus))
    found = {name: _library(name) for name in module.NAMES}
    known = [builds for library, _ in found.values() if library is not None for builds in _builds(library)]
    steps: list[tuple[str, str, Callable[[], Check]]] = [
        ("driver", "running", lambda: _driver(driver, gpus)),
        *(
            (module.TITLES[name], _PURPOSE, partial(_tensorrt, name, *found[name], driver, here))
            for name in module.NAMES
        ),
        ("TensorRT-RTX libraries", _PURPOSE, lambda: _rtx_libraries(found["tensorrt_rtx"][0])),
        ("cuda-bindings", "running", lambda: _cuda_bindings(driver)),
        ("ONNX Runtime CUDA", "regions TensorRT refuses", _onnxruntime),
        ("CUDA toolkit", "nothing of graphopt's", _toolkit),
    ]
    checks = tuple(_guarded(name, purpose, step) for name, purpose, step in steps)
    order = sorted(set(known), key=lambda text: int(text.removeprefix("sm_")))
    usable = dict.fromkeys(gpu.architecture for gpu in driver.gpus)
    return NvidiaReport(checks, gpus, tuple(order), tuple(name for name in usable if name in known))


_PURPOSE = "building and running engines; one TensorRT is enough"


def _guarded(name: str, purpose: str, step: Callable[[], Check]) -> Check:
    """Doctor is run where things are broken: what breaks when asked is reported as broken."""
    try:
        return step()
    except Exception as error:
        detail = " ".join(f"it broke when asked: {type(error).__name__}: {error}".split())
        return Check(name, "broken", purpose, detail=detail[:300])


def _driver(driver: CudaDriver, gpus: tuple[Gpu, ...]) -> Check:
    version = next((gpu.driver for gpu in gpus if gpu.driver), "")
    if driver.cuda is None:
        return Check("driver", "missing", "running", detail=driver.reason, fix=driver.fix)
    cuda = "runs CUDA up to {}.{}".format(*driver.cuda)
    if not driver.gpus:
        return Check("driver", "broken", "running", version, f"{cuda}; {driver.reason}", driver.fix)
    hidden = len(gpus) - len(driver.gpus)
    note = f"; CUDA_VISIBLE_DEVICES hides {hidden} of {len(gpus)} GPUs" if hidden > 0 else ""
    return Check("driver", "ok", "running", version, cuda + note)


def _library(name: str) -> tuple[module.Library | None, GraphoptError | None]:
    try:
        return module.find_library(name), None
    except GraphoptError as error:
        return None, error
    except Exception as error:
        reason = " ".join(f"it broke when asked: {type(error).__name__}: {error}".split())
        return None, GraphoptError(reason[:300], module.FIXES[name])


def _builds(library: module.Library) -> tuple[str, ...]:
    try:
        return builds_for(library)
    except Exception:
        return ()


def _tensorrt(
    name: str,
    library: module.Library | None,
    error: GraphoptError | None,
    driver: CudaDriver,
    here: tuple[str, ...],
) -> Check:
    title = module.TITLES[name]
    if library is None:
        reason, fix = (error.message, error.hint) if error else ("it cannot be imported", module.FIXES[name])
        state: State = "missing" if reason.endswith("is not installed") else "broken"
        return Check(title, state, _PURPOSE, detail=reason, fix=fix)
    builds = _builds(library)
    detail = "builds only for a GPU of this machine, and there is none"
    if builds:
        detail = f"builds for {', '.join(builds)}"
    major = cuda_major(name)
    if major and driver.cuda and driver.cuda[0] < major:
        branch = LEAST_DRIVER.get(major, "a newer")
        reason = f"made for CUDA {major}, the driver runs CUDA {driver.cuda[0]}.{driver.cuda[1]}"
        fix = f"update the driver to {branch} or later, or install the cu{driver.cuda[0]} packages of {title}"
        return Check(title, "broken", _PURPOSE, library.version, f"{reason}; {detail}", fix)
    if major and not driver.cuda:
        detail += f"; running needs a driver of branch {LEAST_DRIVER.get(major, '?')} or later (CUDA {major})"
    lacking = [architecture for architecture in here if builds and architecture not in builds]
    if lacking:
        detail += f"; not for this machine's {', '.join(lacking)}"
        return Check(title, "ok", _PURPOSE, library.version, detail, module.FIXES["tensorrt"])
    return Check(title, "ok", _PURPOSE, library.version, detail)


def cuda_major(name: str) -> int | None:
    """The CUDA a TensorRT was made for, as its packages' names tell: 12 of ``tensorrt_cu12_bindings``."""
    pattern = re.compile(rf"{name}[_-]cu(\d+)([_-]|$)")
    majors = {
        int(match[1])
        for distribution in metadata.distributions()
        if (match := pattern.match(str(distribution.metadata["Name"] or "").lower().replace("-", "_")))
    }
    return max(majors, default=None)


def _rtx_libraries(library: module.Library | None) -> Check:
    name = "TensorRT-RTX libraries"
    files = module.library_files()
    if not files:
        if library is not None:
            return Check(name, "ok", _PURPOSE, detail="found by the bindings themselves")
        reason, fix = "no package ships them here", module.FIXES["tensorrt_rtx"]
        return Check(name, "missing", _PURPOSE, detail=reason, fix=fix)
    core = next((path.name for path in files if path.name.startswith("libtensorrt_rtx.so.")), "")
    version = core.removeprefix("libtensorrt_rtx.so.")
    where = str(files[0].parent)
    if library is not None and version and not f"{library.version}.".startswith(f"{version}."):
        reason = f"version {version}, the Python bindings are {library.version}"
        return Check(name, "broken", _PURPOSE, version, f"{reason}; {where}", module.FIXES["tensorrt_rtx"])
    return Check(name, "ok", _PURPOSE, version, where)


def _cuda_bindings(driver: CudaDriver) -> Check:
    name, fix = "cuda-bindings", "pip install cuda-bindings"
    version = package_version("cuda-bindings")
    if version is None:
        return Check(name, "missing", "running", detail="not installed", fix=fix)
    try:
        importlib.import_module("cuda.bindings.runtime")
    except Exception as error:
        again = "pip install --force-reinstall cuda-bindings"
        return Check(name, "broken", "running", version, " ".join(str(error).split())[:300], again)
    major = int(version.partition(".")[0])
    if driver.cuda and driver.cuda[0] < major:
        reason = f"made for CUDA {major}, the driver runs CUDA {driver.cuda[0]}.{driver.cuda[1]}"
        fix = f"pip install 'cuda-bindings<{driver.cuda[0] + 1}'"
        return Check(name, "broken", "running", version, reason, fix)
    return Check(name, "ok", "running", version)


def _onnxruntime() -> Check:
    name, purpose = "ONNX Runtime CUDA", "regions TensorRT refuses, which else run on the CPU"
    plain, gpu = package_version("onnxruntime"), package_version("onnxruntime-gpu")
    if plain and gpu:
        reason = f"onnxruntime {plain} and onnxruntime-gpu {gpu} overwrite one another's files"
        return Check(name, "broken", purpose, gpu, reason, _INSTEAD)
    if not gpu:
        fix = _INSTEAD if plain else "pip install 'graphopt[cuda]'"
        return Check(name, "missing", purpose, detail="onnxruntime-gpu is not installed", fix=fix)
    onnxruntime = importlib.import_module("onnxruntime")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        fix = "pip install --force-reinstall onnxruntime-gpu"
        return Check(name, "broken", purpose, gpu, "it has no CUDA provider", fix)
    if reason := _provider_fault():
        return Check(name, "broken", purpose, gpu, reason, "pip install 'onnxruntime-gpu[cuda,cudnn]'")
    return Check(name, "ok", purpose, gpu)


# In a process of its own: a library that does not fit may take the process with it.
_LOAD_PROVIDER = """
import ctypes, pathlib, onnxruntime
getattr(onnxruntime, 'preload_dlls', lambda: None)()
folder = pathlib.Path(onnxruntime.__file__).parent / 'capi'
ctypes.CDLL(str(folder / 'libonnxruntime_providers_shared.so'), mode=ctypes.RTLD_GLOBAL)
ctypes.CDLL(str(folder / 'libonnxruntime_providers_cuda.so'))
"""


def _provider_fault() -> str:
    """Why ONNX Runtime's CUDA provider cannot be loaded (a missing libcudnn); empty when it can."""
    done = subprocess.run(
        (sys.executable, "-c", _LOAD_PROVIDER),
        capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False,
    )  # fmt: skip
    if done.returncode == 0:
        return ""
    lines = done.stderr.strip().splitlines()
    return lines[-1][:300] if lines else f"its CUDA provider ends with exit status {done.returncode}"


def _toolkit() -> Check:
    name, purpose = "CUDA toolkit", "nothing of graphopt's"
    tool = shutil.which("nvcc")
    if tool is None:
        return Check(name, "missing", purpose, detail="nvcc is not on the PATH")
    done = subprocess.run(
        (tool, "--version"), capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False
    )
    found = re.search(r"release (\d+\.\d+)", done.stdout)
    return Check(name, "ok", purpose, found[1] if found else "", tool)


def package_version(name: str) -> str | None:
    """Of an installed package, else None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
