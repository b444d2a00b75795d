"""A candidate: the model after some pipeline, placed, built, written and opened, ready to be judged."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphopt.driver.legalize import Legalized, legalize, steps_of
from graphopt.driver.opt import Optimized, optimize_model
from graphopt.errors import BackendError

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphopt.artifact.writer import ArtifactWriter
    from graphopt.backends.base import Backend
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
    """

    optimized: Optimized
    placement: Placement
    legalized: tuple[Legalized, ...]
    writer: ArtifactWriter

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
    """

    imported: ir.Model
    target: Target
    threads: int
    scratch: Path
    backends: Sequence[Backend]
    evaluate: RunnerFactory | None
    instruments: Sequence[Instrument] = ()
    strict: bool = False
    _built: int = 0

    def optimise(self, steps: tuple[Step, ...]) -> Optimized:
        """Run ``steps`` over a copy of the model, but for the backends' own; raises PassError."""
        instruments, self.instruments = self.instruments, ()
        done = optimize_model(
            self.imported.clone(),
            steps_of(steps, ""),
            target=self.target,
            evaluate=self.evaluate,
            instruments=instruments,
        )
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
        with ArtifactWriter(path, writer=program()) as writer:
            placement, legalized = self._add_regions(writer, optimized)
            commit(writer, optimized.model, self, {})
        return Candidate(optimized, placement, legalized, writer)

    def open(self, candidate: Candidate) -> Session:
        """The candidate as its user will run it; raises BackendError when it cannot be opened."""
        from graphopt.ir.memory import release_memory
        from graphopt.ir.weights import release_pages
        from graphopt.runtime.session import load

        # The session maps the artifact's weights: the model's own need not be in memory beside them.
        release_memory()
        release_pages(self.imported)
        return load(candidate.path, threads=self.threads)

    def _add_regions(
        self, writer: ArtifactWriter, optimized: Optimized
    ) -> tuple[Placement, tuple[Legalized, ...]]:
        """Place a model, legalise and build its regions and add them to ``writer``."""
        from graphopt.backends.base import BuildOptions
        from graphopt.placement.extract import extract_region
        from graphopt.placement.place import place

        placement = place(optimized.model, self.backends, self.target, strict=self.strict)
        by_name = {backend.name: backend for backend in self.backends}
        legalized: list[Legalized] = []
        for region in placement.regions:
            backend = by_name[region.backend]
            piece = extract_region(placement.model, region)
            legalized.append(legalize(piece, optimized.steps, backend, self.target, self.evaluate))
            blob = backend.build(piece, BuildOptions(self.target, self.threads, writer.weights))
            writer.add_region(blob, region.inputs, region.outputs)
        return placement, tuple(legalized)


def commit(writer: ArtifactWriter, model: ir.Model, workshop: Workshop, details: Mapping[str, Any]) -> None:
    """Finish an artifact of ``model``: the signature is the model's own."""
    from graphopt.backends.signature import model_inputs, model_outputs

    writer.commit(
        inputs=model_inputs(model),
        outputs=model_outputs(model),
        target=workshop.target.to_json(),
        threads=workshop.threads,
        details=details,
    )


def program() -> str:
    """Name and version of this program, as artifacts name their writer."""
    from graphopt import __version__

    return f"graphopt {__version__}"


def usable_backends(target: Target) -> list[Backend]:
    """The backends that are there, in order of preference.

    Raises:
        BackendError: none is; the message carries the fix.
    """
    from graphopt.backends.base import Available, Unavailable
    from graphopt.backends.registry import all_backends

    found: list[Backend] = []
    missing: list[Unavailable] = []
    for backend in all_backends():
        if target.kind not in getattr(backend, "target_kinds", ("cpu",)):  # a plug-in may not say
            continue
        answer = backend.availability()
        if isinstance(answer, Available):
            found.append(backend)
        else:
            missing.append(answer)
    if not found:
        reason = (
            missing[0] if missing else Unavailable("no backend is installed", "pip install 'graphopt[cpu]'")
        )
        raise BackendError(f"nothing can run models for {target.kind} here: {reason.reason}", reason.fix)
    return found


def scratch_parent(output: Path) -> Path:
    """Where candidates are built: beside the output, so that the last step is a rename."""
    return Path(os.path.abspath(output)).parent  # noqa: PTH100 (resolve would follow a symlink)
