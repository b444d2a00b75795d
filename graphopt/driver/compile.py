"""``compile``: a model goes in; an artifact, checked equal and measured no slower, comes out."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphopt.driver.compilation.built import Settled
from graphopt.driver.compilation.candidate import Workshop, commit, program, scratch_parent, usable_backends
from graphopt.driver.compilation.fast import Race, ablate, no_slower
from graphopt.driver.compilation.inputs import import_with_ranges, judging_inputs, runner_for
from graphopt.driver.compilation.low_precision import settle_at
from graphopt.driver.compilation.options import CompileOptions, read_options
from graphopt.driver.compilation.presence import unmeasurable
from graphopt.driver.compilation.replay import Decisions, recorded_decisions
from graphopt.driver.compilation.report import artifact_details, compile_report
from graphopt.driver.legalize import legalization
from graphopt.driver.opt import LEGALIZE_FROM, pipeline
from graphopt.errors import BackendError, UsageError
from graphopt.report.record import CompileReport, Measurement

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphopt.backends.base import Backend
    from graphopt.driver.opt import Source
    from graphopt.equality.oracle import Oracle
    from graphopt.pipeline.manager import Step
    from graphopt.targets.target import Target


@dataclass(frozen=True)
class CompileResult:
    """An artifact and the account of how it came about.

    Attributes:
        path: the ``.gopt`` folder.
        report: everything that was decided, and why.
    """

    path: Path
    report: CompileReport


def compile_model(
    model: Source, *, output: str | os.PathLike[str] | None = None, **options: Any
) -> CompileResult:
    """Compile a model into an artifact.

    Args:
        model: a path, the bytes of a model, an ``onnx.ModelProto`` or an ``onnx_ir.Model``.
        output: the artifact to write; None puts it beside the model, ``model.onnx`` → ``model.gopt``.
        **options: the fields of :class:`CompileOptions`.

    Returns:
        The artifact's path and the report.

    Raises:
        ModelError: the model is damaged or invalid.
        BackendError: nothing here can run it.
        EqualityError: even without any pass the backend changes the answer.
        UsageError: the options contradict one another or the model.
        ArtifactError: the output cannot be written. Nothing half-written is left behind.
    """
    from graphopt.ir.memory import memory_guard

    chosen = read_options(options)
    where = _output_path(model, output)
    with memory_guard("compiling the model"):
        return _Compilation(model, where, chosen).run()


def _output_path(model: Source, output: str | os.PathLike[str] | None) -> Path:
    if output is not None:
        return Path(output)
    if isinstance(model, str | os.PathLike):
        return Path(model).with_suffix(".gopt")
    raise UsageError("a model in memory has no name to derive the artifact's from", "give output=")


@dataclass
class _Compilation:
    """One compile, stage by stage."""

    source: Source
    output: Path
    options: CompileOptions
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self) -> CompileResult:
        from graphopt.artifact.replace import check_replaceable
        from graphopt.driver.runners import evaluator
        from graphopt.driver.target import find_target
        from graphopt.ir.memory import heap_at_rest
        from graphopt.targets.threads import available_threads

        # What is cheap to refuse is refused before minutes are spent.
        check_replaceable(Path(os.path.abspath(self.output)))  # noqa: PTH100
        with self._stage("prepare"):
            target = find_target(self.options.target)
            replay = self.options.replay
            decisions = recorded_decisions(replay) if replay is not None else None
            backends = _decided(_asked(usable_backends(target), self.options.backends), decisions, target)
            steps = self._steps(decisions, backends, target)
        threads = self.options.threads or (decisions.threads if decisions else None) or available_threads()
        with heap_at_rest(), _scratch_folder(self.output) as folder:
            with self._stage("import", release=True):
                imported, ranges = import_with_ranges(
                    self.source, self.options, engines=target.kind == "cuda"
                )
            workshop = Workshop(
                imported=imported,
                target=target,
                threads=threads,
                scratch=folder,
                backends=backends,
                evaluate=evaluator(),
                instruments=self.options.instruments,
                strict=self.options.strict,
                engine=self.options.engine,
                ranges=ranges,
                output=self.output,
                progress=self.options.progress,
            )
            return self._in_workshop(workshop, steps, decisions)

    def _in_workshop(
        self, workshop: Workshop, steps: tuple[Step, ...], decisions: Decisions | None
    ) -> CompileResult:
        oracle = self._oracle(workshop)
        workshop.sample = oracle.feeds[0].values if oracle is not None else None
        mode = self.options.equality
        with self._stage("optimise and check", release=True):
            found = settle_at(workshop, steps, oracle, self.options)
            settled, oracle = found.settled, found.oracle
        if decisions is not None:
            settled = replace(settled, dropped=(*decisions.dropped, *settled.dropped))
        memory: Mapping[str, int] = {}
        wanted = self.options.measure and decisions is None
        missing = _not_here(workshop, settled) if wanted else ""
        measurement = _unmeasured(decisions, missing)
        measuring = wanted and not missing
        if measuring:
            with self._stage("measure", release=True):
                race = self._race(workshop, oracle)
                raced = no_slower(workshop, settled, oracle, mode, race)
                settled, measurement, memory = raced.settled, raced.measurement, raced.memory
        if self.options.measure_each and measuring:
            with self._stage("measure each pass", release=True):
                rows, notes = ablate(workshop, settled, oracle, mode, race)
                measurement = replace(measurement, ablation=rows, notes=(*measurement.notes, *notes))
        precision = decisions.precision if decisions is not None and found.record else found.record
        with self._stage("report"):
            report = compile_report(
                self.source, self.output, self.options, workshop, settled, measurement, memory
            )
        report = replace(report, precision=precision, seconds=dict(self.seconds))
        with self._stage("write"):
            self._write(workshop, settled, report)
        return CompileResult(self.output, report)

    def _steps(
        self, decisions: Decisions | None, backends: list[Backend], target: Target
    ) -> tuple[Step, ...]:
        if decisions is not None:
            return pipeline(decisions.pipeline, disabled=self.options.disabled)
        chosen, disabled = self.options, self.options.disabled
        legalize = legalization(backends, target)
        steps = pipeline(chosen.passes, level=chosen.level, disabled=disabled, legalize=legalize)
        if target.kind == "cuda" and chosen.passes is None and chosen.level < LEGALIZE_FROM:
            # Few models become engines as they are, whatever the level.
            steps += pipeline(legalize, disabled=disabled)
        return steps

    def _oracle(self, workshop: Workshop) -> Oracle | None:
        from graphopt.equality.oracle import Oracle

        if self.options.equality == "off":
            return None
        if workshop.builds_engines:
            workshop.make_runner = runner_for(workshop.imported)
        with self._stage("run the original", release=True):
            inputs = judging_inputs(
                workshop.imported, workshop.ranges, self.options.inputs, workshop.make_runner
            )
            return Oracle.prepare(workshop.imported, workshop.make_runner, inputs=inputs)

    def _race(self, workshop: Workshop, oracle: Oracle | None) -> Race:
        """The input as a file and the feeds both sides get: the largest, or those engines are tuned for."""
        from graphopt.equality.feedfile import save_feeds

        feeds = workshop.scratch / "feeds.npz"
        own = workshop.sample if workshop.ranges and self.options.inputs is None else None
        save_feeds(feeds, own or self._feeds(workshop.imported, oracle))
        return Race(
            self._input_file(workshop),
            feeds,
            workshop.threads,
            self.options.measure_seconds,
            self._measure_progress if self.options.progress else None,
            gpu=workshop.builds_engines,
        )

    def _feeds(self, imported: ir.Model, oracle: Oracle | None) -> Mapping[str, Any]:
        from graphopt.driver.runners import oracle_runner
        from graphopt.equality.feeds import derive_feeds
        from graphopt.equality.feeds_user import user_feeds

        if oracle is not None:
            sets = oracle.feeds
        elif self.options.inputs is not None:
            sets = user_feeds(imported, self.options.inputs)
        else:
            sets = derive_feeds(imported, oracle_runner(imported).run, value_sets=1, seed=0).feeds
        return max((s.values for s in sets), key=lambda v: sum(a.nbytes for a in v.values()), default={})

    def _input_file(self, workshop: Workshop) -> Path:
        """The file the person handed in, or what was imported when that is something else.

        It is when inputs were fixed, when there is no file, and when the file is of a newer format than
        ONNX Runtime reads.
        """
        from graphopt.backends.onnxruntime.ir_version import ir_version_for_onnxruntime
        from graphopt.ir.save import save_model

        readable = ir_version_for_onnxruntime(workshop.imported)
        changed = self.options.shapes or self.options.constants or readable != workshop.imported.ir_version
        if not changed and isinstance(self.source, str | os.PathLike):
            return Path(self.source)
        path = workshop.scratch / "input.onnx"
        model = workshop.imported.clone()
        model.ir_version = readable
        save_model(model, path, weights_name="input.bin")
        return path

    def _write(self, workshop: Workshop, settled: Settled, report: CompileReport) -> None:
        from graphopt.artifact.writer import ArtifactWriter
        from graphopt.backends.onnxruntime.ir_version import ir_version_for_onnxruntime
        from graphopt.report.html import render

        model = settled.candidate.optimized.model
        with ArtifactWriter(self.output, writer=program()) as writer:
            writer.adopt(settled.candidate.writer)
            # It is there for other tools, ONNX Runtime among them.
            model.ir_version = ir_version_for_onnxruntime(model)
            writer.add_model(model)
            writer.add_file("report.json", report.to_text())
            writer.add_file("report.html", render(report))
            commit(writer, model, workshop, artifact_details(report, settled))

    @contextmanager
    def _stage(self, name: str, *, release: bool = False) -> Iterator[None]:
        """Time a stage; ``release`` gives back the memory of one that used much."""
        from graphopt.ir.memory import release_memory

        if self.options.progress:
            self.options.progress(name)
        started = time.perf_counter()
        yield
        if release:
            release_memory()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started

    def _measure_progress(self, rounds: int, fraction: float) -> None:
        assert self.options.progress is not None
        self.options.progress(f"measure: {min(fraction, 1):.0%} ({rounds} rounds)")


def _asked(backends: list[Backend], names: tuple[str, ...] | None) -> list[Backend]:
    """The backends a person names, in that order; UsageError for one that cannot be had."""
    if names is None:
        return backends
    found = {backend.name: backend for backend in backends}
    for name in names:
        if name not in found:
            raise UsageError(
                f"backend '{name}' is not to be had for this target", f"there is {', '.join(found)}"
            )
    return [found[name] for name in dict.fromkeys(names)] or backends


def _decided(backends: list[Backend], decisions: Decisions | None, target: Target) -> list[Backend]:
    """The backends that may take regions: without those of this CPU that an earlier compile did without."""
    if decisions is None or decisions.backends is None or target.kind != "cpu":
        return backends
    first = next((i for i, b in enumerate(backends) if b.name in decisions.backends), 0)
    return backends[first:]


@contextmanager
def _scratch_folder(output: Path) -> Iterator[Path]:
    """A folder beside ``output``; ArtifactError naming the output when there can be none."""
    from graphopt.artifact.replace import write_error

    try:
        folder = tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=scratch_parent(output))
    except OSError as error:
        raise write_error(output, error) from error
    with folder as path:
        yield Path(path)


def _not_here(workshop: Workshop, settled: Settled) -> str:
    """Why nothing can be measured here; empty when it can."""
    if (missing := unmeasurable(workshop.target)) or not workshop.builds_engines:
        return missing
    try:
        workshop.session(settled.candidate)
    except BackendError as error:
        return error.message
    return ""


def _unmeasured(decisions: Decisions | None, missing: str) -> Measurement:
    if decisions is not None:
        return Measurement(decisions.shipped, f"as decided in {decisions.origin}; not measured again")
    return Measurement("optimised", f"not measured: {missing}" if missing else "not measured")
