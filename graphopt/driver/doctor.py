"""``graphopt doctor``: what is here, what is missing, and the command that mends it."""

from __future__ import annotations

import platform
import sys
from dataclasses import asdict, dataclass
from typing import Any

from graphopt.driver.doctor_nvidia import NvidiaReport, examine_nvidia, package_version
from graphopt.errors import GraphoptError
from graphopt.targets.ceiling_records import Ceilings
from graphopt.targets.cuda import find_gpus
from graphopt.targets.gpu import Gpu
from graphopt.targets.host import host_target, native_core
from graphopt.targets.target import Target
from graphopt.targets.threads import allowed_cpus, available_threads, cpu_quota

PACKAGES = (
    "graphopt", "numpy", "onnx", "onnx-ir", "onnx-shape-inference", "networkx", "onnxruntime",
    "onnxruntime-gpu", "openvino", "onnxslim", "onnxsim", "apache-tvm", "tensorrt",
    "tensorrt-rtx-cu13-bindings", "onnxruntime-ep-nv-tensorrt-rtx-cu13", "cuda-bindings",
    "onnx-graphsurgeon",
)  # fmt: skip
"""Packages whose versions explain a result: the core's, then the optional ones."""


@dataclass(frozen=True)
class BackendStatus:
    """Whether one backend can be used here.

    Attributes:
        name: of the backend.
        available: whether it can.
        version: of the runtime behind it, when it can.
        reason: why not, when it cannot.
        fix: the command that mends it, when it cannot.
    """

    name: str
    available: bool
    version: str = ""
    reason: str = ""
    fix: str = ""


@dataclass(frozen=True)
class DoctorReport:
    """What graphopt finds on this machine.

    Attributes:
        python: version and implementation.
        executable: the Python that runs.
        platform: operating system and architecture.
        packages: version of each package of ``PACKAGES``, None where it is not installed.
        native: version of the native core.
        built_isas: instruction sets the native core was built for.
        supported_isas: those this CPU runs.
        target: what ``--target cpu`` means here.
        threads: what ``--threads`` defaults to.
        allowed_cpus: logical CPUs affinity allows.
        cpu_quota: CPUs the container grants, None without a limit.
        gpus: NVIDIA GPUs of this machine.
        gpu_reason: why there are none.
        nvidia: what ``--target cuda`` needs, thing by thing.
        backends: each backend and whether it can be used.
        ceilings: measured, or None when not asked for or not to be had.
        ceilings_reason: why they are not to be had.
    """

    python: str
    executable: str
    platform: str
    packages: dict[str, str | None]
    native: str
    built_isas: tuple[str, ...]
    supported_isas: tuple[str, ...]
    target: Target
    threads: int
    allowed_cpus: int
    cpu_quota: float | None
    gpus: tuple[Gpu, ...]
    gpu_reason: str
    nvidia: NvidiaReport
    backends: tuple[BackendStatus, ...]
    ceilings: Ceilings | None
    ceilings_reason: str = ""

    @property
    def can_compile(self) -> bool:
        """Whether at least one backend can run models here."""
        return any(backend.available for backend in self.backends)

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON types."""
        return asdict(self) | {
            "built_isas": list(self.built_isas),
            "supported_isas": list(self.supported_isas),
            "target": self.target.to_json(),
            "gpus": [asdict(gpu) for gpu in self.gpus],
            "nvidia": self.nvidia.to_json(),
            "backends": [asdict(backend) for backend in self.backends],
            "ceilings": None if self.ceilings is None else self.ceilings.to_json(),
            "can_compile": self.can_compile,
        }


def doctor(*, ceilings: bool = True, refresh: bool = False) -> DoctorReport:
    """Look at this machine.

    Args:
        ceilings: also measure them (one to two seconds the first time, then kept).
        refresh: measure them again.

    Raises:
        TargetError: the native core cannot be loaded.
    """
    native, gpus = native_core(), find_gpus()
    measured, reason = _ceilings(refresh) if ceilings else (None, "")
    return DoctorReport(
        python=f"{platform.python_implementation()} {platform.python_version()}",
        executable=sys.executable,
        platform=platform.platform(),
        packages={name: package_version(name) for name in PACKAGES},
        native=native.version(),
        built_isas=tuple(native.built_isas()),
        supported_isas=tuple(native.supported_isas()),
        target=host_target(),
        threads=available_threads(),
        allowed_cpus=len(allowed_cpus()),
        cpu_quota=cpu_quota(),
        gpus=gpus.gpus,
        gpu_reason=gpus.reason,
        nvidia=examine_nvidia(),
        backends=_backend_statuses(),
        ceilings=measured,
        ceilings_reason=reason,
    )


def _ceilings(refresh: bool) -> tuple[Ceilings | None, str]:
    from graphopt.targets.ceilings import measure_ceilings

    try:
        return measure_ceilings(refresh=refresh), ""
    except GraphoptError as error:
        return None, str(error)


def _backend_statuses() -> tuple[BackendStatus, ...]:
    from graphopt.backends.registry import backend_packages

    return tuple(_backend_status(name) for name in backend_packages())


def _backend_status(name: str) -> BackendStatus:
    """Doctor is run when things are broken: a backend that breaks when asked is one that is unavailable."""
    from graphopt.backends.base import Available
    from graphopt.backends.registry import find_backend

    try:
        answer = find_backend(name).availability()
    except GraphoptError as error:
        return BackendStatus(name, False, reason=error.message, fix=error.hint)
    except Exception as error:
        return BackendStatus(name, False, reason=f"it broke when asked: {type(error).__name__}: {error}")
    if isinstance(answer, Available):
        return BackendStatus(name, True, version=answer.version)
    return BackendStatus(name, False, reason=answer.reason, fix=answer.fix)
