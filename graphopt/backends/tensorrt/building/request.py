"""What the building process is asked and what it answers, as plain JSON. Imports no compiler room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from graphopt.backends.engine_options import EngineOptions, ShapeRange

Stage = Literal["parse", "options", "build", "process"]
"""Where a refusal came from: the ONNX parser, what a person asked for, the builder, or the process that
did not live to answer."""


@dataclass(frozen=True)
class Output:
    """What a model returns, according to ONNX.

    Attributes:
        name: of the output.
        dtype: ``float32``, ``int64`` …
        shape: -1 for a size that is not known.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class BuildRequest:
    """One engine to build.

    Attributes:
        library: name of the TensorRT module.
        model: path of an ONNX file; its external data lies beside it.
        plan: path the engine is written to; empty to parse only.
        architectures: ("sm_86", …).
        options: of the engine.
        outputs: what the network must return, as far as it is known: a parser that reads an operator as
            another gives itself away.
    """

    library: str
    model: str
    plan: str
    architectures: tuple[str, ...]
    options: EngineOptions
    outputs: tuple[Output, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The request as plain JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> BuildRequest:
        """The inverse of ``to_json``."""
        options = dict(value["options"])
        options["profiles"] = tuple(
            {
                name: ShapeRange(**{part: tuple(dims) for part, dims in shapes.items()})
                for name, shapes in p.items()
            }
            for p in options["profiles"]
        )
        return cls(
            value["library"],
            value["model"],
            value["plan"],
            tuple(value["architectures"]),
            EngineOptions(**options),
            tuple(Output(one["name"], one["dtype"], tuple(one["shape"])) for one in value["outputs"]),
        )


@dataclass(frozen=True)
class BuildReply:
    """What became of a request.

    Attributes:
        facts: of the engine built; empty when only parsed.
        notes: what TensorRT warned of, one line each.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class BuildRefused(Exception):
    """TensorRT does not take the model.

    Args:
        message: one line, in TensorRT's own words.
        stage: who refused.
        reasons: node name → why; empty where TensorRT named no node.
        indices: as ``reasons``, for nodes of the main graph without a name, by their position.
    """

    def __init__(
        self,
        message: str,
        stage: Stage,
        *,
        reasons: Mapping[str, str] | None = None,
        indices: Mapping[int, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.stage: Stage = stage
        self.reasons: Mapping[str, str] = dict(reasons or {})
        self.indices: Mapping[int, str] = dict(indices or {})
