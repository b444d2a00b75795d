"""Under which circumstances figures are taken: the machine in words, the versions of what took part."""

from __future__ import annotations

import importlib.metadata
import platform


def machine_name() -> str:
    """This machine in a few words: processor, instruction set, cores."""
    from graphopt.targets.host import host_target

    target = host_target()
    return f"{target.model_name}, {target.isa}, {target.cores} cores"


def versions(packages: tuple[str, ...] = ("graphopt", "onnx", "onnxruntime", "numpy")) -> dict[str, str]:
    """Version of Python and of each package that is installed."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
