"""Compare engines fairly: separate processes, short blocks in turns, idle processes stopped, a control."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence

from graphopt.errors import BackendError, UsageError
from graphopt.measure.engine import Engine
from graphopt.measure.process import Worker
from graphopt.measure.records import Block, Comparison, Conditions, Measured
from graphopt.measure.stats import paired_ratio, summarize

BLOCK_SECONDS = 0.02
SETTLE_SECONDS = 0.002
WARM_UP_SECONDS = 0.2
WARM_UP_CALLS = 3
LONGEST_BLOCK = 2000
MAX_ROUNDS = 2000
# The interval is looked at every so many rounds: it costs milliseconds.
_LOOK_EVERY = 5

Progress = Callable[[int, float], None]


def compare(
    engines: Sequence[Engine],
    *,
    baseline: str | None = None,
    budget_seconds: float = 10.0,
    min_rounds: int = 10,
    control: bool = True,
    precision: float = 0.003,
    threads: int | None = None,
    machine: str = "",
    seed: int = 0,
    drop_failing: bool = False,
    load_seconds: float = 600.0,
    call_seconds: float = 120.0,
    progress: Progress | None = None,
) -> Comparison:
    """Measure engines in turns and return every sample.

    Each engine lives in a process of its own; the processes are loaded and warmed up one after the
    other. A round runs one block of calls of each, in random order, while all other processes are
    stopped, so that spinning threads disturb nobody. A block takes about 20 ms of the engine's own
    time, at least one call, after untimed calls that bring its data back into the caches.

    Args:
        engines: at least one, with different names.
        baseline: name of the engine the others are compared with; the first by default.
        budget_seconds: wall time for the rounds; loading and warming up come on top. ``min_rounds``
            are run even when they take longer.
        min_rounds: rounds before anything may stop the comparison.
        control: run the baseline in a second process, which says what the noise is.
        precision: stop early once every ratio's 95 % interval is at most ± this fraction wide;
            0 uses the whole budget.
        threads: what the engines were told, for the record.
        machine: class of the machine, for the record.
        seed: of the order within rounds and of the bootstrap.
        drop_failing: leave out an engine that fails and keep its reason, instead of raising; the
            baseline must run.
        load_seconds: limit for building one engine and its first inference.
        call_seconds: limit for one inference.
        progress: called after each round with the rounds done and the fraction of the budget used.

    Raises:
        UsageError: two engines share a name, or the baseline is not among them.
        BackendError: an engine could not be built, crashed, hung or answered nonsense. No process
            is left behind, in this or any other case.
    """
    base = _check(engines, baseline)
    began = dt.datetime.now().astimezone().isoformat(timespec="seconds")
    load_before = os.getloadavg()
    rng = random.Random(seed)
    with contextlib.ExitStack() as stack:
        field = _Field(stack, drop=drop_failing, baseline=base.name, limits=(load_seconds, call_seconds))
        for engine in engines:
            field.add(engine.name, engine)
        if control:
            field.add(_control_name(base.name), base)
        start = time.monotonic()
        stopped_by = "rounds"
        for number in range(1, MAX_ROUNDS + 1):
            field.round(rng)
            used = time.monotonic() - start
            if progress:
                progress(number, used / budget_seconds if budget_seconds else 1.0)
            if number < min_rounds:
                continue
            if used >= budget_seconds:
                stopped_by = "budget"
                break
            if precision and number % _LOOK_EVERY == 0 and field.widest(seed) <= precision:
                stopped_by = "precision"
                break
        seconds = time.monotonic() - start
        measured = field.measured()
    aside = measured.pop(_control_name(base.name), None)
    return Comparison(
        baseline=base.name,
        engines=tuple(measured.values()),
        control=aside,
        failed=field.failed,
        conditions=Conditions(
            machine=machine,
            threads=threads,
            cores=len(os.sched_getaffinity(0)),
            load_before=load_before,
            load_after=os.getloadavg(),
            date=began,
            seconds=seconds,
            budget_seconds=budget_seconds,
            rounds=number,
            block_calls={name: len(part.blocks[0].samples) for name, part in measured.items()},
            seed=seed,
            stopped_by=stopped_by,
        ),
    )


class _Field:
    """The runners of one race and what they have done so far."""

    def __init__(
        self, stack: contextlib.ExitStack, *, drop: bool, baseline: str, limits: tuple[float, float]
    ) -> None:
        self.failed: dict[str, str] = {}
        self._stack = stack
        self._drop = drop
        self._vital = {baseline, _control_name(baseline)}
        self._limits = limits
        self._baseline = baseline
        self._workers: dict[str, Worker] = {}
        self._calls: dict[str, tuple[int, int]] = {}
        self._blocks: dict[str, list[Block]] = {}

    def add(self, name: str, engine: Engine) -> None:
        """Start one engine, warm it up, choose its block length and stop its process."""
        load, call = self._limits
        with self._tolerating(name):
            worker = self._stack.enter_context(Worker(engine, load_seconds=load, call_seconds=call))
            latency = worker.warm_up(calls=WARM_UP_CALLS, seconds=WARM_UP_SECONDS)
            worker.stop()
            self._workers[name] = worker
            self._calls[name] = block_calls(latency)
            self._blocks[name] = []

    def round(self, rng: random.Random) -> None:
        """One block of each, in random order."""
        order = list(self._workers)
        rng.shuffle(order)
        for name in order:
            with self._tolerating(name):
                n, settle = self._calls[name]
                samples = self._workers[name].run(n, settle=settle)
                self._workers[name].stop()
                self._blocks[name].append(Block(summarize(samples).median, samples))

    def widest(self, seed: int) -> float:
        """Half the width of the widest 95 % interval of a ratio, as a fraction of the ratio."""
        medians = {name: [block.median for block in blocks] for name, blocks in self._blocks.items()}
        base = medians.pop(self._baseline)
        found = [paired_ratio(base, other, seed=seed) for other in medians.values()]
        return max(((one.high - one.low) / 2 / one.value for one in found), default=0.0)

    def measured(self) -> dict[str, Measured]:
        """Everything found; the processes must still be there."""
        return {
            name: Measured(name, worker.startup, worker.peak_rss_bytes(), tuple(self._blocks[name]))
            for name, worker in self._workers.items()
        }

    @contextlib.contextmanager
    def _tolerating(self, name: str) -> Iterator[None]:
        """Set a failing engine aside when that was asked for and the comparison can do without it."""
        try:
            yield
        except BackendError as error:
            if not self._drop or name in self._vital:
                raise
            self.failed[name] = str(error)
            for table in (self._workers, self._calls, self._blocks):
                table.pop(name, None)


def block_calls(latency_seconds: float) -> tuple[int, int]:
    """How many calls to time in a block, and how many untimed ones to put before them."""
    latency = max(latency_seconds, 1e-7)
    timed = min(max(round(BLOCK_SECONDS / latency), 1), LONGEST_BLOCK)
    settle = min(max(round(SETTLE_SECONDS / latency), 1), LONGEST_BLOCK // 10)
    return timed, settle


def _check(engines: Sequence[Engine], baseline: str | None) -> Engine:
    """The baseline engine; raises UsageError when the request makes no sense."""
    by_name = {engine.name: engine for engine in engines}
    if not engines:
        raise UsageError("there is nothing to compare", "name at least one engine")
    if len(by_name) != len(engines):
        raise UsageError("two engines to compare share a name", "give each its own")
    if baseline is None:
        return engines[0]
    if baseline not in by_name:
        raise UsageError(f"the baseline '{baseline}' is not among the engines: {', '.join(by_name)}")
    return by_name[baseline]


def _control_name(name: str) -> str:
    return f"{name} (control)"
