"""Under which circumstances figures are taken: the machine in words, the versions of what took part."""

from __future__ import annotations

import importlib.metadata
import platform


def machine_name(*, gpu: bool = False) -> str:
    """This machine in a few words: processor, instruction set, cores; with ``gpu`` the GPU and its driver."""
    from graphopt.targets.cuda import find_gpus
    from graphopt.targets.host import host_target

    target = host_target()
    name = f"{target.model_name}, {target.isa}, {target.cores} cores"
    found = find_gpus().gpus[:1] if gpu else ()
    return ", ".join((name, *(f"{g.name} ({g.architecture}, driver {g.driver or 'unknown'})" for g in found)))


def versions(packages: tuple[str, ...] = ("graphopt", "onnx", "onnxruntime", "numpy")) -> dict[str, str]:
    """Version of Python and of each package that is installed."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
