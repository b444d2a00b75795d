"""What the ONNX standard says about an operator, in the form the verifier and converter need."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import onnx
import onnx_ir as ir

STANDARD_DOMAINS = frozenset(
    {"", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training", "ai.onnx.preview"}
)

# ONNX Runtime defines these in the standard domain, and its own exporters write them there.
_RUNTIME_OPS = frozenset(
    [
        "Affine",
        "Crop",
        "DynamicSlice",
        "GRUUnit",
        "GivenTensorFill",
        "ImageScaler",
        "LayerNormalization",
        "MeanVarianceNormalization",
        "ParametricSoftplus",
        "Scale",
        "ScaledTanh",
        "SimplifiedLayerNormalization",
        "ThresholdedRelu",
    ]
)


@dataclass(frozen=True)
class Schema:
    """One version of one operator.

    Attributes:
        since: the opset this version came with.
        deprecated: whether the operator is gone since then.
        inputs: fewest and most inputs.
        outputs: fewest and most outputs.
        required: for each fixed input, whether it must be there.
        attributes: their types by name.
        required_attributes: those without a default that must be there.
    """

    since: int
    deprecated: bool
    inputs: tuple[int, int]
    outputs: tuple[int, int]
    required: tuple[bool, ...]
    attributes: Mapping[str, ir.AttributeType]
    required_attributes: frozenset[str]


@cache
def schema(domain: str, op_type: str, version: int) -> Schema | None:
    """The schema in force at ``version`` of ``domain``, or None when the standard has none."""
    try:
        found = onnx.defs.get_schema(op_type, max_inclusive_version=version, domain=domain)
    except onnx.defs.SchemaError:
        return None
    single = onnx.defs.OpSchema.FormalParameterOption.Single
    return Schema(
        since=found.since_version,
        deprecated=found.deprecated,
        inputs=(found.min_input, found.max_input),
        outputs=(found.min_output, found.max_output),
        required=tuple(p.option == single for p in found.inputs),
        attributes={name: _attribute_type(a) for name, a in found.attributes.items()},
        required_attributes=frozenset(name for name, a in found.attributes.items() if a.required),
    )


def _attribute_type(attribute: onnx.defs.OpSchema.Attribute) -> ir.AttributeType:
    return ir.AttributeType[str(attribute.type).rpartition(".")[2]]


def is_runtime_op(op_type: str) -> bool:
    """Whether ONNX Runtime defines ``op_type`` in the standard domain though the standard does not."""
    return op_type in _RUNTIME_OPS


def why_unknown(domain: str, op_type: str, version: int) -> tuple[str, str]:
    """Why ``schema`` found nothing usable: a message and a next step."""
    shown = domain or "ai.onnx"
    versions = _versions(domain).get(op_type, ())
    gone = schema(domain, op_type, version)
    if gone is not None and gone.deprecated:
        return (
            f"{op_type!r} was removed from {shown} in opset {gone.since}, the model uses opset {version}",
            f"export with an opset below {gone.since}",
        )
    if versions:
        return (
            f"{op_type!r} came with opset {min(versions)} of {shown}, the model uses opset {version}",
            f"export with opset {min(versions)} or later",
        )
    near = difflib.get_close_matches(op_type, _versions(domain), n=1)
    guess = f"; did the exporter mean {near[0]!r}?" if near else ""
    return (
        f"{shown} has no operator {op_type!r} in any opset{guess}",
        "a custom operator belongs in a domain of its own",
    )


@cache
def _versions(domain: str) -> dict[str, tuple[int, ...]]:
    found: dict[str, list[int]] = {}
    for entry in onnx.defs.get_all_schemas_with_history():
        if entry.domain == domain and not entry.deprecated:
            found.setdefault(entry.name, []).append(entry.since_version)
    return {name: tuple(versions) for name, versions in found.items()}
