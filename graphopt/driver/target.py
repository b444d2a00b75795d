"""What ``--target`` means here; where it means nothing, what could be compiled for instead."""

from __future__ import annotations

from graphopt.backends.tensorrt.architectures import builds_for
from graphopt.backends.tensorrt.module import FIXES, libraries
from graphopt.errors import TargetError
from graphopt.targets.named import CUDA_ARCHITECTURES
from graphopt.targets.parse import NAME_THEM, NoGpuError, parse_target
from graphopt.targets.target import Target


def find_target(text: str) -> Target:
    """The target a person names; see ``targets.parse.parse_target`` for the spellings.

    Raises:
        TargetError: there is no such target, or no such machine here. Where ``cuda`` finds no GPU the hint
            names the architectures that engines can be built for on this machine.
    """
    try:
        return parse_target(text)
    except NoGpuError as error:
        offers = _offers()
        hint = f"{NAME_THEM}; {offers}"
        if not offers:
            hint = f"{error.hint}; {FIXES['tensorrt_rtx']} builds for most of them"
        raise TargetError(error.message, hint) from None


def _offers() -> str:
    """What each TensorRT here builds engines for; empty where there is none."""
    texts = []
    for library in libraries():
        names = [f"{name} ({CUDA_ARCHITECTURES.get(name, '?')})" for name in builds_for(library)]
        if names:
            texts.append(f"{library.title} builds here for {', '.join(names)}")
    return "; ".join(texts)
