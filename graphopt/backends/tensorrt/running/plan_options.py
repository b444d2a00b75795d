"""What an engine's options say it needs, and whether this machine has it. Imports no compiler room.

TensorRT itself notices some of this, in words of its own, and after it has read bytes nobody vouches for.
Here an engine of another TensorRT, version or card is refused before TensorRT sees it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphopt.backends.cuda.device import Device
from graphopt.backends.tensorrt.module import TITLES, Library
from graphopt.errors import ArtifactError, BackendError

_ARCHITECTURE = re.compile(r"sm_(\d{2,3})[a-z]?")
_AMPERE = 80
_ELSEWHERE = "or run the fallback model: fallback=True, --fallback"


@dataclass(frozen=True)
class PlanOptions:
    """What matters of the options of a region. They are untrusted.

    Attributes:
        module: name of the TensorRT module that built the engine.
        version: of it.
        architectures: built for: ("sm_86", …).
        card: name of the GPU it was built on, or empty where none was needed.
        ampere_or_later: whether every card from sm_80 on runs it.
        version_compatible: whether later versions of the module run it.
        needed_bytes: GPU memory for weights and activations, as the builder reckoned; 0 where not known.
    """

    module: str
    version: str
    architectures: tuple[str, ...]
    card: str
    ampere_or_later: bool
    version_compatible: bool
    needed_bytes: int

    @classmethod
    def parse(cls, options: Mapping[str, Any]) -> PlanOptions:
        """Read options that ``check_plan`` let through; raises ArtifactError where others are malformed."""
        sizes = [_size(options, key) for key in ("weight_bytes", "activation_bytes", "scratch_bytes")]
        return cls(
            options["module"],
            options["version"],
            tuple(options["architectures"]),
            str(options.get("device", "")),
            options.get("hardware_compatible") == "ampere+",
            options.get("version_compatible") is True,
            sizes[0] + max(sizes[1:]),
        )

    def check_library(self, library: Library) -> None:
        """Raise BackendError unless this TensorRT runs the engine."""
        here, there = _numbers(library.version), _numbers(self.version)
        later = self.version_compatible and here[:1] == there[:1] and here >= there
        if here == there or later:
            return
        raise BackendError(
            f"the engine was built by {TITLES[self.module]} {self.version}; here is {library.version}",
            f"pip install '{_DISTRIBUTIONS[self.module]}=={self.version}', compile it here, {_ELSEWHERE}",
        )

    def check_device(self, device: Device) -> None:
        """Raise BackendError unless this GPU runs the engine and has the memory for it."""
        if not self._runs_on(device.architecture):
            built_for = ", ".join(self.architectures) + (" and later" if self.ampere_or_later else "")
            raise BackendError(
                f"the engine was built for {built_for}; this GPU is {device}",
                f"graphopt compile MODEL --target cuda:{device.architecture}, {_ELSEWHERE}",
            )
        free = device.free_bytes()
        if self.needed_bytes > free:
            raise BackendError(
                f"the engine needs about {_mebibytes(self.needed_bytes)} of GPU memory,"
                f" and {_mebibytes(free)} of {device} are free",
                f"free memory on the GPU (`nvidia-smi` lists who uses it), {_ELSEWHERE}",
            )

    def notice(self, device: Device) -> str:
        """What a person should know about running the engine on this GPU, or an empty string."""
        if not self.card or self.card == device.name:
            return ""
        return f"the engine was tuned on {self.card[:80]}, running on {device.name}: maybe not the fastest"

    def _runs_on(self, architecture: str) -> bool:
        return architecture in self.architectures or (
            self.ampere_or_later and _capability(architecture) >= _AMPERE
        )


_DISTRIBUTIONS = {"tensorrt": "tensorrt", "tensorrt_rtx": "tensorrt-rtx-cu13-bindings"}


def _size(options: Mapping[str, Any], key: str) -> int:
    value = options.get(key, 0)
    if not isinstance(value, int) or not 0 <= value < 1 << 50:
        raise ArtifactError(f"an engine's '{key}' is no size in bytes", "compile the model again")
    return value


def _capability(architecture: str) -> int:
    found = _ARCHITECTURE.fullmatch(architecture)
    return int(found[1]) if found else 0


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d{1,9}", version))


def _mebibytes(size: int) -> str:
    return f"{-(-size >> 20):,} MiB"
