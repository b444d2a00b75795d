"""Open a TensorRT region of an artifact. Imports no compiler room."""

from __future__ import annotations

from typing import Any

from graphopt.backends.cuda.device import Device, open_device
from graphopt.backends.executable import RegionBlob
from graphopt.backends.tensorrt.key import check_plan
from graphopt.backends.tensorrt.logger import first_error, log_of
from graphopt.backends.tensorrt.module import Library, find_library
from graphopt.backends.tensorrt.running.executable import TensorRTExecutable
from graphopt.backends.tensorrt.running.plan_options import PlanOptions
from graphopt.errors import BackendError


def load(blob: RegionBlob) -> TensorRTExecutable:
    """Open an engine on ``blob.device``.

    Raises:
        ArtifactError: the region's options are malformed, or those of another engine.
        BackendError: TensorRT, its libraries, the driver, the GPU or its memory are missing or are not
            what the engine was built for, or the engine is damaged; the hint says what to do.
        UsageError: there is no GPU of that number.
    """
    check_plan(blob.options, blob.data)
    plan = PlanOptions.parse(blob.options)
    # A machine without a GPU is told so first: nothing that could be installed would help.
    device = open_device(blob.device)
    plan.check_device(device)
    library = find_library(plan.module)
    plan.check_library(library)
    notice = plan.notice(device)
    with device.active():
        runtime, engine = _deserialize(library, plan, blob.data, device)
        notices = (notice,) if notice else ()
        executable = TensorRTExecutable(
            library, engine, log_of(library), device, cuda_graph=blob.cuda_graph, notices=notices
        )
    executable.runtime = runtime
    return executable


def _deserialize(library: Library, plan: PlanOptions, data: memoryview, device: Device) -> tuple[Any, Any]:
    """TensorRT's runtime and the engine in it."""
    log = log_of(library)
    mark = len(log.lines)
    runtime = library.api.Runtime(log.handle)
    if library.version != plan.version and hasattr(runtime, "engine_host_code_allowed"):
        # An engine for later versions brings a part of its own TensorRT along.
        runtime.engine_host_code_allowed = True
    try:
        engine = runtime.deserialize_cuda_engine(data)
    except Exception as error:
        raise _refusal(library, runtime, data, device, first_error(log, mark) or str(error)) from error
    if engine is None:
        raise _refusal(library, runtime, data, device, first_error(log, mark))
    return runtime, engine


def _refusal(library: Library, runtime: Any, data: memoryview, device: Device, said: str) -> BackendError:
    """Why TensorRT does not take the bytes: its own diagnosis where it makes one, else what it logged."""
    reason = " ".join(said.split()) or "no reason given"
    hint = "compile the model again, or run the fallback model: fallback=True, --fallback"
    words = (reason + _diagnosis(library, runtime, data)).lower()
    if "memory" in words:
        hint = f"free memory on {device} (`nvidia-smi` lists who uses it)"
    elif "driver" in words or "cuda_runtime" in words:
        hint = "update the NVIDIA driver"
    return BackendError(f"{library.title} refuses the engine: {reason[:300]}", hint)


def _diagnosis(library: Library, runtime: Any, data: memoryview) -> str:
    """What TensorRT-RTX finds wrong with an engine ("OLD_CUDA_DRIVER …"); TensorRT has no such call."""
    flags = getattr(library.api, "EngineInvalidityDiagnostics", None)
    if flags is None or not hasattr(runtime, "get_engine_validity"):
        return ""
    try:
        found = int(runtime.get_engine_validity(data)[1])
    except (RuntimeError, TypeError, ValueError):
        return ""
    return "".join(f" {name}" for name, flag in flags.__members__.items() if found & int(flag))
