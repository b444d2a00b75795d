"""Fill the report of a compile, and the part of it that the artifact's manifest repeats."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphopt.driver.compilation.placement_report import engine_rows, placement_rows
from graphopt.driver.compilation.presence import absence
from graphopt.report.record import CompileReport, Measurement, Source

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphopt.driver.compilation.built import Settled
    from graphopt.driver.compilation.candidate import Workshop
    from graphopt.driver.compilation.options import CompileOptions
    from graphopt.driver.opt import Source as ModelSource
    from graphopt.pipeline.records import Remark

_MOST_REMARKS = 500
"""A report is for reading; `graphopt opt` prints every remark."""

_VERDICT_KEYS = ("verdict", "mode", "factor", "ratio", "weak", "not_checkable", "notes")


def compile_report(
    source: ModelSource,
    output: Path,
    options: CompileOptions,
    workshop: Workshop,
    settled: Settled,
    measurement: Measurement,
    memory: Mapping[str, int],
) -> CompileReport:
    """Everything one compile decided, and why; the seconds of its stages are for the caller to add."""
    from graphopt.driver.conditions import versions
    from graphopt.driver.shapes import feed_dims
    from graphopt.measure.memory import peak_rss_bytes
    from graphopt.report.graph_view import graph_view
    from graphopt.report.summary import summarise

    optimized = settled.candidate.optimized
    equality = settled.equality.to_json() if settled.equality is not None else None
    dims = feed_dims(equality["feeds"]) if equality is not None else {}
    before, after = _sized(workshop.imported, optimized.model, dims)
    origin = _source(source, workshop.imported)
    return CompileReport(
        source=origin,
        measurement=measurement,
        target=workshop.target.to_json(),
        versions=versions() | _backend_versions(workshop),
        options=_options_json(options, workshop),
        before=summarise(before),
        after=summarise(after),
        effects=settled.candidate.effects,
        remarks=settled.candidate.remarks[:_MOST_REMARKS],
        dropped=settled.dropped,
        placement=placement_rows(settled.candidate.placement, workshop, after, dims),
        engines=engine_rows(settled.candidate.regions),
        equality=equality,
        memory={"compile peak": peak_rss_bytes(), **memory},
        sizes=_sizes(settled.candidate.path, source),
        shapes=dims,
        graphs={
            "before": graph_view(before),
            "after": graph_view(after, provenance=_provenance(optimized.remarks)),
        },
        next_command=_next_command(origin.path, output, measurement, settled, workshop),
    )


def artifact_details(report: CompileReport, settled: Settled) -> dict[str, Any]:
    """What the manifest says about the compile: enough to audit and to repeat it without the report."""
    from graphopt.pipeline.manager import pipeline_text

    verdict = report.equality
    return {
        "source": {"path": report.source.path, "sha256": report.source.sha256},
        "versions": dict(report.versions),
        "pipeline": pipeline_text(settled.steps),
        "passes": [effect.to_json() for effect in report.effects if effect.modified],
        "dropped": [{"pass": d.pass_text, "reason": d.reason} for d in report.dropped],
        "placement": list(report.placement),
        "shipped": {"what": report.measurement.shipped, "reason": report.measurement.reason},
        "equality": None
        if verdict is None
        else {key: verdict[key] for key in _VERDICT_KEYS if key in verdict},
        "tuning_records": [],
        **({} if report.precision is None else {"precision": report.precision}),
    }


def _source(source: ModelSource, imported: ir.Model) -> Source:
    from graphopt.ir.fingerprint import fingerprint
    from graphopt.ir.walk import num_nodes, weight_bytes

    path = ""
    if isinstance(source, str | os.PathLike):
        path = str(Path(source).absolute())
        with Path(source).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    elif isinstance(source, bytes):
        digest = hashlib.sha256(source).hexdigest()
    else:
        digest = fingerprint(imported)
    return Source(
        path, digest, num_nodes(imported), weight_bytes(imported), imported.opset_imports.get("", 0)
    )


def _sized(
    imported: ir.Model, optimized: ir.Model, dims: Mapping[str, tuple[int, ...]]
) -> tuple[ir.Model, ir.Model]:
    """Copies of both models for one size of their inputs, so that FLOPs and bytes have a value."""
    from graphopt.driver.shapes import with_sizes
    from graphopt.errors import GraphoptError

    try:
        after = with_sizes(optimized, dims)
        return with_sizes(imported, dims, donor=after), after
    except GraphoptError:
        return imported, optimized


def _provenance(remarks: Sequence[Remark]) -> dict[str, str]:
    """Node → the pass that last changed it, as far as passes named the node."""
    return {r.node: r.pass_name for r in remarks if r.kind == "applied" and r.node}


def _options_json(options: CompileOptions, workshop: Workshop) -> dict[str, Any]:
    from graphopt.driver.opt import pipeline
    from graphopt.pipeline.manager import pipeline_text

    engines: dict[str, Any] = {}
    if workshop.builds_engines:
        engines = {"precision": options.precision, "engine": asdict(options.engine)}
        if workshop.ranges:
            engines["ranges"] = workshop.ranges.to_json()
    asked = pipeline(options.passes, level=options.level, disabled=options.disabled)
    return {
        "target": options.target,
        "level": options.level,
        "pipeline": pipeline_text(asked),
        "disabled": list(options.disabled),
        "shapes": options.shapes
        if options.shapes is None or not isinstance(options.shapes, Mapping)
        else {name: list(dims) for name, dims in options.shapes.items()},
        "constants": sorted(options.constants) if options.constants else [],
        "inputs": os.fspath(options.inputs) if isinstance(options.inputs, str | os.PathLike) else None,
        "threads": workshop.threads,
        "equality": options.equality,
        "measure": options.measure,
        "strict": options.strict,
        "replay": os.fspath(options.replay) if options.replay is not None else None,
        **engines,
    }


def _backend_versions(workshop: Workshop) -> dict[str, str]:
    """What built the engines; ONNX Runtime's version is told among the packages'."""
    from graphopt.backends.base import Available

    answers = {b.name: b.availability() for b in workshop.backends if "cpu" not in b.target_kinds}
    return {name: answer.version for name, answer in answers.items() if isinstance(answer, Available)}


def _sizes(artifact: Path, source: ModelSource) -> dict[str, int]:
    sizes = {
        str(file.relative_to(artifact)): file.stat().st_size
        for file in sorted(artifact.rglob("*"))
        if file.is_file()
    }
    if isinstance(source, str | os.PathLike):
        sizes = {"input": Path(source).stat().st_size, **sizes}
    return sizes


def _next_command(
    source: str, output: Path, measurement: Measurement, settled: Settled, workshop: Workshop
) -> str:
    if workshop.builds_engines and absence(workshop.target):
        return f"graphopt inspect {output}"
    if source and not all(dropped.is_backend for dropped in settled.dropped):
        return f"graphopt bisect {source}"
    if measurement.ratio is None:
        return f"graphopt bench {output}"
    return f"graphopt run {output} --inputs in.npz --outputs out.npz"
