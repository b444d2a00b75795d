"""This machine as a Target."""

from __future__ import annotations

import platform
from functools import cache
from types import ModuleType

from graphopt.errors import TargetError
from graphopt.targets import cpu_files
from graphopt.targets.target import Target
from graphopt.targets.threads import allowed_cpus


@cache
def host_target() -> Target:
    """This machine, with the best instruction set it runs.

    Detected once per process: instruction sets by the CPU itself, caches and cores from /sys. Cores and
    caches are the machine's, whatever affinity leaves of them to this process. Raises TargetError where
    the native core cannot be loaded.
    """
    native = native_core()
    identity = native.identify_cpu()
    caches = cpu_files.read_caches(min(allowed_cpus()))
    return Target(
        kind="cpu",
        arch=host_arch(),
        isa=native.best_isa(),
        features=tuple(native.cpu_features()),
        cores=len(cpu_files.read_cores(cpu_files.online_cpus())),
        caches=caches if caches.l1d else cpu_files.fallback_caches(),
        model_name=identity.model_name or cpu_files.read_model_name(),
        cpuid=f"{identity.vendor}-{identity.family}-{identity.model}-{identity.stepping}".removeprefix("-"),
    )


def host_arch() -> str:
    """ "x86_64" or "aarch64"."""
    machine = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)


def runs_here(target: Target) -> bool:
    """Whether this machine executes code for ``target``, so that choices for it can be measured here."""
    return (
        target.kind == "cpu" and target.arch == host_arch() and target.isa in native_core().supported_isas()
    )


def native_core() -> ModuleType:
    """The extension module ``graphopt._kernels``; raises TargetError where it cannot be loaded."""
    try:
        from graphopt import _kernels
    except ImportError as error:
        reinstall = "reinstall graphopt: pip install --force-reinstall --no-deps graphopt"
        raise TargetError(f"graphopt's native core cannot be loaded: {error}", reinstall) from error
    return _kernels
