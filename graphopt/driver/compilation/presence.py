"""Is the machine compiled for the one at hand? Only then is anything measured, or an engine run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphopt.targets.target import Target


def absence(target: Target) -> str:
    """Why nothing can be run on ``target`` here, in a few words; empty when it is this machine."""
    if target.kind == "cuda":
        return _no_gpu(target)
    from graphopt.targets.host import host_target

    host = host_target()
    same = (target.model_name, target.cpuid) == (host.model_name, host.cpuid)
    if same or target.hardware_class == host.hardware_class:
        return ""
    return f"{target.model_name or target.isa} is another machine than this one"


def unmeasurable(target: Target) -> str:
    """Why no time can be taken on ``target`` here; empty when it is this machine and has the baseline."""
    reason = absence(target)
    if reason or target.kind == "cpu":
        return reason
    from graphopt.backends.onnxruntime.session import import_onnxruntime
    from graphopt.driver.engines import CUDA

    if CUDA in import_onnxruntime().get_available_providers():
        return ""
    return "onnxruntime-gpu, to measure against, is not installed here"


def _no_gpu(target: Target) -> str:
    from graphopt.targets.cuda import find_gpus

    found = find_gpus()
    if any(gpu.architecture in target.architectures for gpu in found.gpus):
        return ""
    *others, last = target.architectures
    wanted = f"{', '.join(others)} or {last}" if others else last
    here = ", ".join(f"{gpu.name} ({gpu.architecture})" for gpu in found.gpus)
    return f"no {wanted} GPU here" + (f", only {here}" if here else "")
