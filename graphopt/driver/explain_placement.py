"""``explain`` for a GPU: which nodes are not in an engine, or not in the precision asked for, and why."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphopt.errors import ArtifactError, UsageError

if TYPE_CHECKING:
    from graphopt.driver.opt import Constants, Source
    from graphopt.report.record import CompileReport


@dataclass(frozen=True)
class Elsewhere:
    """Nodes that are not where they were wanted, for one reason.

    Attributes:
        where: the backend that runs them, or ``fp32``.
        reason: why, in the words of the backend that refused them or of the rule that kept them.
        nodes: in the optimised model.
        sources: the person's own nodes they stand for.
        operators: of the nodes.
    """

    where: str
    reason: str
    nodes: tuple[str, ...]
    sources: tuple[str, ...]
    operators: tuple[str, ...]


@dataclass(frozen=True)
class PlacementExplanation:
    """Where a compiled model runs.

    Attributes:
        shares: backend → part of the FLOPs, between 0 and 1; None when unknown.
        engines: one record per engine.
        elsewhere: what is not in an engine or not in the lower precision.
    """

    shares: Mapping[str, float | None]
    engines: tuple[dict[str, Any], ...]
    elsewhere: tuple[Elsewhere, ...]

    def to_json(self) -> dict[str, Any]:
        """The record as plain JSON types."""
        return asdict(self)


def explain_artifact(path: str | os.PathLike[str], *, why_not: str = "") -> PlacementExplanation:
    """What the compile of an artifact recorded.

    Args:
        path: of the artifact.
        why_not: part of a node's name, or an operator: only these nodes.

    Raises:
        ArtifactError: it is damaged or holds no report.
        UsageError: ``why_not`` names nothing that is elsewhere.
    """
    from graphopt.artifact.reader import open_artifact
    from graphopt.report.record import CompileReport

    artifact = open_artifact(path)
    try:
        data = json.loads(bytes(artifact.read("report.json")))
    except ValueError as error:
        raise ArtifactError(f"{path}: report.json is damaged: {error}", "recompile the model") from error
    return _explanation(CompileReport.from_json(data), why_not)


def explain_target(
    model: Source,
    target: str,
    *,
    why_not: str = "",
    level: int = 2,
    shapes: Sequence[str] | None = None,
    constants: Constants | None = None,
) -> PlacementExplanation:
    """Compile a model for a target, nothing checked or measured, and say where it would run.

    Args:
        model: a path, bytes, ``onnx.ModelProto`` or ``onnx_ir.Model`` (left as it was).
        target: as for ``compile``.
        why_not: part of a node's name, or an operator: only these nodes.
        level: 0 to 3.
        shapes: fixed input shapes, or ranges.
        constants: inputs frozen to a value.

    Raises:
        ModelError, BackendError, TargetError: as for ``compile``.
        UsageError: ``why_not`` names nothing that is elsewhere.
    """
    from graphopt.driver.compile import compile_model

    with tempfile.TemporaryDirectory() as folder:
        done = compile_model(
            model,
            output=Path(folder) / "explained.gopt",
            target=target,
            level=level,
            shapes=shapes or None,
            constants=constants or None,
            equality="off",
            measure=False,
        )
    return _explanation(done.report, why_not)


def _explanation(report: CompileReport, why_not: str) -> PlacementExplanation:
    found = tuple(_wanted(group, why_not) for group in (*_fell_back(report), *_kept(report)))
    found = tuple(group for group in found if group.nodes)
    if why_not and not found:
        raise UsageError(f"nothing called {why_not!r} fell back or was kept in fp32", "drop --why-not")
    shares = {str(row.get("backend")): row.get("share") for row in report.placement}
    return PlacementExplanation(shares, report.engines, found)


def _fell_back(report: CompileReport) -> Iterator[Elsewhere]:
    from graphopt.report.rows import own_names

    for row in report.placement:
        operators = row.get("operators") or {}
        for reason, nodes in (row.get("fell_back") or {}).items():
            yield Elsewhere(
                str(row.get("backend")),
                reason,
                tuple(nodes),
                tuple(own_names(row, nodes)),
                tuple(dict.fromkeys(str(operators[name]) for name in nodes if name in operators)),
            )


def _kept(report: CompileReport) -> Iterator[Elsewhere]:
    reasons: dict[str, list[str]] = {}
    for node, why in ((report.precision or {}).get("kept") or {}).items():
        reasons.setdefault(str(why), []).append(node)
    for why, nodes in reasons.items():
        yield Elsewhere("fp32", why, tuple(nodes), tuple(nodes), ())


def _wanted(group: Elsewhere, pattern: str) -> Elsewhere:
    """The part of a group that a pattern means; all of it when the pattern is empty or its operator."""
    if not pattern or pattern in group.operators:
        return group
    nodes = tuple(name for name in group.nodes if pattern in name)
    sources = tuple(name for name in group.sources if pattern in name)
    return Elsewhere(group.where, group.reason, nodes or sources, sources or nodes, group.operators)
