"""Run regions one after the other and let go of every intermediate value after its last use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphopt.artifact.manifest import RegionEntry
from graphopt.backends.executable import Array, Executable, TensorInfo
from graphopt.backends.feed_check import explain_feeds
from graphopt.errors import FeedError


@dataclass(frozen=True)
class Step:
    """One region and the values nobody needs after it.

    Attributes:
        executable: the open region.
        inputs: names of the values it takes.
        dead: names of the values to let go of after it.
    """

    executable: Executable
    inputs: tuple[str, ...]
    dead: tuple[str, ...]


class Schedule:
    """Regions in running order. ``run`` is thread-safe: all state of a run is on its own stack."""

    def __init__(
        self, steps: Sequence[Step], inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo]
    ) -> None:
        """``inputs`` and ``outputs`` are the whole model's."""
        self._steps = tuple(steps)
        self._inputs = tuple(inputs)
        self._outputs = tuple(info.name for info in outputs)
        self._input_names = {info.name for info in inputs}

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute every output; raises FeedError or BackendError."""
        if feeds.keys() != self._input_names and (problem := explain_feeds(self._inputs, feeds)):
            raise problem
        values = dict(feeds)
        try:
            for step in self._steps:
                values |= step.executable.run({name: values[name] for name in step.inputs if name in values})
                for name in step.dead:
                    values.pop(name, None)
        except FeedError as error:
            # A region sees its own inputs only: say it in terms of the whole model where possible.
            raise explain_feeds(self._inputs, feeds, symbols=True) or error from error
        return {name: values[name] for name in self._outputs}


def plan(
    regions: Sequence[RegionEntry],
    executables: Sequence[Executable],
    inputs: Sequence[TensorInfo],
    outputs: Sequence[TensorInfo],
) -> Schedule:
    """The schedule of an artifact's regions: each value is let go of right after its last reader."""
    return Schedule(plan_steps(regions, executables, outputs), inputs, outputs)


def plan_steps(
    regions: Sequence[RegionEntry], executables: Sequence[Executable], outputs: Sequence[TensorInfo]
) -> list[Step]:
    """Regions in running order, each with the values it is the last to read; ``outputs`` are the model's."""
    last_use: dict[str, int] = {}
    for index, region in enumerate(regions):
        last_use |= dict.fromkeys((*region.outputs, *region.inputs), index)
    for info in outputs:
        last_use.pop(info.name, None)
    dead: list[list[str]] = [[] for _ in regions]
    for name, index in last_use.items():
        dead[index].append(name)
    return [
        Step(executable, region.inputs, tuple(names))
        for region, executable, names in zip(regions, executables, dead, strict=True)
    ]
