"""Which GPU architectures each TensorRT builds for here."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from graphopt.backends.tensorrt.module import FIXES, Library, libraries
from graphopt.errors import TargetError
from graphopt.targets.cuda import find_gpus


@cache
def gpus_here() -> tuple[str, ...]:
    """Architectures of this machine's GPUs ("sm_90"), each once."""
    return tuple(dict.fromkeys(gpu.architecture for gpu in find_gpus().gpus))


def builds_for(library: Library) -> tuple[str, ...]:
    """Architectures a TensorRT builds engines for on this machine, in ascending order.

    TensorRT-RTX names compute capabilities and needs no GPU; TensorRT builds for a GPU it can time on.
    """
    known = getattr(library.api, "ComputeCapability", None)
    if known is None:
        return gpus_here()
    numbers = sorted(int(name[2:]) for name in known.__members__ if name[2:].isdigit())
    return tuple(f"sm_{number}" for number in numbers)


@cache
def library_for(architectures: tuple[str, ...]) -> Library:
    """The TensorRT that builds one engine for all these architectures.

    Raises:
        TargetError: none here does; the message says what each can build for.
    """
    found = libraries()
    if not found:
        raise TargetError("no TensorRT is installed here", FIXES["tensorrt_rtx"])
    for library in found:
        if can_build(library, architectures):
            return library
    raise TargetError(refusal(found, architectures))


def can_build(library: Library, architectures: Sequence[str]) -> bool:
    """Whether one engine of this TensorRT runs on all these architectures."""
    return bool(architectures) and set(architectures) <= set(builds_for(library))


def refusal(found: Sequence[Library], architectures: Sequence[str]) -> str:
    """Why none of the TensorRTs builds for the architectures, in one line."""
    known = {name for library in found for name in builds_for(library)}
    lacking = [name for name in architectures if name not in known] or list(architectures)
    offers = "; ".join(
        f"{library.title} builds for {', '.join(builds_for(library)) or 'no GPU of this machine'}"
        for library in found
    )
    return f"{offers}; {', '.join(lacking)} needs `tensorrt` on a machine with that GPU"
