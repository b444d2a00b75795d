"""The lowest opset at which a model, node for node as it is, means the same.

Runtimes lag behind the standard: ONNX Runtime 1.31 has no RoiAlign of opset 22, though it differs from
opset 16's by its types alone, and computes AveragePool of opset 19 and later up to nine times slower than
opset 11's. A backend may hand such a runtime the same nodes under a lower number.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import onnx
import onnx_ir as ir

from graphopt.ir.opset.convert import ADAPTERS, widens
from graphopt.ir.schemas import Schema, schema
from graphopt.ir.walk import bodies


def lowest_opset(model: ir.Model, at_least: int = 18) -> int:
    """The lowest number the standard opset of ``model`` and its functions can carry.

    Every node must have at that opset a version of its operator that takes its attributes, its inputs
    and outputs and their types, and that the model's own version only widens.

    Args:
        model: its values typed; not changed.
        at_least: do not look below. Around 18 the last attributes became inputs.

    Returns:
        A number from ``at_least`` to the model's own opset.
    """
    own = model.opset_imports.get("", at_least)
    lowest = min(at_least, own)
    for body in bodies(model):
        for node in body.all_nodes():
            if node.domain == "" and node.op_identifier() not in model.functions:
                lowest = max(lowest, _lowest_of(node, body.opset_imports.get("", own), lowest))
    return lowest


def _lowest_of(node: ir.Node, own: int, start: int) -> int:
    now = schema("", node.op_type, own)
    if now is None or now.since <= start:
        return start
    until = ADAPTERS[node.op_type][0] if node.op_type in ADAPTERS else 0
    version = now.since
    while version > start:
        older = schema("", node.op_type, version - 1)
        if older is None or older.deprecated or version - 1 < until:
            break
        if not widens(node.op_type, older.since, now.since) or not _fits(node, older):
            break
        version = max(older.since, start)
    return version


def _fits(node: ir.Node, older: Schema) -> bool:
    if not node.attributes.keys() <= older.attributes.keys():
        return False
    if len(node.inputs) > older.inputs[1] or len(node.outputs) > older.outputs[1]:
        return False
    inputs, outputs = _types(node.op_type, older.since)
    pairs = [*_paired(node.inputs, inputs), *_paired(node.outputs, outputs)]
    return all(_type_name(value) in allowed for value, allowed in pairs if value is not None)


def _paired(
    values: Sequence[ir.Value | None], allowed: tuple[frozenset[str], ...]
) -> list[tuple[ir.Value | None, frozenset[str]]]:
    """Each value with the types its parameter takes; the last parameter may repeat."""
    return [(value, allowed[min(i, len(allowed) - 1)]) for i, value in enumerate(values) if allowed]


@cache
def _types(op_type: str, version: int) -> tuple[tuple[frozenset[str], ...], tuple[frozenset[str], ...]]:
    found = onnx.defs.get_schema(op_type, max_inclusive_version=version, domain="")
    inputs = tuple(frozenset(p.types) for p in found.inputs)
    return inputs, tuple(frozenset(p.types) for p in found.outputs)


_SPELLINGS = {
    "FLOAT": "float",
    "DOUBLE": "double",
    "FLOAT16": "float16",
    "BFLOAT16": "bfloat16",
    "BOOL": "bool",
}


def _type_name(value: ir.Value) -> str:
    """A value's type as schemas spell it; empty when unknown, which no schema takes."""
    if not isinstance(value.type, ir.TensorType):
        return ""
    name = value.type.dtype.name
    return f"tensor({_SPELLINGS.get(name, name.lower())})"
