"""What a comparison found, and under which conditions. Times are nanoseconds unless named otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from statistics import median
from typing import Any

from graphopt.errors import UsageError
from graphopt.measure.process import Startup
from graphopt.measure.stats import Interval, Summary, paired_ratio, summarize

# Two processes of one program differ by about this much for good (placement of code and data in
# memory), which a single pair of processes may fail to show.
MINIMUM_NOISE = 0.01
# Taken when no control was run; the A/A noise usually found on shared machines.
ASSUMED_NOISE = 0.02


class Verdict(StrEnum):
    """What a ratio says once the noise is taken into account."""

    FASTER = "faster"
    SLOWER = "slower"
    SAME = "same"


@dataclass(frozen=True)
class Ratio:
    """How many times faster than another an engine is.

    Attributes:
        median: baseline time / engine time, the median over rounds; above 1 is faster.
        low: lower end of its 95 % interval.
        high: upper end.
        noise: how far from 1 a ratio can be that means nothing, as a fraction (0.02 = 2 %).
        n: rounds.
        noise_low: lower end of the same interval for the baseline against itself, None without control.
        noise_high: upper end of it.
    """

    median: float
    low: float
    high: float
    noise: float
    n: int
    noise_low: float | None = None
    noise_high: float | None = None

    @property
    def verdict(self) -> Verdict:
        """Faster or slower when the interval excludes 1 and the median is beyond the noise, else same."""
        if self.low > 1 and self.median > 1 + self.noise:
            return Verdict.FASTER
        if self.high < 1 and self.median < 1 / (1 + self.noise):
            return Verdict.SLOWER
        return Verdict.SAME

    def to_json(self) -> dict[str, Any]:
        """The record as plain JSON types, the verdict included."""
        return {**asdict(self), "verdict": self.verdict.value}


@dataclass(frozen=True)
class Block:
    """The calls of one engine in one round.

    Attributes:
        median: of the samples.
        samples: every timed call, in order.
        launch: which of the fresh processes of the engine, from 0.
    """

    median: float
    samples: tuple[int, ...]
    launch: int = 0


@dataclass(frozen=True)
class Conditions:
    """Under which circumstances times were taken; a time without them means little.

    Attributes:
        machine: class of the machine, as the caller names it.
        threads: threads each engine was given, None when the caller does not say.
        cores: processors this process may use.
        load_before: load average (1, 5, 15 minutes) at the start.
        load_after: the same at the end.
        date: start, ISO 8601 with zone.
        seconds: wall time of the rounds, the loading of the engines excluded.
        budget_seconds: what was allowed.
        rounds: how many rounds were completed.
        launches: how often every engine was started afresh.
        block_calls: timed calls per round of each engine.
        seed: of the order within rounds and of the bootstrap.
        stopped_by: "clear" when it was plain who is fastest, "precision" when every launch ended early for
            it, else "budget".
    """

    machine: str
    threads: int | None
    cores: int
    load_before: tuple[float, float, float]
    load_after: tuple[float, float, float]
    date: str
    seconds: float
    budget_seconds: float
    rounds: int
    launches: int
    block_calls: Mapping[str, int]
    seed: int
    stopped_by: str

    def to_json(self) -> dict[str, Any]:
        """The record as plain JSON types."""
        return {**asdict(self), "block_calls": dict(self.block_calls)}


@dataclass(frozen=True)
class Measured:
    """One engine's part of a comparison.

    Attributes:
        name: of the engine.
        startups: how it came up, once per launch.
        peak_rss_bytes: most memory a process of it (and children) held, libraries included.
        blocks: one per round.
    """

    name: str
    startups: tuple[Startup, ...]
    peak_rss_bytes: int
    blocks: tuple[Block, ...]

    @property
    def startup(self) -> Startup:
        """The median launch, figure by figure."""
        return Startup(
            import_seconds=median(one.import_seconds for one in self.startups),
            load_seconds=median(one.load_seconds for one in self.startups),
            first_run_seconds=median(one.first_run_seconds for one in self.startups),
            rss_before_load_bytes=round(median(one.rss_before_load_bytes for one in self.startups)),
        )

    @property
    def rounds_by_launch(self) -> tuple[int, ...]:
        """How many rounds each launch had."""
        return tuple(Counter(block.launch for block in self.blocks).values())

    @property
    def samples(self) -> tuple[int, ...]:
        """Every timed call of every round, in order."""
        return tuple(sample for block in self.blocks for sample in block.samples)

    @property
    def block_medians(self) -> tuple[float, ...]:
        """One time per round."""
        return tuple(block.median for block in self.blocks)

    def summary(self) -> Summary:
        """Median, MAD, minimum and mean over all calls."""
        return summarize(self.samples)

    def to_json(self, *, samples: bool = False) -> dict[str, Any]:
        """The record as plain JSON types; with every call's time only when asked."""
        out: dict[str, Any] = {
            "name": self.name,
            "latency_ns": self.summary().to_json(),
            "startups": [asdict(startup) for startup in self.startups],
            "peak_rss_bytes": self.peak_rss_bytes,
            "block_medians_ns": list(self.block_medians),
        }
        if samples:
            out["samples_ns"] = [list(block.samples) for block in self.blocks]
        return out


@dataclass(frozen=True)
class Comparison:
    """Several engines measured in turns.

    Attributes:
        baseline: name of the engine the others are compared with.
        engines: every engine that ran, in the order given.
        control: the baseline once more in a process of its own, or None.
        failed: engines that could not be measured, with their own reason.
        conditions: of the measurement.
    """

    baseline: str
    engines: tuple[Measured, ...]
    control: Measured | None
    failed: Mapping[str, str]
    conditions: Conditions

    def engine(self, name: str) -> Measured:
        """The part of one engine; raises UsageError naming the failure when it has none."""
        for measured in self.engines:
            if measured.name == name:
                return measured
        known = ", ".join(measured.name for measured in self.engines)
        reason = self.failed.get(name, f"there are: {known}")
        raise UsageError(f"no measurement of an engine '{name}': {reason}")

    def ratio(self, name: str, *, over: str | None = None) -> Ratio:
        """How many times faster ``name`` is than ``over``, by default the baseline."""
        measured = self._interval(self.engine(over or self.baseline), self.engine(name))
        control = self.control_interval()
        return Ratio(
            median=measured.value,
            low=measured.low,
            high=measured.high,
            noise=self.noise,
            n=measured.n,
            noise_low=control.low if control else None,
            noise_high=control.high if control else None,
        )

    def control_interval(self) -> Interval | None:
        """The ratio of the baseline to itself, 1 on a perfect machine; None without control."""
        return self._interval(self.engine(self.baseline), self.control) if self.control else None

    @property
    def noise(self) -> float:
        """How far from 1 a ratio can be that means nothing: the far end of the control's interval."""
        control = self.control_interval()
        if control is None:
            return ASSUMED_NOISE
        return max(control.high - 1, 1 / control.low - 1, MINIMUM_NOISE)

    def to_json(self, *, samples: bool = False) -> dict[str, Any]:
        """The record as plain JSON types; with every call's time only when asked."""
        return {
            "baseline": self.baseline,
            "noise": self.noise,
            "engines": [engine.to_json(samples=samples) for engine in self.engines],
            "control": self.control.to_json(samples=samples) if self.control else None,
            "ratios": {
                engine.name: self.ratio(engine.name).to_json()
                for engine in self.engines
                if engine.name != self.baseline
            },
            "failed": dict(self.failed),
            "conditions": self.conditions.to_json(),
        }

    def _interval(self, slow: Measured, fast: Measured) -> Interval:
        return paired_ratio(
            slow.block_medians,
            fast.block_medians,
            groups=slow.rounds_by_launch,
            seed=self.conditions.seed,
        )
