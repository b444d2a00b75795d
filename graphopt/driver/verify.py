"""``verify``: do two models, or a model and an artifact, compute the same?"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphopt.driver.subject import is_artifact
from graphopt.errors import BackendError, EqualityError

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphopt.driver.opt import Constants, Source
    from graphopt.equality.oracle import Candidate, Inputs
    from graphopt.equality.signature import Port
    from graphopt.equality.verdict import EqualityReport
    from graphopt.pipeline.protocols import RunnerFactory


@dataclass(frozen=True)
class Subject:
    """One of the two things compared.

    Attributes:
        model: the graph behind it.
        runner: computes its outputs, or None: run ``model``.
        precision: "fp16" or "bf16" where it was compiled for one; else empty.
        notes: what a person should know about how it is run.
    """

    model: ir.Model
    runner: Candidate | None = None
    precision: str = ""
    notes: tuple[str, ...] = ()


def verify(
    reference: Source,
    candidate: Source,
    *,
    equality: str = "default",
    inputs: Inputs | None = None,
    shapes: Any = None,
    constants: Constants | None = None,
    threads: int | None = None,
    seed: int = 0,
) -> EqualityReport:
    """Compare two models or artifacts.

    Both are run by ONNX Runtime with optimisations off, an artifact by the runtime it was built for.
    Feeds and noise floor are the reference's. Where an artifact's engines cannot run here the model in it
    is run in their place, and the report's notes say so.

    Args:
        reference: the original: a model in any form, or the path of an artifact.
        candidate: what should compute the same.
        equality: ``default`` or ``relaxed``.
        inputs: the person's own feeds; None derives them from the reference.
        shapes: fixed input shapes of the reference. Dims the candidate fixes are fixed there too.
        constants: inputs of the reference frozen to a value, and of the candidate where it has them.
        threads: per run; None takes what affinity and the container allow.
        seed: of the derived values and the jitter.

    Returns:
        The report. Differences of the signature come first: they are its ``reason`` and ``notes``,
        and where they keep the two from being run on the same feeds nothing is run.

    Raises:
        ModelError, ArtifactError, FeedError, BackendError, UsageError: one of the two cannot be
            opened, or the reference cannot be run.
    """
    from graphopt.equality import signature
    from graphopt.equality.oracle import Oracle
    from graphopt.equality.tolerance import limits
    from graphopt.equality.verdict import EqualityReport, Verdict

    factor = limits(equality).factor
    one = _subject(reference, threads, shapes=shapes, constants=constants)
    other = _subject(candidate, threads)
    _freeze(other, constants)
    fatal, notes = signature_differences(one.model, other.model)
    if fatal:
        return EqualityReport(Verdict.SEMANTIC, equality, factor, reason=fatal[0], notes=(*fatal[1:], *notes))
    _bind_open_dims(one.model, other.model)
    oracle = Oracle.prepare(one.model, oracle_factory(threads), inputs=inputs, seed=seed)
    notes += (*one.notes, *other.notes)
    if other.precision:
        # What it rounds on the way it rounds more coarsely: that precision's own noise is the measure.
        oracle = oracle.at_precision(one.model, oracle_factory(threads), _dtype(other.precision))
        notes += (f"judged by the noise floor of {other.precision}, which it was compiled for",)
    runner = other.runner if other.runner is not None else _model_runner(other, threads)
    names = frozenset(port.name for port in signature.inputs(other.model))
    report = oracle.judge(_Fed(runner, names), equality)
    return replace(report, notes=(*notes, *report.notes))


def require_equal(report: EqualityReport) -> None:
    """Raise EqualityError (exit code 3) when the verdict is semantic."""
    if not report.equal:
        raise EqualityError(report.sentence(), "`graphopt bisect` finds the pass and the smallest subgraph")


def signature_differences(one: ir.Model, other: ir.Model) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What differs at the border of two models.

    Returns:
        (differences that make them different models: names, order of outputs, dtypes, ranks;
        differences worth a note: fixed against open dims, order of inputs).
    """
    from graphopt.equality import signature

    ins, other_ins = signature.inputs(one), signature.inputs(other)
    outs, other_outs = signature.outputs(one), signature.outputs(other)
    fatal = [*_names_differ("output", outs, other_outs), *_extra_inputs(ins, other_ins)]
    notes: list[str] = []
    for what, ports, others in (("input", ins, other_ins), ("output", outs, other_outs)):
        for mine, theirs in _same_names(ports, others):
            fatal += _types_differ(what, mine, theirs)
            notes += _dims_differ(what, mine, theirs)
    dropped = [port.name for port in ins if port.name not in {p.name for p in other_ins}]
    notes += [f"input '{name}' is gone: it is ignored" for name in dropped]
    kept = [port.name for port in ins if port.name not in dropped]
    if kept != [port.name for port in other_ins] and not fatal:
        notes.append("the inputs come in another order")
    return tuple(fatal), tuple(notes)


def _names_differ(what: str, mine: tuple[Port, ...], theirs: tuple[Port, ...]) -> Iterator[str]:
    names, others = [p.name for p in mine], [p.name for p in theirs]
    if names == others:
        return
    for name in names:
        if name not in others:
            yield f"{what} '{name}' is missing"
    for name in others:
        if name not in names:
            yield f"{what} '{name}' is new"
    if sorted(names) == sorted(others):
        yield f"the {what}s come in another order: {', '.join(others)} instead of {', '.join(names)}"


def _extra_inputs(mine: tuple[Port, ...], theirs: tuple[Port, ...]) -> Iterator[str]:
    names = {p.name for p in mine}
    for port in theirs:
        if port.name not in names:
            yield f"input '{port.name}' is new"


def _same_names(mine: tuple[Port, ...], theirs: tuple[Port, ...]) -> Iterator[tuple[Port, Port]]:
    by_name = {port.name: port for port in theirs}
    for port in mine:
        if port.name in by_name:
            yield port, by_name[port.name]


def _types_differ(what: str, mine: Port, theirs: Port) -> Iterator[str]:
    if mine.kind != theirs.kind and "unknown" not in (mine.kind, theirs.kind):
        yield f"{what} '{mine.name}' is a {theirs.kind} instead of a {mine.kind}"
    elif mine.dtype is not None and theirs.dtype is not None and mine.dtype != theirs.dtype:
        yield f"{what} '{mine.name}' is {theirs.dtype.name.lower()} instead of {mine.dtype.name.lower()}"
    elif mine.dims is not None and theirs.dims is not None and len(mine.dims) != len(theirs.dims):
        yield f"{what} '{mine.name}' has rank {len(theirs.dims)} instead of {len(mine.dims)}"


def _dims_differ(what: str, mine: Port, theirs: Port) -> Iterator[str]:
    if mine.dims is None or theirs.dims is None or len(mine.dims) != len(theirs.dims):
        return
    pairs = zip(mine.dims, theirs.dims, strict=True)
    if any(isinstance(a, int) != isinstance(b, int) or (isinstance(a, int) and a != b) for a, b in pairs):
        yield f"{what} '{mine.name}' declares {theirs} instead of {mine}"


def _subject(
    source: Source, threads: int | None, *, shapes: Any = None, constants: Constants | None = None
) -> Subject:
    if isinstance(source, str | os.PathLike) and is_artifact(Path(source)):
        return _artifact(Path(source), threads)
    from graphopt.driver.opt import import_model

    return Subject(import_model(source, shapes=shapes, constants=constants))


def _freeze(subject: Subject, constants: Constants | None) -> None:
    from graphopt.ir.freeze import freeze_inputs, parse_constants

    if not constants or subject.runner is not None:
        return
    names = {value.name for value in subject.model.graph.inputs}
    if isinstance(constants, Mapping):
        values = {name: array for name, array in constants.items() if name in names}
    else:
        known = [text for text in constants if text.partition("=")[0].strip() in names]
        values = parse_constants(known, subject.model)
    freeze_inputs(subject.model, values)


def _bind_open_dims(reference: ir.Model, candidate: ir.Model) -> None:
    """Fix the reference's open dims where the candidate fixed them: that is all the two share."""
    from graphopt.equality import signature
    from graphopt.ir.freeze import set_input_shapes

    shapes: dict[str, tuple[int | str | None, ...]] = {}
    for mine, theirs in _same_names(signature.inputs(reference), signature.inputs(candidate)):
        if mine.dims is None or theirs.dims is None:
            continue
        dims = tuple(
            b if isinstance(b, int) and not isinstance(a, int) else a
            for a, b in zip(mine.dims, theirs.dims, strict=True)
        )
        if dims != mine.dims:
            shapes[mine.name] = dims
    if shapes:
        set_input_shapes(reference, shapes)


@dataclass(frozen=True)
class _Fed:
    """A candidate that is handed only the inputs it has: constants compiled in are inputs no more."""

    runner: Candidate
    names: frozenset[str]

    def run(self, feeds: Mapping[str, Any], /) -> Mapping[str, object]:
        return self.runner.run({name: array for name, array in feeds.items() if name in self.names})


def _artifact(path: Path, threads: int | None) -> Subject:
    """An artifact's session, and the graph it keeps for reading."""
    from graphopt.artifact.manifest import MODEL_NAME
    from graphopt.artifact.reader import open_artifact
    from graphopt.ir.load import load_model
    from graphopt.runtime.session import Session

    artifact = open_artifact(path)
    session: Session | None = None
    notes: tuple[str, ...] = ()
    try:
        session = Session(artifact, threads=threads)
    except BackendError as error:
        if artifact.manifest.target.get("kind") != "cuda":
            raise
        notes = (f"{path}: the model in it was compared, the engines were not run: {error.message}",)
    precision = _precision(artifact.manifest.details.get("precision"))
    if not artifact.packed:
        return Subject(load_model(path / MODEL_NAME), session, precision, notes)
    with tempfile.TemporaryDirectory(prefix="graphopt-verify-") as folder:
        for name, content in artifact.contents.items():
            if "/" not in name:
                Path(folder, name).write_bytes(content)
        model = load_model(Path(folder, MODEL_NAME))
        # Mapped weights stay readable after their file is unlinked: the map holds it.
        for value in model.graph.initializers.values():
            if value.const_value is not None:
                value.const_value.numpy()
        return Subject(model, session, precision, notes)


def _precision(details: object) -> str:
    """The lower precision an artifact was compiled for, as its manifest says; empty for none."""
    asked = details.get("asked") if isinstance(details, Mapping) else None
    return asked if asked in ("fp16", "bf16") else ""


def _dtype(precision: str) -> Any:
    import ml_dtypes
    import numpy as np

    return {"fp16": np.float16, "bf16": ml_dtypes.bfloat16}[precision]


def _model_runner(subject: Subject, threads: int | None) -> Candidate:
    """Runs the graph itself; on a CPU ONNX Runtime computes fp16 in fp32, which would hide an overflow."""
    from graphopt.driver.runners import emulating_runner

    return emulating_runner(subject.model) if subject.precision else oracle_factory(threads)(subject.model)


def oracle_factory(threads: int | None) -> RunnerFactory:
    """ONNX Runtime with optimisations off."""
    import functools

    from graphopt.backends.onnxruntime.runner import make_runner

    return functools.partial(make_runner, optimise=False, threads=threads)
