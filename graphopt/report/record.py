"""CompileReport: everything one compilation decided and why, as plain data.

The terminal, the HTML page, ``report.json`` and ``compile --replay`` all read this one record.
Parts that another room defines (the equality report, a measured ratio, placement rows, the target)
are kept as that room's own JSON, so a new field there needs no change here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self

from graphopt.errors import ArtifactError
from graphopt.pipeline.records import Effect, Remark, RemarkKind

Json = dict[str, Any]

SCHEMA = 1
"""Raised when a reader of the previous number would misread the record; new fields do not raise it."""

Shipped = Literal["optimised", "input"]

_BACKEND = "backend "


@dataclass(frozen=True)
class Source:
    """The model that went in.

    Attributes:
        path: as the person typed it, or empty for a model handed over in memory.
        sha256: of the model file (of the structural fingerprint when there is no file).
        nodes: nodes in the whole model, subgraphs and functions included.
        weight_bytes: bytes of constant tensors, shared ones once.
        opset: of the default domain.
    """

    path: str
    sha256: str
    nodes: int
    weight_bytes: int
    opset: int


@dataclass(frozen=True)
class GraphSummary:
    """The figures of one model that a before/after table compares.

    Attributes:
        nodes: nodes in the whole model.
        operators: how often each operator occurs; other domains than ONNX's as ``domain::Op``.
        weight_bytes: bytes of constant tensors.
        parameters: elements of floating-point weights.
        flops: floating-point operations of one inference (a multiply-add is two), of the nodes that
            could be counted.
        uncounted: nodes without a formula or with unknown shapes.
        peak_activation_bytes: most bytes of live activations in node order, or None when unknown.
    """

    nodes: int
    operators: Mapping[str, int]
    weight_bytes: int
    parameters: int = 0
    flops: int = 0
    uncounted: int = 0
    peak_activation_bytes: int | None = None


@dataclass(frozen=True)
class Dropped:
    """A pass, or ``backend name``, that was taken out again, and why."""

    pass_text: str
    reason: str

    @classmethod
    def backend(cls, name: str, reason: str) -> Self:
        """A backend that no longer runs anything."""
        return cls(f"{_BACKEND}{name}", reason)

    @property
    def is_backend(self) -> bool:
        """Whether it is a backend and not a pass."""
        return self.pass_text.startswith(_BACKEND)


@dataclass(frozen=True)
class Ablation:
    """What the whole model loses when one pass is left out.

    Attributes:
        pass_text: the pass.
        ratio: JSON of a ``measure.compare.Ratio``: time without the pass / time with it (> 1: it helps).
        kept: whether the pass stayed.
    """

    pass_text: str
    ratio: Json
    kept: bool = True


@dataclass(frozen=True)
class Measurement:
    """What was measured at the end, and what was shipped because of it.

    Attributes:
        shipped: ``optimised``, or ``input`` when the optimised model lost or was not equal.
        reason: one sentence.
        ratio: JSON of a ``measure.compare.Ratio`` (median, low, high, noise, n): time of the input /
            time of the optimised model, so > 1 is faster. None when nothing was measured.
        conditions: threads, machine, rounds, seconds, …: printed beside every time.
        samples: seconds per inference of each engine, in the order taken; the A/A control included.
        ablation: one row per pass under ``--measure-each``.
        notes: what was not raced, or not as its name says, and why.
    """

    shipped: Shipped
    reason: str
    ratio: Json | None = None
    conditions: Json = field(default_factory=dict)
    samples: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    ablation: tuple[Ablation, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class CompileReport:
    """One compilation.

    Attributes:
        source: the model that went in.
        measurement: what was measured and shipped.
        target: JSON of the ``Target``.
        versions: package → version, of whatever can change the result.
        options: the options of the compile as the person would type them.
        before: figures of the model as imported.
        after: figures of the model that was written.
        effects: what each pass run did, in order.
        remarks: what the passes said.
        dropped: passes taken out again.
        placement: one row per backend or region (``backend``, ``nodes``, ``flops``, ``seconds``,
            ``reason``; absent keys are shown as unknown).
        engines: one row per engine that was built: its region, and what its backend recorded about it.
        precision: what was asked for and what stays in float32 all the same, or None.
        equality: JSON of the ``EqualityReport``, or None when it was not checked.
        memory: what → bytes (``compile peak``, ``input peak``, ``optimised peak``, …).
        sizes: file of the artifact → bytes.
        seconds: stage of the compile → seconds.
        shapes: input → dims that FLOPs, activations and the shapes in the graphs hold for.
        graphs: ``before`` and ``after`` as ``report.graph_view.graph_view`` writes them.
        next_command: the one command a person would most likely run next.
    """

    source: Source
    measurement: Measurement
    target: Json = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    options: Json = field(default_factory=dict)
    before: GraphSummary | None = None
    after: GraphSummary | None = None
    effects: tuple[Effect, ...] = ()
    remarks: tuple[Remark, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    placement: tuple[Json, ...] = ()
    engines: tuple[Json, ...] = ()
    precision: Json | None = None
    equality: Json | None = None
    memory: Mapping[str, int] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    graphs: Mapping[str, Json] = field(default_factory=dict)
    next_command: str = ""

    def to_json(self) -> Json:
        """The record as plain JSON types, with its schema number; NaN and infinities become null."""
        record: Json = _finite(asdict(self))
        return {"schema": SCHEMA, **record}

    def to_text(self) -> str:
        """``to_json`` as UTF-8 text with one line per top-level field."""
        lines = (
            f" {json.dumps(key)}: {json.dumps(value, default=_plain)}"
            for key, value in self.to_json().items()
        )
        return "{\n" + ",\n".join(lines) + "\n}\n"

    @classmethod
    def from_json(cls, data: Json) -> Self:
        """The record that ``to_json`` wrote; fields a newer graphopt added are ignored.

        Raises:
            ArtifactError: when ``data`` is no such record or of a later schema.
        """
        schema = data.get("schema") if isinstance(data, dict) else None
        if not isinstance(schema, int):
            raise ArtifactError("not a compile report: no schema number", "recompile the model")
        if schema > SCHEMA:
            raise ArtifactError(
                f"the compile report has schema {schema}, this graphopt reads up to {SCHEMA}",
                "upgrade graphopt or recompile the model",
            )
        try:
            return cls(**_arguments(cls, data) | _typed_parts(data))
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise ArtifactError(f"damaged compile report: {error}", "recompile the model") from error


def _finite(value: Any) -> Any:
    """JSON has no word for NaN or infinity, and a browser refuses a document with either."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _plain(value: object) -> object:
    """JSON for the numpy scalars and paths that reach the open parts of the record."""
    item = getattr(value, "item", None)
    return item() if callable(item) else str(value)


def _arguments(kind: type[Any], data: Json) -> Json:
    """The entries of ``data`` that are fields of ``kind``."""
    return {f.name: data[f.name] for f in fields(kind) if f.name in data}


def _build(kind: type[Any], data: Json | None) -> Any:
    """A ``kind`` from its JSON, or None from None."""
    return None if data is None else kind(**_arguments(kind, data))


def _typed_parts(data: Json) -> Json:
    """The fields of a CompileReport that are not plain JSON."""
    return {
        "source": _build(Source, data["source"]),
        "measurement": _measurement(data["measurement"]),
        "before": _build(GraphSummary, data.get("before")),
        "after": _build(GraphSummary, data.get("after")),
        "effects": tuple(_build(Effect, e) for e in data.get("effects", ())),
        "remarks": tuple(_remark(r) for r in data.get("remarks", ())),
        "dropped": tuple(_build(Dropped, d) for d in data.get("dropped", ())),
        "placement": tuple(data.get("placement", ())),
        "engines": tuple(data.get("engines", ())),
        "shapes": {name: tuple(dims) for name, dims in data.get("shapes", {}).items()},
    }


def _measurement(data: Json) -> Measurement:
    plain = _arguments(Measurement, data)
    plain["samples"] = {name: tuple(values) for name, values in data.get("samples", {}).items()}
    plain["notes"] = tuple(data.get("notes", ()))
    plain["ablation"] = tuple(_build(Ablation, row) for row in data.get("ablation", ()))
    return Measurement(**plain)


def _remark(data: Json) -> Remark:
    return Remark(**_arguments(Remark, data) | {"kind": RemarkKind(data["kind"])})
