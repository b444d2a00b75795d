"""Which GPU architectures each TensorRT builds for here. Imports no compiler room."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from graphopt.backends.engine_options import HardwareCompatibility
from graphopt.backends.tensorrt.module import FIXES, TITLES, Library, libraries
from graphopt.errors import TargetError
from graphopt.targets.cuda import find_gpus
from graphopt.targets.gpu import Gpu

AMPERE = 80


@cache
def gpus_here() -> tuple[Gpu, ...]:
    """The GPUs of this machine, asked for once."""
    return find_gpus().gpus


def builds_for(library: Library) -> tuple[str, ...]:
    """Architectures a TensorRT builds engines for on this machine, in ascending order.

    TensorRT-RTX names compute capabilities and needs no GPU; TensorRT builds for a GPU it can time on.
    """
    known = getattr(library.api, "ComputeCapability", None)
    names = (
        [f"sm_{name[2:]}" for name in known.__members__ if name[2:].isdigit()] if known is not None else []
    )
    names = names or [gpu.architecture for gpu in gpus_here()[:1]]
    return tuple(sorted(set(names), key=_number))


def can_build(library: Library, architectures: Sequence[str], compatible: HardwareCompatibility) -> bool:
    """Whether one engine of this TensorRT runs on all these architectures.

    Args:
        library: that builds.
        architectures: ("sm_86", …).
        compatible: which other cards may run the engine: one built for Ampere and later runs on all these.
    """
    known = builds_for(library)
    # TensorRT's engines then run on whatever is later, TensorRT-RTX's on every one that it knows itself.
    widens = library.name == "tensorrt" and compatible == "ampere+"
    if widens and any(_number(name) >= AMPERE for name in known):
        known = (*known, *(name for name in architectures if _number(name) >= AMPERE))
    return bool(architectures) and set(architectures) <= set(known)


def library_for(architectures: Sequence[str], compatible: HardwareCompatibility = "none") -> Library:
    """The TensorRT that builds one engine for all these architectures, the one preferred.

    Raises:
        TargetError: none here does; the message says what each can build for.
    """
    found = libraries()
    if not found:
        raise TargetError("no TensorRT is installed here", FIXES["tensorrt_rtx"])
    for library in found:
        if can_build(library, architectures, compatible):
            return library
    hint = ""
    if any(can_build(library, architectures, "ampere+") for library in found):
        hint = "--hardware-compatible ampere+ makes one engine for all of them"
    raise TargetError(_refusal(found, architectures), hint)


@cache
def can_claim(architectures: tuple[str, ...]) -> tuple[Library | None, str]:
    """The TensorRT whose parser decides about nodes for these architectures, or None and why there is none.

    Which cards besides the named ones must run an engine is not known yet: ``library_for`` decides.
    """
    for compatible in ("none", "ampere+"):
        try:
            return library_for(architectures, compatible), ""
        except TargetError as error:
            reason = error.message if not error.hint else f"{error.message} ({error.hint})"
    return None, reason


def _refusal(found: Sequence[Library], architectures: Sequence[str]) -> str:
    """Why none of the TensorRTs builds for the architectures, in one line."""
    offers = "; ".join(f"{library.title} builds for {_offer(library)}" for library in found)
    known = {name for library in found for name in builds_for(library)}
    lacking = ", ".join(name for name in architectures if name not in known)
    if not lacking:
        return f"{offers}; none builds for {', '.join(architectures)} at once"
    return f"{offers}; {lacking} needs {TITLES['tensorrt']} on a machine with that GPU"


def _offer(library: Library) -> str:
    return ", ".join(builds_for(library)) or "the GPU of the machine it runs on, and there is none here"


def _number(architecture: str) -> int:
    return int(architecture.removeprefix("sm_"))
