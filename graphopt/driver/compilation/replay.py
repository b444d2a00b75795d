"""The decisions an earlier compile recorded in its artifact, to be repeated without measuring."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

from graphopt.errors import ArtifactError
from graphopt.report.record import CompileReport, Dropped, Shipped


@dataclass(frozen=True)
class Decisions:
    """What an earlier compile settled on.

    Attributes:
        origin: the artifact.
        pipeline: the passes that were shipped, as a pipeline string.
        dropped: passes it took out, with its reasons.
        shipped: ``optimised`` or ``input``.
        threads: it compiled for.
        source_sha256: of the model it compiled.
        precision: what its report says about a lower precision, or None.
        backends: that run its regions; None where it does not say.
    """

    origin: str
    pipeline: str
    dropped: tuple[Dropped, ...]
    shipped: Shipped
    threads: int | None
    source_sha256: str
    precision: dict[str, Any] | None = None
    backends: tuple[str, ...] | None = None


def recorded_decisions(path: str | os.PathLike[str]) -> Decisions:
    """Read the decisions of the artifact at ``path``.

    Raises:
        ArtifactError: it is damaged, or holds no decisions that can be repeated.
    """
    from graphopt.artifact.reader import open_artifact

    artifact = open_artifact(path)
    manifest = artifact.manifest
    text = manifest.details.get("pipeline")
    if not isinstance(text, str):
        raise ArtifactError(f"{path} does not record its passes", "compile without --replay")
    try:
        report = CompileReport.from_json(json.loads(bytes(artifact.read("report.json"))))
    except ValueError as error:
        raise ArtifactError(f"{path}: report.json is damaged: {error}", "compile without --replay") from error
    return Decisions(
        origin=os.fspath(path),
        pipeline=text,
        dropped=report.dropped,
        shipped=report.measurement.shipped,
        threads=manifest.threads,
        source_sha256=report.source.sha256,
        precision=report.precision,
        backends=tuple(dict.fromkeys(region.backend for region in manifest.regions)),
    )
