"""The NVIDIA driver of this machine, asked through libcuda itself: no toolkit and no package is needed."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from graphopt.targets.gpu import Gpu

LIBRARY = "libcuda.so.1"

INSTALL = (
    "install NVIDIA's driver (https://www.nvidia.com/drivers); in a container, start it with --gpus all "
    "or its like, which needs the nvidia-container-toolkit on the host"
)
"""What to do where there is no driver."""

LEAST_DRIVER = {11: "450", 12: "525", 13: "580"}
"""Major version of CUDA → the first branch of the driver that runs programs made with it."""

_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*

# What cuInit answers, in words, and what helps.
_NO_DEVICE = 100
_FAILURES: dict[int, tuple[str, str]] = {
    34: (
        "libcuda.so.1 is the toolkit's stub, not the driver",
        "take the toolkit's stubs folder out of LD_LIBRARY_PATH",
    ),
    46: ("the GPU is in use by another process alone, or in a bad state", "end the other process"),
    _NO_DEVICE: (
        "the driver sees no GPU",
        "check CUDA_VISIBLE_DEVICES, and that the container was given a GPU",
    ),
    802: ("the system is not ready (is the fabric manager running?)", "systemctl start nvidia-fabricmanager"),
    803: (
        "the driver in the kernel and libcuda.so.1 are of different versions",
        "restart the machine after updating the driver",
    ),
    804: (
        "a CUDA compatibility package hides the driver, and this GPU does not support that",
        "take the cuda-compat folder out of LD_LIBRARY_PATH",
    ),
}


@dataclass(frozen=True)
class CudaDriver:
    """What the driver says.

    Attributes:
        cuda: the newest CUDA it runs, (13, 0); None where there is no driver.
        gpus: those programs may use: CUDA_VISIBLE_DEVICES is heeded, unlike by nvidia-smi.
        reason: one sentence saying why no GPU can be used; empty when one can.
        fix: what helps.
    """

    cuda: tuple[int, int] | None
    gpus: tuple[Gpu, ...] = ()
    reason: str = ""
    fix: str = ""


@cache
def cuda_driver() -> CudaDriver:
    """Ask the driver, once per process; never raises. No context is made and no GPU memory taken."""
    try:
        return ask_driver(ctypes.CDLL)
    except Exception as error:
        return CudaDriver(None, (), f"{LIBRARY} broke when asked: {type(error).__name__}: {error}", INSTALL)


def ask_driver(open_library: Callable[[str], Any]) -> CudaDriver:
    """As ``cuda_driver``, with whatever opens a library by name."""
    try:
        library = open_library(LIBRARY)
    except OSError:
        return CudaDriver(None, (), f"there is no NVIDIA driver here: {LIBRARY} is missing", INSTALL)
    number = ctypes.c_int()
    if library.cuDriverGetVersion(ctypes.byref(number)) != 0 or number.value <= 0:
        return CudaDriver(None, (), f"{LIBRARY} does not say its version", INSTALL)
    cuda = (number.value // 1000, number.value % 1000 // 10)
    failure = library.cuInit(0)
    if failure:
        reason, fix = _FAILURES.get(failure, (f"the driver fails to start: error {failure}", "nvidia-smi"))
        return CudaDriver(cuda, (), reason, fix)
    count = ctypes.c_int()
    if library.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value <= 0:
        return CudaDriver(cuda, (), *_FAILURES[_NO_DEVICE])
    return CudaDriver(cuda, tuple(_gpu(library, index) for index in range(count.value)))


def _gpu(library: Any, index: int) -> Gpu:
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name, memory = ctypes.create_string_buffer(256), ctypes.c_size_t()
    library.cuDeviceGet(ctypes.byref(device), index)
    library.cuDeviceGetName(name, len(name), device)
    library.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device)
    library.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device)
    library.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    text = name.value.decode("utf-8", "replace")
    return Gpu(text, f"sm_{major.value}{minor.value}", memory.value, "")
