"""A stand-in for an artifact whose engines cannot run here: what they are built from, region by region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from graphopt.artifact.manifest import RegionEntry
from graphopt.backends.executable import Array, TensorInfo
from graphopt.runtime.schedule import plan

if TYPE_CHECKING:
    from graphopt.driver.compilation.regions import BuiltRegion
    from graphopt.pipeline.protocols import RunnerFactory


class StandIn:
    """Computes what an artifact computes by running its legalised regions; thread-safe like a session.

    Args:
        regions: legalised, in running order.
        inputs: of the whole model.
        outputs: of the whole model, in order.
        make_runner: runs one legalised region as it stands, without optimising it.

    Raises:
        BackendError: a legalised region cannot be run; the message names the node.
    """

    def __init__(
        self,
        regions: Sequence[BuiltRegion],
        inputs: Sequence[TensorInfo],
        outputs: Sequence[TensorInfo],
        make_runner: RunnerFactory,
    ) -> None:
        entries = [
            RegionEntry(built.region.backend, "", built.region.inputs, built.region.outputs)
            for built in regions
        ]
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self._schedule = plan(entries, [_Runs(built, make_runner) for built in regions], inputs, outputs)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute every output; raises FeedError or BackendError."""
        return self._schedule.run(feeds)


class _Runs:
    """One legalised region as something a schedule runs."""

    def __init__(self, built: BuiltRegion, make_runner: RunnerFactory) -> None:
        from graphopt.backends.signature import model_inputs, model_outputs

        self.inputs = model_inputs(built.model)
        self.outputs = model_outputs(built.model)
        self._runner = make_runner(built.model)
        self._taken = frozenset(info.name for info in self.inputs)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute every output of the region."""
        return dict(self._runner.run({name: feeds[name] for name in feeds if name in self._taken}))
