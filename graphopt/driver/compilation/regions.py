"""Place a model, legalise its regions, build them; what a backend refuses after all goes to the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from graphopt.backends.base import Blob, RegionRefused
from graphopt.driver.compilation.provenance import Origins, mark
from graphopt.driver.compilation.refusals import Refusals
from graphopt.driver.legalize import Legalized, legalize

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphopt.backends.base import Backend, BuildOptions
    from graphopt.pipeline.manager import Step
    from graphopt.pipeline.protocols import RunnerFactory
    from graphopt.placement.place import Placement, Placer, Region
    from graphopt.targets.target import Target

OptionsFor = Callable[["ir.Model", bool], "BuildOptions"]
"""The options one region, not yet legalised, is built with, and whether the backend needs to know how large
its inputs get; raises RegionRefused where it does and nobody knows."""


@dataclass(frozen=True)
class BuiltRegion:
    """A region, and what its backend made of it.

    Attributes:
        region: of the placed model.
        model: the legalised region, as it was built.
        legalized: what the backend's passes did.
        blob: what was built.
    """

    region: Region
    model: ir.Model
    legalized: Legalized
    blob: Blob


class RegionBuilder:
    """Builds the regions of one placed model.

    Args:
        placer: of the model.
        backends: in order of preference.
        steps: a whole pipeline, of which the backends' own passes run.
        target: the machine.
        options_for: how a region is built; None legalises all and builds none.
        evaluate: computes constants.
    """

    def __init__(
        self,
        placer: Placer,
        backends: Sequence[Backend],
        steps: tuple[Step, ...],
        target: Target,
        options_for: OptionsFor | None,
        evaluate: RunnerFactory | None = None,
    ) -> None:
        self._placer = placer
        self._backends = {backend.name: backend for backend in backends}
        self._last = backends[-1].name
        self._steps = steps
        self._target = target
        self._options_for = options_for
        self._evaluate = evaluate
        self._refusals = Refusals()
        self._empty = ""
        self._built: dict[tuple[object, ...], BuiltRegion] = {}
        self._flops: Mapping[ir.Node, int | None] | None = None

    def build(self) -> tuple[Placement, tuple[BuiltRegion, ...]]:
        """Every region in running order.

        Raises:
            BackendError: no backend takes some node, or the last one refuses it.
            PassError: a backend's own pass failed.
        """
        while True:
            placement = self._place()
            # The last backend never refuses: what it is to get is built when all others are content.
            ordered = sorted(placement.regions, key=lambda region: region.backend == self._last)
            if all(self._try(region) for region in ordered):
                built = (self._built[_key(region)] for region in placement.regions)
                pairs = zip(built, placement.regions, strict=True)
                return placement, tuple(replace(done, region=region) for done, region in pairs)

    def _place(self) -> Placement:
        """A placement without islands."""
        from graphopt.placement.islands import islands

        while True:
            placement = self._placer.place(self._refusals.reasons, self._empty)
            if len(placement.regions) < 2:
                return placement
            if self._too_small(placement):
                continue
            found = islands(placement, self._placer, self._node_flops())
            if not found:
                return placement
            for region in found:
                count = f"{len(region.nodes)} cheap node{'s' if len(region.nodes) > 1 else ''}"
                why = f"an island of {count} between other regions: moving its data would cost more"
                self._refusals.give(region.nodes, region.backend, why)

    def _too_small(self, placement: Placement) -> bool:
        """Give the nodes of a backend that got too little of the model to the next; whether there was one."""
        from graphopt.placement.shares import share_of

        for backend in self._backends.values():
            own = [region for region in placement.regions if region.backend == backend.name]
            if backend.name == self._last or not own or backend.least_share <= 0:
                continue
            share = share_of(backend.name, placement, self._node_flops())
            if share < backend.least_share:
                why = f"it would run {share:.0%} of the work: the borders would cost more than it gains"
                for region in own:
                    self._refusals.give(region.nodes, backend.name, why)
                return True
        return False

    def _node_flops(self) -> Mapping[ir.Node, int | None]:
        from graphopt.placement.shares import usual_flops

        if self._flops is None:
            self._flops = usual_flops(self._placer.model)
        return self._flops

    def _try(self, region: Region) -> bool:
        """Build a region unless it is there from an earlier placement; False when it was refused."""
        from graphopt.placement.extract import extract_region

        if _key(region) in self._built:
            return True
        backend = self._backends[region.backend]
        piece = extract_region(self._placer.model, region)
        if region.backend != self._last:
            mark(piece, region.nodes)
        try:
            bounded = region.backend != self._last
            options = self._options_for(piece, bounded) if self._options_for is not None else None
            legalized = legalize(piece, self._steps, backend, self._target, self._evaluate)
            blob = Blob(backend.name, b"") if options is None else backend.build(piece, options)
        except RegionRefused as error:
            if region.backend == self._last:
                raise
            if region.nodes:
                self._refusals.add(region, error, Origins(piece, region.nodes))
            else:
                self._empty = self._last
            return False
        self._built[_key(region)] = BuiltRegion(region, piece, legalized, blob)
        return True


def _key(region: Region) -> tuple[object, ...]:
    return region.backend, region.nodes, region.inputs, region.outputs
