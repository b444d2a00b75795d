"""The measured ceilings as frozen data, and their JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol

from graphopt.errors import TargetError

SCHEMA = 1
_NOISY_SPREAD = 0.25
"""Samples of a quiet machine lie within a tenth of each other; a neighbour on the core halves some."""


class Measured(Protocol):
    """What the native core returns; see ``Rate``."""

    @property
    def median(self) -> float: ...  # noqa: D102
    @property
    def low(self) -> float: ...  # noqa: D102
    @property
    def high(self) -> float: ...  # noqa: D102
    @property
    def samples(self) -> int: ...  # noqa: D102
    @property
    def threads(self) -> int: ...  # noqa: D102


@dataclass(frozen=True)
class Rate:
    """Something per second.

    Attributes:
        median: of the samples.
        low: the slowest sample.
        high: the fastest sample.
        samples: how many.
        threads: running at once; the figures are their sum.
    """

    median: float
    low: float
    high: float
    samples: int
    threads: int

    @classmethod
    def of(cls, measured: Measured) -> Rate:
        """The record of a measurement."""
        return cls(measured.median, measured.low, measured.high, measured.samples, measured.threads)

    @property
    def spread(self) -> float:
        """(high - low) / median."""
        return (self.high - self.low) / self.median

    @property
    def noisy(self) -> bool:
        """Whether the samples disagree more than those of a quiet machine do."""
        return self.spread > _NOISY_SPREAD


@dataclass(frozen=True)
class Peak:
    """Arithmetic out of registers: multiplications plus additions per second.

    Attributes:
        isa: the instruction set.
        dtype: of the factors; bfloat16 accumulates in float32, int8 in int32.
        rate: operations per second.
    """

    isa: str
    dtype: str
    rate: Rate


@dataclass(frozen=True)
class Bandwidth:
    """Streaming through a working set.

    Attributes:
        level: "L1", "L2", "L3" or "memory": where the working set fits.
        kernel: "stream_read" (bytes read) or "stream_copy" (bytes read plus bytes written).
        bytes: of the working set, per thread.
        rate: bytes per second.
    """

    level: str
    kernel: str
    bytes: int
    rate: Rate


@dataclass(frozen=True)
class Ceilings:
    """What one machine can do at best, measured.

    Attributes:
        hardware_exact: the machine, as ``Target.hardware_exact`` names it.
        isa: the machine's best instruction set.
        threads: "all cores": one per core this process may use.
        clock: cycles per second of one core under a scalar load.
        peaks: per instruction set, dtype and number of threads (1 and all).
        bandwidths: per level, kernel and number of threads (1 and all).
        date: when measured, ISO 8601 in UTC.
        core_version: of the native core that measured.
        seconds: how long measuring took.
        kept_in: the file these figures come from; empty when just measured.
    """

    hardware_exact: str
    isa: str
    threads: int
    clock: Rate
    peaks: tuple[Peak, ...]
    bandwidths: tuple[Bandwidth, ...]
    date: str
    core_version: str
    seconds: float
    kept_in: str = ""

    @property
    def noisy(self) -> bool:
        """Whether other programs disturbed the measurement: samples of one thread's arithmetic disagree."""
        return any(p.rate.noisy for p in self.peaks if p.rate.threads == 1)

    def peak(self, dtype: str, *, isa: str = "", threads: int = 1) -> Rate | None:
        """Operations per second of a dtype, on the best instruction set by default; None if not there."""
        wanted = (isa or self.isa, dtype, threads)
        return next((p.rate for p in self.peaks if (p.isa, p.dtype, p.rate.threads) == wanted), None)

    def bandwidth(self, level: str, *, kernel: str = "stream_copy", threads: int = 1) -> Rate | None:
        """Bytes per second of a level; None if the machine does not have it."""
        wanted = (level, kernel, threads)
        return next((b.rate for b in self.bandwidths if (b.level, b.kernel, b.rate.threads) == wanted), None)

    def to_json(self) -> dict[str, Any]:
        """The record as plain JSON types."""
        return asdict(self) | {
            "peaks": [asdict(peak) for peak in self.peaks],
            "bandwidths": [asdict(bandwidth) for bandwidth in self.bandwidths],
        }

    @classmethod
    def from_json(cls, value: Any) -> Ceilings:
        """The inverse of ``to_json``; raises TargetError for anything else, another schema included."""
        try:
            if value.get("schema", SCHEMA) != SCHEMA:
                raise TargetError(f"ceilings of schema {value['schema']}, not {SCHEMA}")
            return cls(
                hardware_exact=str(value["hardware_exact"]),
                isa=str(value["isa"]),
                threads=int(value["threads"]),
                clock=_rate(value["clock"]),
                peaks=tuple(Peak(str(p["isa"]), str(p["dtype"]), _rate(p["rate"])) for p in value["peaks"]),
                bandwidths=tuple(
                    Bandwidth(str(b["level"]), str(b["kernel"]), int(b["bytes"]), _rate(b["rate"]))
                    for b in value["bandwidths"]
                ),
                date=str(value["date"]),
                core_version=str(value["core_version"]),
                seconds=float(value["seconds"]),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise TargetError(f"not a record of ceilings: {type(error).__name__} {error}") from error


def _rate(value: Any) -> Rate:
    rate = Rate(
        float(value["median"]),
        float(value["low"]),
        float(value["high"]),
        int(value["samples"]),
        int(value["threads"]),
    )
    if not 0 < rate.low <= rate.median <= rate.high:
        raise ValueError("a rate out of order")
    return rate
