"""An NVIDIA GPU, as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    Attributes:
        name: as its maker calls it.
        architecture: "sm_90".
        memory_bytes: of its own memory; 0 where not known.
        driver: version of the driver; empty where not known.
    """

    name: str
    architecture: str
    memory_bytes: int
    driver: str


@dataclass(frozen=True)
class GpuQuery:
    """The GPUs found, and why there are none where there are none.

    Attributes:
        gpus: in the driver's order.
        reason: one sentence; empty when GPUs were found.
    """

    gpus: tuple[Gpu, ...]
    reason: str
