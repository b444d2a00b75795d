"""What a person can ask of the engines a GPU backend builds; plain data, the same for every backend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

HardwareCompatibility = Literal["none", "same", "ampere+"]
"""``none``: the named architectures only. ``same``: every card of the same compute capability.
``ampere+``: every card from sm_80 on. As TensorRT means them."""

DEFAULT_BUILDER_LEVEL = 3


@dataclass(frozen=True)
class ShapeRange:
    """The shapes one input of an engine may take; all three have the input's rank.

    Attributes:
        least: smallest size of each dim.
        usual: the size the engine is tuned for.
        most: largest size of each dim.
    """

    least: tuple[int, ...]
    usual: tuple[int, ...]
    most: tuple[int, ...]

    @property
    def fixed(self) -> bool:
        """Whether there is only one shape."""
        return self.least == self.most


Profile = Mapping[str, ShapeRange]
"""Input name → the shapes it may take."""


@dataclass(frozen=True)
class EngineOptions:
    """How engines are built.

    Attributes:
        profiles: optimisation profiles of the region at hand, each with a range for every input that
            has open dims; empty when all shapes are fixed.
        workspace_bytes: the most scratch memory the engine may use; None leaves it to the builder.
        builder_level: 0 (quickest build) to 5 (best engine).
        timing_cache: path of a file that keeps the builder's timings; None keeps none.
        version_compatible: the engine also runs on later versions of the runtime.
        hardware_compatible: which cards besides the named ones may run it.
        tf32: float32 products may be rounded to TensorFloat-32; off, they are float32's own.
    """

    profiles: tuple[Profile, ...] = field(default=())
    workspace_bytes: int | None = None
    builder_level: int = DEFAULT_BUILDER_LEVEL
    timing_cache: str | None = None
    version_compatible: bool = False
    hardware_compatible: HardwareCompatibility = "none"
    tf32: bool = False
