"""A candidate: the model after some pipeline, placed, built, written and opened, ready to be judged."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphopt.backends.engine_options import EngineOptions
from graphopt.driver.legalize import steps_of
from graphopt.driver.opt import Optimized, optimize_model
from graphopt.driver.runners import oracle_runner
from graphopt.errors import ArtifactError, BackendError

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphopt.artifact.writer import ArtifactWriter
    from graphopt.backends.base import Backend, BuildOptions
    from graphopt.driver.compilation.ranges import Ranges
    from graphopt.driver.compilation.regions import BuiltRegion, OptionsFor
    from graphopt.driver.compilation.standin import StandIn
    from graphopt.driver.legalize import Legalized
    from graphopt.pipeline.instrument import Instrument
    from graphopt.pipeline.manager import Step
    from graphopt.pipeline.protocols import RunnerFactory
    from graphopt.pipeline.records import Effect, Remark
    from graphopt.placement.place import Placement
    from graphopt.runtime.session import Session
    from graphopt.targets.target import Target


@dataclass(frozen=True)
class Candidate:
    """One way of compiling the model.

    Attributes:
        optimized: the model and what the passes did.
        placement: which backend runs which region.
        legalized: what each region's backend made of it.
        writer: that wrote the artifact, complete but for its report.
        regions: with what they were built from; kept where engines may have to be stood in for.
    """

    optimized: Optimized
    placement: Placement
    legalized: tuple[Legalized, ...]
    writer: ArtifactWriter
    regions: tuple[BuiltRegion, ...] = ()

    @property
    def path(self) -> Path:
        """The artifact."""
        return self.writer.path

    @property
    def effects(self) -> tuple[Effect, ...]:
        """What every pass did, the backends' own last."""
        return (*self.optimized.effects, *(e for region in self.legalized for e in region.effects))

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """What every pass had to say, the backends' own last."""
        return (*self.optimized.remarks, *(r for region in self.legalized for r in region.remarks))


@dataclass
class Workshop:
    """Builds the candidates of one compile.

    Attributes:
        imported: the model as imported; never changed.
        target: the machine compiled for.
        threads: intra-op threads.
        scratch: an existing folder for candidates; its owner removes it.
        backends: in order of preference.
        evaluate: folds constants.
        instruments: watchers of the first pipeline run; later ones only repeat parts of it.
        strict: a node that falls back is an error.
        engine: how engines are built, their profiles left out.
        ranges: of the shapes the inputs may have; None where no engine is built.
        sample: inputs the model runs on, once they are known.
        make_runner: runs graphs as they stand: one that rounds every intermediate at a lower precision.
        output: the artifact that a candidate becomes, as messages call it.
        progress: called with one line when an engine is begun.
        rehearsing: regions are only legalised: enough to judge a candidate that will not be shipped.
    """

    imported: ir.Model
    target: Target
    threads: int
    scratch: Path
    backends: Sequence[Backend]
    evaluate: RunnerFactory | None
    instruments: Sequence[Instrument] = ()
    strict: bool = False
    engine: EngineOptions = field(default_factory=EngineOptions)
    ranges: Ranges | None = None
    sample: Mapping[str, Any] | None = None
    make_runner: RunnerFactory = oracle_runner
    output: Path | None = None
    progress: Callable[[str], None] | None = None
    rehearsing: bool = False
    _rehearsed: Optimized | None = None
    _built: int = 0

    def optimise(self, steps: tuple[Step, ...]) -> Optimized:
        """Run ``steps`` over a copy of the model, but for the backends' own; raises PassError.

        Steps that only add to those of a rehearsal go on from what that made.
        """
        instruments, self.instruments = self.instruments, ()
        whole = steps_of(steps, "")
        before = self._rehearsed
        if before is None or whole[: len(before.steps)] != before.steps:
            before = Optimized(self.imported, ())
        done = optimize_model(
            before.model.clone(),
            whole[len(before.steps) :],
            target=self.target,
            evaluate=self.evaluate,
            instruments=instruments,
        )
        done = replace(
            done,
            steps=whole,
            effects=[*before.effects, *done.effects],
            remarks=[*before.remarks, *done.remarks],
        )
        if self.rehearsing:
            self._rehearsed = done
        return replace(done, steps=steps)

    def build(self, optimized: Optimized) -> Candidate:
        """Place an optimised model, build its regions and write them.

        Raises:
            BackendError: no backend takes some node, or one refuses its region.
            PassError: a backend's own pass failed.
        """
        from graphopt.artifact.writer import ArtifactWriter

        self._built += 1
        path = self.scratch / f"candidate{self._built}.gopt"
        with ArtifactWriter(path, writer=program(), called=self.output) as writer:
            placement, regions = self._add_regions(writer, optimized)
            commit(writer, optimized.model, self, {}, lasting=False)
        legalized = tuple(built.legalized for built in regions)
        return Candidate(optimized, placement, legalized, writer, regions if self.builds_engines else ())

    @property
    def builds_engines(self) -> bool:
        """Whether the target is a GPU: what is built then need not run on this machine."""
        return self.target.kind == "cuda"

    def open(self, candidate: Candidate) -> Session | StandIn:
        """The candidate as it can be run here: as its user will, or its engines stood in for.

        Raises:
            BackendError: it cannot be opened.
        """
        from graphopt.ir.memory import release_memory
        from graphopt.ir.weights import release_pages

        # The session maps the artifact's weights: the model's own need not be in memory beside them.
        release_memory()
        release_pages(self.imported)
        return self.stand_in(candidate) if self.builds_engines else self.session(candidate)

    def session(self, candidate: Candidate) -> Session:
        """The candidate as its user will run it; raises BackendError when it cannot be opened here."""
        from graphopt.runtime.session import load

        try:
            return load(candidate.path, threads=self.threads)
        except ArtifactError as error:
            # A backend that does not read what it wrote is to blame itself, not the person's file.
            raise BackendError(f"what was built does not open: {error.message}", error.hint) from error

    def stand_in(self, candidate: Candidate) -> StandIn:
        """What the candidate's engines were built from, run by ``make_runner``.

        Raises:
            BackendError: a legalised region cannot be run.
        """
        from graphopt.backends.signature import model_inputs, model_outputs
        from graphopt.driver.compilation.standin import StandIn

        model = candidate.optimized.model
        return StandIn(candidate.regions, model_inputs(model), model_outputs(model), self.make_runner)

    def _add_regions(
        self, writer: ArtifactWriter, optimized: Optimized
    ) -> tuple[Placement, tuple[BuiltRegion, ...]]:
        """Place a model, legalise and build its regions and add them to ``writer``."""
        from graphopt.driver.compilation.observed import complete_values
        from graphopt.driver.compilation.regions import RegionBuilder
        from graphopt.placement.place import Placer

        if self.builds_engines:
            complete_values(optimized.model, self.sample)
        placer = Placer(optimized.model, self.backends, self.target, strict=self.strict)
        options_for = self._options_for(placer.model, writer)
        builder = RegionBuilder(
            placer,
            self.backends,
            optimized.steps,
            self.target,
            None if self.rehearsing else options_for,
            self.evaluate,
        )
        placement, regions = builder.build()
        for built in regions:
            writer.add_region(built.blob, built.region.inputs, built.region.outputs)
        return placement, regions

    def _options_for(self, placed: ir.Model, writer: ArtifactWriter) -> OptionsFor:
        """How a region of ``placed`` is built: with the profiles of its own inputs where it has open dims."""
        from graphopt.backends.base import BuildOptions
        from graphopt.driver.compilation.profiles import Profiles

        plain = BuildOptions(self.target, self.threads, writer.weights, self.engine)
        if self.ranges is None:
            return lambda region, bounded: plain  # noqa: ARG005 (the signature of OptionsFor)
        profiles = Profiles(placed, self.ranges)

        def with_profiles(region: ir.Model, bounded: bool) -> BuildOptions:
            if self.progress is not None:
                self.progress(f"build a region of {len(region.graph)} nodes")
            profiles.fix(region)
            if not bounded:
                return plain
            return replace(plain, engine=replace(self.engine, profiles=profiles.of(region)))

        return with_profiles


def commit(
    writer: ArtifactWriter,
    model: ir.Model,
    workshop: Workshop,
    details: Mapping[str, Any],
    *,
    lasting: bool = True,
) -> None:
    """Finish an artifact of ``model``: the signature is the model's own."""
    from graphopt.backends.signature import model_inputs, model_outputs

    writer.commit(
        inputs=model_inputs(model),
        outputs=model_outputs(model),
        target=workshop.target.to_json(),
        threads=workshop.threads,
        details=details,
        lasting=lasting,
    )


def program() -> str:
    """Name and version of this program, as artifacts name their writer."""
    from graphopt import __version__

    return f"graphopt {__version__}"


def usable_backends(target: Target) -> list[Backend]:
    """The backends for ``target`` that are there, in order of preference.

    Raises:
        BackendError: none is, or none that builds engines for a GPU; the message carries the fix.
    """
    from graphopt.backends.base import Available, Unavailable
    from graphopt.backends.registry import all_backends

    found: list[Backend] = []
    missing: list[Unavailable] = []
    for backend in all_backends():
        # Whether one is there may only be told by importing it: those for other targets are not asked.
        if target.kind not in backend.target_kinds:
            continue
        answer = backend.availability()
        if isinstance(answer, Available):
            found.append(backend)
        else:
            missing.append(answer)
    if not found or (target.kind != "cpu" and all("cpu" in backend.target_kinds for backend in found)):
        reason = (
            missing[0] if missing else Unavailable("no backend is installed", "pip install 'graphopt[cpu]'")
        )
        what = "run models" if target.kind == "cpu" else "build engines"
        raise BackendError(f"nothing can {what} for {target.kind} here: {reason.reason}", reason.fix)
    return found


def scratch_parent(output: Path) -> Path:
    """Where candidates are built: beside the output, so that the last step is a rename."""
    return Path(os.path.abspath(output)).parent  # noqa: PTH100 (resolve would follow a symlink)
