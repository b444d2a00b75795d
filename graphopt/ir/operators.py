"""The verifier's rule about operators: each exists at its opset and is used as its schema allows."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from graphopt.ir.schemas import STANDARD_DOMAINS, Schema, is_runtime_op, schema, why_unknown
from graphopt.ir.walk import bodies

Findings = Iterator[tuple[str, str]]
"""What a rule finds: one line that names the culprit, and what to do about it."""

_EXPORT = "export the model again"


def describe(node: ir.Node) -> str:
    """A node as messages name it."""
    outputs = ", ".join(repr(v.name) for v in node.outputs if v.name)
    return f"node {node.name!r} ({node.op_type})" if node.name else f"the {node.op_type} that makes {outputs}"


def known_operators(model: ir.Model) -> Findings:
    """Each operator exists at its opset, with an arity and attributes its schema allows."""
    for owner in bodies(model):
        imports = owner.opset_imports
        for node in owner.all_nodes():
            function = model.functions.get(node.op_identifier())
            if function is not None:
                yield from _call(node, function)
            elif node.domain not in imports:
                hint = "add the domain to the model's opset imports"
                yield f"{describe(node)} is in domain {node.domain!r}, which the model does not import", hint
            elif node.domain in STANDARD_DOMAINS:
                yield from _standard(node, imports[node.domain])


def _call(node: ir.Node, function: ir.Function) -> Findings:
    if len(node.inputs) > len(function.inputs) or len(node.outputs) > len(function.outputs):
        have, most = (len(node.inputs), len(node.outputs)), (len(function.inputs), len(function.outputs))
        yield f"{describe(node)} has {have} inputs and outputs, its function takes at most {most}", _EXPORT


def _standard(node: ir.Node, version: int) -> Findings:
    entry = schema(node.domain, node.op_type, version)
    if entry is None or entry.deprecated:
        if not (node.domain == "" and is_runtime_op(node.op_type)):
            message, hint = why_unknown(node.domain, node.op_type, version)
            yield f"{describe(node)}: {message}", hint
        return
    yield from _arity(node, entry, version)
    for name, attribute in node.attributes.items():
        want = entry.attributes.get(name)
        if want is None and not name.startswith("__"):
            yield f"{describe(node)} has no attribute {name!r} at opset {version}", _EXPORT
        elif want is not None and attribute.type not in (want, ir.AttributeType.UNDEFINED):
            yield f"{describe(node)}: attribute {name!r} is {attribute.type.name}, not {want.name}", _EXPORT
    for name in entry.required_attributes - node.attributes.keys():
        yield f"{describe(node)} lacks its attribute {name!r}", _EXPORT


def _arity(node: ir.Node, entry: Schema, version: int) -> Findings:
    inputs = _length([v is not None for v in node.inputs])
    outputs = _length([bool(v.name) for v in node.outputs])
    if not entry.inputs[0] <= inputs <= entry.inputs[1]:
        yield f"{describe(node)} has {inputs} inputs, opset {version} takes {_range(entry.inputs)}", _EXPORT
    if not entry.outputs[0] <= outputs <= entry.outputs[1]:
        yield (
            f"{describe(node)} has {outputs} outputs, opset {version} gives {_range(entry.outputs)}",
            _EXPORT,
        )
    for index, (value, required) in enumerate(zip(node.inputs[:inputs], entry.required, strict=False)):
        if required and value is None:
            yield f"{describe(node)} lacks its input {index}", _EXPORT


def _length(present: list[bool]) -> int:
    """How many inputs or outputs there are, omitted ones at the end not counted."""
    while present and not present[-1]:
        present.pop()
    return len(present)


def _range(bounds: tuple[int, int]) -> str:
    low, high = bounds
    return f"{low}" if low == high else f"at least {low}" if high >= 1 << 30 else f"{low} to {high}"
