"""From what a person types after ``--target`` to a Target."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches

from graphopt.errors import TargetError
from graphopt.targets.cuda import find_gpus
from graphopt.targets.host import host_target, native_core
from graphopt.targets.named import CUDA_ARCHITECTURES, CUDA_FAMILIES, NAMED_CPUS
from graphopt.targets.target import Target

_FORMS = f"a target is cpu, cpu:ISA, cuda, cuda:sm_86,sm_89, or one of {', '.join(NAMED_CPUS)}"

NAME_THEM = "name the architectures to compile for, as in --target cuda:sm_86,sm_89"
"""The hint for who has no GPU here."""


class NoGpuError(TargetError):
    """``--target cuda`` on a machine without a GPU."""


def parse_target(text: str) -> Target:
    """The target a person names.

    Args:
        text: "cpu" (this machine), "cpu:avx2" (this machine, held to an instruction set), a name of
            ``NAMED_CPUS`` ("zen4"), "cuda" (the GPUs of this machine) or "cuda:sm_86,sm_89"; architectures
            may be spelled sm_86, 86, 8.6 or compute_86 and separated by commas, semicolons, plus signs
            or spaces.

    Raises:
        TargetError: there is no such target, or it asks of this machine what it does not have; the
            hint names the nearest that exists.
    """
    name, colon, rest = text.strip().lower().partition(":")
    if colon and not rest.strip():
        raise TargetError(f"nothing follows the colon of target '{text}'", _FORMS)
    if name == "cpu":
        return _this_cpu(rest.strip()) if colon else host_target()
    if name == "cuda":
        return cuda_target(_architectures(rest)) if colon else _these_gpus()
    if name in NAMED_CPUS and not colon:
        return named_target(name)
    raise TargetError(f"there is no target '{text}'", _nearest(text, target_names(), _FORMS))


def target_names() -> tuple[str, ...]:
    """Every target that can be named without a machine to ask, and "cpu" and "cuda"."""
    on_this_cpu = (f"cpu:{isa}" for isa in native_core().supported_isas())
    gpus = (f"cuda:{architecture}" for architecture in CUDA_ARCHITECTURES)
    return ("cpu", "cuda", *NAMED_CPUS, *on_this_cpu, *gpus)


def named_target(name: str) -> Target:
    """A CPU of ``NAMED_CPUS``; KeyError for any other name."""
    cpu = NAMED_CPUS[name]
    features = tuple(native_core().isa_features(cpu.isa))
    return Target("cpu", cpu.arch, cpu.isa, features, cpu.cores, cpu.caches, model_name=name)


def cuda_target(architectures: Iterable[str], model_name: str = "") -> Target:
    """GPUs of the given architectures ("sm_86"), in ascending order and each once."""
    ordered = tuple(sorted(set(architectures), key=lambda name: int(name.removeprefix("sm_"))))
    return Target("cuda", "cuda", "+".join(ordered), ordered, model_name=model_name)


def _this_cpu(isa: str) -> Target:
    native, host = native_core(), host_target()
    supported = native.supported_isas()
    if isa in supported:
        return host if isa == host.isa else replace(host, isa=isa, features=tuple(native.isa_features(isa)))
    if isa in native.known_isas():
        elsewhere = [name for name, cpu in NAMED_CPUS.items() if cpu.isa == isa]
        hint = f"this CPU has {', '.join(supported)}"
        if elsewhere:
            hint += f"; to compile for another machine use --target {elsewhere[0]}"
        raise TargetError(f"this CPU does not run {isa}", hint)
    raise TargetError(f"there is no instruction set '{isa}'", _nearest(isa, supported))


def _architectures(text: str) -> list[str]:
    """A list as people write it here, for CMake ("86;89") and for PyTorch ("8.6 8.9")."""
    return [_architecture(part) for part in re.split(r"\s*[,;+]\s*|\s+", text.strip())]


def _architecture(text: str) -> str:
    """One architecture in any spelling in use: sm_86, sm86, compute_86, 86, 8.6."""
    match = re.fullmatch(r"(?:sm_?|compute_?)?(\d+)\.?(\d)", text.strip())
    name = f"sm_{match[1]}{match[2]}" if match else text.strip()
    if name in CUDA_ARCHITECTURES:
        return name
    message = f"there is no CUDA architecture '{text.strip()}'"
    raise TargetError(message, _card_hint(name) or _nearest(name, CUDA_ARCHITECTURES))


def _card_hint(text: str) -> str:
    """Which architecture a card ("l4", "rtx4090") or a family of cards ("ampere") has, when one is named."""
    if text in CUDA_FAMILIES:
        members = [f"{name} ({CUDA_ARCHITECTURES[name]})" for name in CUDA_FAMILIES[text]]
        return f"{text} is {', '.join(members)}"
    asked = re.sub(r"[^a-z0-9]", "", text)
    for name, about in CUDA_ARCHITECTURES.items():
        for card in about.split(", "):
            known = re.sub(r"[^a-z0-9]", "", card.lower())
            # A series is named by its first digits: RTX 40 stands for 4060 to 4090.
            if asked == known or (
                known.startswith("rtx") and re.fullmatch(rf"{known}\d\d(ti|super)?", asked)
            ):
                return f"{card} is {name}: --target cuda:{name}"
    return ""


def _these_gpus() -> Target:
    query = find_gpus()
    if not query.gpus:
        known = ", ".join(f"{name} ({about})" for name, about in CUDA_ARCHITECTURES.items())
        raise NoGpuError(
            f"--target cuda means the GPUs of this machine, and it has none: {query.reason}",
            f"{NAME_THEM}; known: {known}",
        )
    unknown = [gpu for gpu in query.gpus if gpu.architecture not in CUDA_ARCHITECTURES]
    if unknown:
        gpu = unknown[0]
        raise TargetError(
            f"{gpu.name} has architecture {gpu.architecture}, which graphopt does not know",
            _nearest(gpu.architecture, CUDA_ARCHITECTURES),
        )
    names = dict.fromkeys(gpu.name for gpu in query.gpus)
    return cuda_target((gpu.architecture for gpu in query.gpus), " + ".join(names))


def _nearest(text: str, known: Iterable[str], otherwise: str = "") -> str:
    """A hint: the spellings closest to what was typed, or ``otherwise``, or all of them."""
    names = list(known)
    close = get_close_matches(text.strip().lower(), names, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return otherwise or "known: " + ", ".join(names)
