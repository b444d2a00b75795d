"""Where the time of a run goes: step by step in regions that can tell, region by region elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from graphopt.errors import UsageError

if TYPE_CHECKING:
    from graphopt.backends.executable import Array
    from graphopt.runtime.session import Session


@dataclass(frozen=True)
class StepTime:
    """One step of one run.

    Attributes:
        region: its number in running order.
        backend: that runs the region.
        name: of the node the step computes; of the region's file where the region tells no steps.
        operator: what it is, in the backend's words; empty for a whole region.
        seconds: it took.
    """

    region: int
    backend: str
    name: str
    operator: str
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The record as plain JSON types."""
        return asdict(self)


def profile(session: Session, feeds: Mapping[str, Array]) -> tuple[StepTime, ...]:
    """Run once with the clock on.

    Args:
        session: on a CPU; run it a few times before, the first run prepares.
        feeds: one array per input.

    Raises:
        UsageError: the session runs on a GPU, whose work this clock does not see.
        FeedError, BackendError: as for ``Session.run``.
    """
    if session.device is not None:
        raise UsageError("steps are timed on CPUs only", "use the GPU's own profiler, such as nsys")
    values = dict(feeds)
    found: list[StepTime] = []
    for index, (entry, executable) in enumerate(session.regions):
        inputs = {name: values[name] for name in entry.inputs if name in values}
        timed = getattr(executable, "profile", None)
        if timed is None:
            began = time.perf_counter()
            values |= executable.run(inputs)
            seconds = time.perf_counter() - began
            found.append(StepTime(index, entry.backend, entry.file, "", seconds))
            continue
        outputs, steps = timed(inputs)
        values |= outputs
        found += [StepTime(index, entry.backend, name, operator, spent) for name, operator, spent in steps]
    return tuple(found)


def mean_times(runs: Sequence[Sequence[StepTime]]) -> tuple[StepTime, ...]:
    """Each step's mean over several runs of one session, dearest first."""
    sums: dict[tuple[int, int], float] = {}
    first: dict[tuple[int, int], StepTime] = {}
    for run in runs:
        for position, step in enumerate(run):
            key = (step.region, position)
            sums[key] = sums.get(key, 0.0) + step.seconds
            first.setdefault(key, step)
    means = [
        StepTime(s.region, s.backend, s.name, s.operator, sums[key] / len(runs)) for key, s in first.items()
    ]
    return tuple(sorted(means, key=lambda step: -step.seconds))
