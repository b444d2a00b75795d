"""``bench``: how fast and how large a model or an artifact is here, beside ONNX Runtime."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphopt.driver.bench_feeds import artifact_model, artifact_source, artifact_target, bench_feeds
from graphopt.driver.conditions import machine_name, versions
from graphopt.driver.engines import artifact_engine, onnxruntime_engine
from graphopt.equality.feedfile import save_feeds
from graphopt.errors import ArtifactError, ModelError
from graphopt.measure.compare import compare
from graphopt.measure.engine import Engine
from graphopt.measure.records import Comparison, Conditions, Measured, Ratio
from graphopt.measure.stats import Interval, Percentile, mean_interval, percentile

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import onnx_ir as ir

    from graphopt.driver.bench_feeds import Run

    Feeds = Mapping[str, npt.NDArray[np.generic]]

PERCENTILES = (50.0, 90.0, 95.0, 99.0)
ARTIFACT = "graphopt"
ORIGINAL = "onnxruntime"
OPTIMISED_GRAPH = "onnxruntime on the optimised graph"
UNOPTIMISED = "onnxruntime, optimisations off"
_ZIP = b"PK\x03\x04"


@dataclass(frozen=True)
class EngineReport:
    """One engine's figures, one call at a time.

    Attributes:
        name: of the engine.
        latency_us: p50, p90, p95 and p99 in microseconds, each with a 95 % interval.
        throughput: inferences per second, with a 95 % interval over rounds.
        calls: timed inferences.
        spread: median absolute deviation of the latency as a fraction of its median.
        peak_rss_bytes: most memory its process held, interpreter and libraries included.
        rss_before_load_bytes: the part of it that was there before the model was loaded.
        load_seconds: from file to session, one observation.
        first_run_seconds: the first inference, one observation.
    """

    name: str
    latency_us: tuple[Percentile, ...]
    throughput: Interval
    calls: int
    spread: float
    peak_rss_bytes: int
    rss_before_load_bytes: int
    load_seconds: float
    first_run_seconds: float

    def to_json(self) -> dict[str, Any]:
        """The record as plain JSON types; percentiles keyed ``p50``, ``p90``, …"""
        return {
            "name": self.name,
            "latency_us": {f"p{found.percent:g}": _percentile_json(found) for found in self.latency_us},
            "throughput_per_second": self.throughput.to_json(),
            "calls": self.calls,
            "spread": self.spread,
            "peak_rss_bytes": self.peak_rss_bytes,
            "rss_before_load_bytes": self.rss_before_load_bytes,
            "load_seconds": self.load_seconds,
            "first_run_seconds": self.first_run_seconds,
        }


@dataclass(frozen=True)
class BenchReport:
    """What ``bench`` found.

    Attributes:
        source: the file or folder measured.
        kind: "artifact" or "model".
        subject: figures of the source itself.
        beside: figures of what it was measured beside, possibly none.
        ratios: how many times faster the subject is than each of ``beside``.
        failed: what could not be measured beside it, with the reason.
        feeds: input name → ``dtype[dims]``.
        versions: of Python and the packages that took part.
        conditions: machine, threads, load, date, rounds.
        comparison: every sample.
    """

    source: str
    kind: str
    subject: EngineReport
    beside: tuple[EngineReport, ...]
    ratios: Mapping[str, Ratio]
    failed: Mapping[str, str]
    feeds: Mapping[str, str]
    versions: Mapping[str, str]
    conditions: Conditions
    comparison: Comparison

    def to_json(self, *, samples: bool = False) -> dict[str, Any]:
        """The record as plain JSON types; with every call's time only when asked."""
        out: dict[str, Any] = {
            "source": self.source,
            "kind": self.kind,
            "engines": [report.to_json() for report in (self.subject, *self.beside)],
            "ratios": {name: ratio.to_json() for name, ratio in self.ratios.items()},
            "failed": dict(self.failed),
            "feeds": dict(self.feeds),
            "versions": dict(self.versions),
            "conditions": self.conditions.to_json(),
        }
        if samples:
            out["comparison"] = self.comparison.to_json(samples=True)
        return out


def bench(
    source: str | os.PathLike[str],
    *,
    inputs: str | os.PathLike[str] | None = None,
    feeds: Feeds | None = None,
    threads: int | None = None,
    budget_seconds: float = 10.0,
    baseline: bool | str | os.PathLike[str] = True,
    seed: int = 0,
    progress: Callable[[int, float], None] | None = None,
) -> BenchReport:
    """Measure a model in ONNX Runtime, or an artifact beside ONNX Runtime: an artifact for a GPU beside its
    CUDA provider on that GPU.

    Args:
        source: an ``.onnx`` file, or an artifact (folder or packed file).
        inputs: ``.npz`` file with one array per input.
        feeds: the arrays themselves; without either they are derived from the graph.
        threads: intra-op threads of every engine; None takes what affinity and the container allow.
        budget_seconds: wall time for the measurement; loading comes on top.
        baseline: measure ONNX Runtime beside it; the path of a model names what ONNX Runtime is to
            run instead of the model the artifact was compiled from.
        seed: of derived feeds, of the order of blocks and of the bootstrap.
        progress: called with the rounds done and the fraction of the budget used.

    Raises:
        ModelError, ArtifactError: the source is missing or cannot be read.
        FeedError: the inputs do not fit, or none could be derived.
        BackendError: the source cannot be run. What is measured beside it may fail: that is reported.
    """
    from graphopt.targets.threads import available_threads

    path = Path(source)
    kind = _kind(path)
    count = threads or available_threads()
    with tempfile.TemporaryDirectory(prefix="graphopt-bench-") as folder:
        scratch = Path(folder)
        graph = path if kind == "model" else artifact_model(path, scratch)
        arrays = bench_feeds(graph, partial(_run, path, kind), inputs=inputs, feeds=feeds, seed=seed)
        file = scratch / "feeds.npz"
        save_feeds(file, arrays)
        gpu = kind == "artifact" and artifact_target(path).get("kind") == "cuda"
        engines = _engines(path, kind, graph, file, count, baseline, gpu=gpu)
        found = compare(
            engines,
            budget_seconds=budget_seconds,
            precision=0.0,
            threads=count,
            machine=machine_name(gpu=gpu),
            seed=seed,
            drop_failing=True,
            progress=progress,
        )
    subject, *beside = found.engines
    return BenchReport(
        source=str(path),
        kind=kind,
        subject=engine_report(subject, seed=seed),
        beside=tuple(engine_report(other, seed=seed) for other in beside),
        ratios={other.name: found.ratio(subject.name, over=other.name) for other in beside},
        failed=found.failed,
        feeds={name: f"{array.dtype}{list(array.shape)}" for name, array in arrays.items()},
        versions=versions(),
        conditions=found.conditions,
        comparison=found,
    )


def engine_report(measured: Measured, *, seed: int = 0) -> EngineReport:
    """One engine's figures from its samples."""
    samples = measured.samples
    seconds_per_call = [sum(block.samples) / len(block.samples) / 1e9 for block in measured.blocks]
    mean = mean_interval(seconds_per_call, seed=seed)
    return EngineReport(
        name=measured.name,
        latency_us=tuple(_in_microseconds(percentile(samples, percent)) for percent in PERCENTILES),
        throughput=Interval(1 / mean.value, 1 / mean.high, 1 / mean.low, mean.n),
        calls=len(samples),
        spread=measured.summary().spread,
        peak_rss_bytes=measured.peak_rss_bytes,
        rss_before_load_bytes=measured.startup.rss_before_load_bytes,
        load_seconds=measured.startup.load_seconds,
        first_run_seconds=measured.startup.first_run_seconds,
    )


def _kind(path: Path) -> str:
    if not path.exists():
        error = ArtifactError if path.suffix == ".gopt" else ModelError
        raise error(f"there is no '{path}'", "check the path")
    if path.is_dir() or path.suffix == ".gopt":
        return "artifact"
    with path.open("rb") as file:
        return "artifact" if file.read(4) == _ZIP else "model"


def _run(path: Path, kind: str, model: ir.Model) -> Run:
    """Something that computes the model, to try derived feeds on."""
    if kind == "artifact":
        from graphopt.runtime.session import load

        return load(path).run
    from graphopt.driver.runners import oracle_runner

    return oracle_runner(model).run


def _engines(
    path: Path,
    kind: str,
    graph: Path,
    feeds: Path,
    threads: int,
    baseline: bool | str | os.PathLike[str],
    *,
    gpu: bool,
) -> Sequence[Engine]:
    """What to measure; the first is the subject."""
    beside = partial(onnxruntime_engine, feeds=feeds, threads=threads, gpu=gpu)
    if kind == "model":
        engines = [beside(ORIGINAL, path)]
        if baseline is True:
            engines.append(beside(UNOPTIMISED, path, optimise=False))
    else:
        engines = [artifact_engine(ARTIFACT, path, feeds, threads)]
        if baseline is True:
            if original := artifact_source(path):
                engines.append(beside(ORIGINAL, original))
            engines.append(beside(OPTIMISED_GRAPH, graph))
    if not isinstance(baseline, bool):
        engines.append(beside(f"onnxruntime on {Path(baseline).name}", baseline))
    return engines


def _in_microseconds(found: Percentile) -> Percentile:
    return Percentile(
        found.percent,
        found.value / 1e3,
        None if found.low is None else found.low / 1e3,
        None if found.high is None else found.high / 1e3,
        found.n,
    )


def _percentile_json(found: Percentile) -> dict[str, Any]:
    """To the nanosecond: what lies behind it is an artefact of the division."""
    ends = {"value": found.value, "low": found.low, "high": found.high}
    return {name: None if end is None else round(end, 3) for name, end in ends.items()}
