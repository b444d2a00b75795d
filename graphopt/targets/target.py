"""Target: the machine a model is compiled for, as frozen data."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from graphopt.errors import TargetError


@dataclass(frozen=True)
class Caches:
    """Data cache sizes in bytes; 0 where not known.

    Attributes:
        l1d: of one core.
        l2: that one core sees.
        l3: that one core sees, shared with others.
    """

    l1d: int = 0
    l2: int = 0
    l3: int = 0


@dataclass(frozen=True)
class Target:
    """A machine.

    Attributes:
        kind: "cpu" or "cuda".
        arch: "x86_64" or "aarch64"; "cuda" for GPUs.
        isa: the instruction set kernels are chosen for ("avx512-vnni-bf16"); for GPUs the
            architectures joined by "+" ("sm_86+sm_89").
        features: CPU features as /proc/cpuinfo spells them; for GPUs the architectures.
        cores: physical cores; 0 where not known.
        caches: data cache sizes; zeros for GPUs.
        model_name: what the maker calls it, or what this table calls it.
        cpuid: "vendor-family-model-stepping", empty where not known.
    """

    kind: str
    arch: str
    isa: str
    features: tuple[str, ...] = ()
    cores: int = 0
    caches: Caches = field(default_factory=Caches)
    model_name: str = ""
    cpuid: str = ""

    @property
    def architectures(self) -> tuple[str, ...]:
        """The GPU architectures ("sm_86", …); empty for a CPU."""
        return self.features if self.kind == "cuda" else ()

    @property
    def hardware_class(self) -> str:
        """Machines that should run the same choices equally well: instruction set, cache sizes, cores.

        A file name: letters, digits, "_", "-" and "+" only.
        """
        if self.kind == "cuda":
            return f"cuda-{self.isa}"
        sizes = f"l1d-{_size(self.caches.l1d)}-l2-{_size(self.caches.l2)}-l3-{_size(self.caches.l3)}"
        return f"{self.arch}-{self.isa}-{sizes}-{self.cores}c"

    @property
    def hardware_exact(self) -> str:
        """This very model of machine: the class, the model, and a digest of every feature. A file name."""
        digest = hashlib.sha256(" ".join(sorted(self.features)).encode()).hexdigest()[:8]
        parts = (self.hardware_class, _slug(self.model_name), _slug(self.cpuid), digest)
        return "-".join(part for part in parts if part)

    def to_json(self) -> dict[str, Any]:
        """The target as plain JSON types, with both hardware names for whoever reads the file."""
        fields = asdict(self) | {"features": list(self.features)}
        return fields | {"hardware_class": self.hardware_class, "hardware_exact": self.hardware_exact}

    @classmethod
    def from_json(cls, value: object) -> Target:
        """The inverse of ``to_json``; ignores unknown fields, raises TargetError for ill-typed ones."""
        fields = _mapping(value, "target")
        caches = _mapping(fields.get("caches", {}), "target.caches")
        features = fields.get("features", [])
        if not isinstance(features, list) or not all(isinstance(name, str) for name in features):
            raise TargetError("target.features is not a list of names")
        return cls(
            kind=_text(fields, "kind"),
            arch=_text(fields, "arch"),
            isa=_text(fields, "isa"),
            features=tuple(features),
            cores=_count(fields, "cores"),
            caches=Caches(_count(caches, "l1d"), _count(caches, "l2"), _count(caches, "l3")),
            model_name=_text(fields, "model_name", ""),
            cpuid=_text(fields, "cpuid", ""),
        )


def _size(size: int) -> str:
    """Bytes as a short exact word: 49152 → 48k."""
    return f"{size // 1024}k" if size % 1024 == 0 else str(size)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _mapping(value: object, name: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise TargetError(f"{name} is not a JSON object")
    return value


def _text(fields: Mapping[str, object], name: str, otherwise: str | None = None) -> str:
    value = fields.get(name, otherwise)
    if not isinstance(value, str):
        raise TargetError(f"target.{name} is not a text")
    return value


def _count(fields: Mapping[str, object], name: str) -> int:
    value = fields.get(name, 0)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TargetError(f"target.{name} is not a count")
    return value
