"""Compare engines fairly: separate processes, short blocks in turns, idle processes stopped, a control."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from graphopt.errors import UsageError
from graphopt.measure.engine import Engine
from graphopt.measure.launch import Launch, Rules, Tally
from graphopt.measure.records import Comparison, Conditions, Measured

# A launch is worth having while loading everything again costs less than this part of the budget.
LOADING_SHARE = 0.5
# The interval is looked at every so many rounds: it costs milliseconds.
_LOOK_EVERY = 5
# One engine ahead of another in each of five rounds by chance: 3 %.
_CLEAR_ROUNDS = 5

Progress = Callable[[int, float], None]


def compare(
    engines: Sequence[Engine],
    *,
    baseline: str | None = None,
    budget_seconds: float = 10.0,
    min_rounds: int = 10,
    launches: int = 3,
    control: bool = True,
    precision: float = 0.003,
    clear: float | None = None,
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
    time, at least one call, after untimed calls that bring its data back into the caches. Two
    processes of one program differ for good by a percent or two, so everything is started afresh a
    few times.

    Args:
        engines: at least one, with different names.
        baseline: name of the engine the others are compared with; the first by default.
        budget_seconds: wall time for the rounds; loading and warming up come on top. ``min_rounds``
            are run even when they take longer.
        min_rounds: rounds in all before anything may stop the comparison.
        launches: how often every engine is started; fewer when loading would cost more than half the
            budget.
        control: run the baseline in a second process, which says what the noise is.
        precision: end a launch early once every ratio's 95 % interval within it is at most ± this
            fraction wide; 0 uses the whole budget.
        clear: end the comparison as soon as one engine was faster than each of the others, the control
            among them, by more than this fraction in every round, five at least: who wins is certain then,
            by how much is known less well. To be larger than what two processes of one program differ by.
            None goes on.
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
    twin = _control_name(base.name)
    entries = {engine.name: engine for engine in engines} | ({twin: base} if control else {})
    rules = Rules(frozenset((base.name, twin)), drop_failing, load_seconds, call_seconds)
    clock = _Clock(
        base.name,
        budget_seconds,
        min_rounds,
        precision,
        clear,
        seed,
        progress,
        max(launches, 1),
    )
    tallies = {name: Tally() for name in entries}
    failed: dict[str, str] = {}
    rng = random.Random(seed)
    began = dt.datetime.now().astimezone().isoformat(timespec="seconds")
    load_before = os.getloadavg()
    calls: dict[str, int] = {}
    while clock.launches_done < clock.launches:
        with contextlib.ExitStack() as stack:
            loading = time.monotonic()
            present = {name: entries[name] for name in tallies}
            launch = Launch(
                clock.launches_done,
                present,
                tallies=tallies,
                failed=failed,
                rules=rules,
                rng=rng,
                stack=stack,
            )
            clock.loaded(time.monotonic() - loading)
            clock.race(launch)
            launch.finish()
            calls = launch.block_calls | calls
    found = {
        name: Measured(name, tuple(tally.startups), tally.peak_rss_bytes, tuple(tally.blocks))
        for name, tally in tallies.items()
    }
    aside = found.pop(twin, None)
    return Comparison(
        baseline=base.name,
        engines=tuple(found.values()),
        control=aside,
        failed=failed,
        conditions=Conditions(
            machine=machine,
            threads=threads,
            cores=len(os.sched_getaffinity(0)),
            load_before=load_before,
            load_after=os.getloadavg(),
            date=began,
            seconds=clock.seconds,
            budget_seconds=budget_seconds,
            rounds=clock.rounds,
            launches=clock.launches_done,
            block_calls={name: calls[name] for name in found},
            seed=seed,
            stopped_by="clear" if clock.decided else "precision" if clock.precise else "budget",
        ),
    )


@dataclass
class _Clock:
    """Shares the budget out among launches and knows when to stop.

    Attributes:
        precise: whether every launch so far ended for its precision.
        decided: whether who is fastest became clear.
        seconds: spent on rounds so far.
        rounds: done so far.
        launches_done: how many.
    """

    baseline: str
    budget: float
    min_rounds: int
    precision: float
    clear: float | None
    seed: int
    progress: Progress | None
    launches: int
    precise: bool = True
    decided: bool = False
    seconds: float = 0.0
    rounds: int = 0
    launches_done: int = 0

    def loaded(self, seconds: float) -> None:
        """Told what loading cost; the first time it decides how many launches can be afforded."""
        if self.launches_done == 0:
            affordable = int(self.budget * LOADING_SHARE / max(seconds, 1e-9))
            self.launches = max(1, min(self.launches, affordable))

    def race(self, launch: Launch) -> None:
        """Run rounds until this launch's share of the budget is used or its ratios are precise."""
        share = max(self.budget - self.seconds, 0.0) / (self.launches - self.launches_done)
        least = -(-self.min_rounds // self.launches)
        start, number, used = time.monotonic(), 0, 0.0
        while not self._is_clear(launch, number) and (
            number < least or not self._enough(launch, number, used, share)
        ):
            launch.round()
            number += 1
            self.rounds += 1
            used = time.monotonic() - start
            if self.progress:
                spent = (self.seconds + used) / self.budget if self.budget else 1.0
                self.progress(self.rounds, min(spent, 1.0))
        self.precise = self.precise and used < share
        self.seconds += used
        self.launches_done += 1
        if self.decided:
            self.launches = self.launches_done

    def _is_clear(self, launch: Launch, number: int) -> bool:
        if self.clear is not None and number >= _CLEAR_ROUNDS:
            self.decided = launch.lead() > self.clear
        return self.decided

    def _enough(self, launch: Launch, number: int, used: float, share: float) -> bool:
        if used >= share:
            return True
        if not self.precision or number % _LOOK_EVERY:
            return False
        return launch.widest(self.baseline, self.seed) <= self.precision


def _check(engines: Sequence[Engine], baseline: str | None) -> Engine:
    """The baseline engine; raises UsageError when the request makes no sense."""
    by_name = {engine.name: engine for engine in engines}
    if not engines:
        raise UsageError("there is nothing to compare", "name at least one engine")
    if len(by_name) != len(engines) or any(_control_name(name) in by_name for name in by_name):
        raise UsageError("two engines to compare share a name", "give each its own")
    if baseline is None:
        return engines[0]
    if baseline not in by_name:
        raise UsageError(f"the baseline '{baseline}' is not among the engines: {', '.join(by_name)}")
    return by_name[baseline]


def _control_name(name: str) -> str:
    return f"{name} (control)"
