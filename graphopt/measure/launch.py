"""One launch of a comparison: every engine in a fresh process, run in turns until told to stop."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from graphopt.errors import BackendError
from graphopt.measure.engine import Engine
from graphopt.measure.process import Startup, Worker
from graphopt.measure.records import Block
from graphopt.measure.stats import paired_ratio, summarize

BLOCK_SECONDS = 0.02
SETTLE_SECONDS = 0.002
WARM_UP_SECONDS = 0.2
WARM_UP_CALLS = 3
LONGEST_BLOCK = 500
LONGEST_SETTLE = 200


@dataclass
class Tally:
    """What has been found so far about one engine, over all launches."""

    startups: list[Startup] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    peak_rss_bytes: int = 0


@dataclass(frozen=True)
class Rules:
    """How a launch treats its engines.

    Attributes:
        vital: entries that must run.
        drop: set a failing entry aside unless it is vital, instead of raising.
        load_seconds: limit for building one engine and its first inference.
        call_seconds: limit for one inference.
    """

    vital: frozenset[str]
    drop: bool
    load_seconds: float
    call_seconds: float


class Launch:
    """Fresh processes of some engines, all but one of them stopped at any time.

    Args:
        number: of the launch, from 0.
        entries: engines by the name they are tallied under.
        tallies: where findings go; the entry of an engine that failed is removed.
        failed: where the reasons of failures go.
        rules: limits and what may fail.
        rng: of the order.
        stack: closes the processes.

    Raises:
        BackendError: an engine failed that must not.
    """

    def __init__(
        self,
        number: int,
        entries: Mapping[str, Engine],
        *,
        tallies: dict[str, Tally],
        failed: dict[str, str],
        rules: Rules,
        rng: random.Random,
        stack: contextlib.ExitStack,
    ) -> None:
        self._number = number
        self._tallies = tallies
        self._failed = failed
        self._rules = rules
        self._rng = rng
        self._workers: dict[str, Worker] = {}
        self._calls: dict[str, tuple[int, int]] = {}
        # Random, because memory is laid out differently for whoever comes first.
        for name in rng.sample(list(entries), len(entries)):
            with self._tolerating(name):
                self._add(name, entries[name], stack)

    @property
    def block_calls(self) -> dict[str, int]:
        """Timed calls per round of each engine."""
        return {name: timed for name, (timed, _) in self._calls.items()}

    def round(self) -> None:
        """One block of each engine, in random order."""
        for name in self._rng.sample(list(self._workers), len(self._workers)):
            with self._tolerating(name):
                timed, settle = self._calls[name]
                samples = self._workers[name].run(timed, settle=settle)
                self._workers[name].stop()
                self._tallies[name].blocks.append(Block(summarize(samples).median, samples, self._number))

    def widest(self, baseline: str, seed: int) -> float:
        """Half the width of the widest 95 % interval of a ratio within this launch, as a fraction."""
        medians = {name: self._medians(name) for name in self._workers}
        base = medians.pop(baseline)
        found = [paired_ratio(base, other, seed=seed) for other in medians.values()]
        return max(((one.high - one.low) / 2 / one.value for one in found), default=0.0)

    def lead(self) -> float:
        """How far the fastest engine was ahead of every other one in each round, at least.

        As a fraction of its own time; negative when it was behind once, 0 when there is no other. The
        engines that must run are one program and no rivals of each other.
        """
        times = {name: self._medians(name) for name in self._workers}
        best = min(times, key=lambda name: sum(times[name]))
        allies = self._rules.vital if best in self._rules.vital else {best}
        others = (other for name, other in times.items() if name not in allies)
        return min(
            (b / a - 1 for other in others for a, b in zip(times[best], other, strict=True)), default=0.0
        )

    def finish(self) -> None:
        """Note the peak memory of each process; they must still be there."""
        for name in list(self._workers):
            with self._tolerating(name):
                tally = self._tallies[name]
                tally.peak_rss_bytes = max(tally.peak_rss_bytes, self._workers[name].peak_rss_bytes())

    def _add(self, name: str, engine: Engine, stack: contextlib.ExitStack) -> None:
        """Start one engine, warm it up, choose its block length and stop its process."""
        limits = self._rules
        worker = stack.enter_context(
            Worker(engine, load_seconds=limits.load_seconds, call_seconds=limits.call_seconds)
        )
        latency = worker.warm_up(calls=WARM_UP_CALLS, seconds=WARM_UP_SECONDS)
        worker.stop()
        self._workers[name] = worker
        self._calls[name] = block_calls(latency)
        self._tallies[name].startups.append(worker.startup)

    def _medians(self, name: str) -> Sequence[float]:
        return [block.median for block in self._tallies[name].blocks if block.launch == self._number]

    @contextlib.contextmanager
    def _tolerating(self, name: str) -> Iterator[None]:
        """Set a failing engine aside when that was asked for and the comparison can do without it."""
        try:
            yield
        except BackendError as error:
            if not self._rules.drop or name in self._rules.vital:
                raise
            self._failed[name] = str(error)
            for table in (self._workers, self._calls, self._tallies):
                table.pop(name, None)


def block_calls(latency_seconds: float) -> tuple[int, int]:
    """How many calls to time in a block, and how many untimed ones to put before them."""
    latency = max(latency_seconds, 1e-7)
    timed = min(max(round(BLOCK_SECONDS / latency), 1), LONGEST_BLOCK)
    settle = min(max(round(SETTLE_SECONDS / latency), 1), LONGEST_SETTLE)
    return timed, settle
