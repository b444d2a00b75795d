"""Is a parsed ModelProto a graph at all: names, scopes, attributes and tensors, before it becomes IR.

These are the faults the IR cannot represent, or would silently paper over. Operators and their
arity are the verifier's business (``ir/verify.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import onnx

from graphopt.errors import ModelError
from graphopt.ir.map_types import has_map, set_aside
from graphopt.ir.tensor_check import check_tensor

_EXPORT_AGAIN = "export the model again"
_VALUE_FIELDS = {
    onnx.AttributeProto.FLOAT: "f",
    onnx.AttributeProto.INT: "i",
    onnx.AttributeProto.STRING: "s",
    onnx.AttributeProto.TENSOR: "t",
    onnx.AttributeProto.GRAPH: "g",
    onnx.AttributeProto.SPARSE_TENSOR: "sparse_tensor",
    onnx.AttributeProto.TYPE_PROTO: "tp",
}
_LIST_FIELDS = {
    onnx.AttributeProto.FLOATS: "floats",
    onnx.AttributeProto.INTS: "ints",
    onnx.AttributeProto.STRINGS: "strings",
    onnx.AttributeProto.TENSORS: "tensors",
    onnx.AttributeProto.GRAPHS: "graphs",
    onnx.AttributeProto.SPARSE_TENSORS: "sparse_tensors",
    onnx.AttributeProto.TYPE_PROTOS: "type_protos",
}
_Body = onnx.GraphProto | onnx.FunctionProto


def check_structure(model: onnx.ModelProto, source: str) -> None:
    """Check what every later stage takes for granted.

    Two old spellings are repaired in place: an attribute without a type (IR version 1) gets the type
    of the field that is set, and ``value_info`` of a type the IR lacks is dropped.

    Args:
        model: parsed, large weights external.
        source: what to call it in messages.

    Raises:
        ModelError: one line naming the first fault.
    """
    _check_header(model, source)
    for function in model.functions:
        _check_function(function)
    _check_calls(model)
    for value in model.graph.input:
        if value.type.WhichOneof("value") is None:
            raise ModelError(f"input {value.name!r} has no type", _EXPORT_AGAIN)
    _check_graph(model.graph, ())


def describe(node: onnx.NodeProto, index: int) -> str:
    """A node as messages name it."""
    return f"node {node.name!r} ({node.op_type})" if node.name else f"node {index} ({node.op_type}, unnamed)"


def _check_header(model: onnx.ModelProto, source: str) -> None:
    if not model.HasField("graph") or not model.ir_version:
        raise ModelError(f"{source} holds no ONNX graph", "pass a file written by an ONNX exporter")
    if not 1 <= model.ir_version <= onnx.IR_VERSION:
        raise ModelError(
            f"{source} has IR version {model.ir_version}, the installed onnx knows up to {onnx.IR_VERSION}",
            "pip install --upgrade onnx",
        )
    _check_opsets(model.opset_import, source)
    seen: dict[str, int] = {entry.domain: entry.version for entry in model.opset_import}
    if "" not in seen and "ai.onnx" not in seen and model.ir_version >= 3 and not seen:
        raise ModelError(f"{source} imports no operator set", _EXPORT_AGAIN)
    newest = onnx.defs.onnx_opset_version()
    version = seen.get("", seen.get("ai.onnx", 1))
    if not 1 <= version <= newest:
        raise ModelError(
            f"{source} uses opset {version}, the installed onnx package knows up to {newest}",
            "pip install --upgrade onnx, or export with an older opset",
        )


def _check_opsets(imports: Iterable[onnx.OperatorSetIdProto], where: str) -> None:
    versions: dict[str, int] = {}
    for entry in imports:
        domain = "" if entry.domain == "ai.onnx" else entry.domain
        if versions.setdefault(domain, entry.version) != entry.version:
            raise ModelError(
                f"{where} imports {domain or 'ai.onnx'!r} at versions {versions[domain]} and {entry.version}",
                _EXPORT_AGAIN,
            )


def _check_function(function: onnx.FunctionProto) -> None:
    where = f"function {function.domain}::{function.name}"
    if not function.name:
        raise ModelError("a function has no name", _EXPORT_AGAIN)
    _check_opsets(function.opset_import, where)
    names = _declare(function, list(function.input), (), where)
    _check_nodes(function, (names,), where)
    _check_outputs(list(function.output), names, (), where)


def _check_calls(model: onnx.ModelProto) -> None:
    """Function names are unique and no function reaches itself."""
    calls: dict[tuple[str, str, str], set[tuple[str, str, str]]] = {}
    for function in model.functions:
        key = (function.domain, function.name, function.overload)
        if key in calls:
            raise ModelError(f"function {function.domain}::{function.name} is defined twice", _EXPORT_AGAIN)
        calls[key] = set(_callees(function.node))
    open_calls = {key: {c for c in callees if c in calls} for key, callees in calls.items()}
    while ready := [key for key, callees in open_calls.items() if not callees]:
        for key in ready:
            del open_calls[key]
        for callees in open_calls.values():
            callees.difference_update(ready)
    if open_calls:
        domain, name, _ = next(iter(open_calls))
        raise ModelError(f"function {domain}::{name} calls itself", "ONNX functions cannot recurse")


def _callees(nodes: Iterable[onnx.NodeProto]) -> Iterable[tuple[str, str, str]]:
    for node in nodes:
        yield (node.domain, node.op_type, node.overload)
        for attribute in node.attribute:
            yield from _callees(attribute.g.node)
            for graph in attribute.graphs:
                yield from _callees(graph.node)


def _check_graph(graph: onnx.GraphProto, outer: tuple[set[str], ...]) -> None:
    where = f"graph {graph.name!r}" if graph.name else "the graph"
    for tensor in graph.initializer:
        if not tensor.name:
            raise ModelError(f"{where} has an initializer without a name", _EXPORT_AGAIN)
        check_tensor(tensor)
    names = _declare(graph, [value.name for value in graph.input], outer, where)
    _check_nodes(graph, (*outer, names), where)
    _check_outputs([value.name for value in graph.output], names, outer, where)
    _check_types(graph, is_main=not outer)


def _declare(body: _Body, inputs: Sequence[str], outer: tuple[set[str], ...], where: str) -> set[str]:
    """Every name ``body`` defines; ModelError when one is defined twice (SSA)."""
    names: set[str] = set()
    for name in inputs:
        if not name and not outer:
            raise ModelError(f"{where} has an input without a name", _EXPORT_AGAIN)
        if name in names:
            raise ModelError(f"{where} has two inputs named {name!r}", "give each input its own name")
        names.add(name)
    if isinstance(body, onnx.GraphProto):
        initializers = [t.name for t in body.initializer]
        if len(set(initializers)) != len(initializers):
            twice = next(n for n in initializers if initializers.count(n) > 1)
            raise ModelError(f"{where} has two initializers named {twice!r}", _EXPORT_AGAIN)
        names.update(initializers)
    for index, node in enumerate(body.node):
        for name in node.output:
            if name in names and name:
                raise ModelError(
                    f"{describe(node, index)} redefines {name!r}: each value may be defined once (SSA)",
                    _EXPORT_AGAIN,
                )
            names.add(name)
    names.discard("")
    return names


def _check_nodes(body: _Body, scopes: tuple[set[str], ...], where: str) -> None:
    innermost, outer = scopes[-1], scopes[:-1]
    for index, node in enumerate(body.node):
        if not node.op_type:
            raise ModelError(f"node {index} of {where} has no operator", _EXPORT_AGAIN)
        for name in node.input:
            if name and name not in innermost and not any(name in scope for scope in outer):
                raise ModelError(
                    f"{describe(node, index)} reads {name!r}, which nothing defines",
                    "check that the export is complete: an input, weight or node is missing",
                )
        if node.attribute:
            _check_attributes(node, index, scopes)


def _check_attributes(node: onnx.NodeProto, index: int, scopes: tuple[set[str], ...]) -> None:
    names: set[str] = set()
    for attribute in node.attribute:
        if not attribute.name or attribute.name in names:
            problem = "an attribute without a name" if not attribute.name else f"{attribute.name!r} twice"
            raise ModelError(f"{describe(node, index)} has {problem}", _EXPORT_AGAIN)
        names.add(attribute.name)
        if attribute.ref_attr_name:
            continue
        if attribute.type == onnx.AttributeProto.UNDEFINED:
            attribute.type = _type_of_set_field(attribute, node, index)
        kind = attribute.type
        field = _VALUE_FIELDS.get(kind)
        if field is not None and not attribute.HasField(field):
            # Protobuf writers that drop zeros leave 0, 0.0 and "" out; a missing tensor or graph is a fault.
            if field in ("t", "g", "sparse_tensor", "tp"):
                raise ModelError(
                    f"{describe(node, index)}: attribute {attribute.name!r} is empty", _EXPORT_AGAIN
                )
        elif kind == onnx.AttributeProto.TENSOR:
            check_tensor(attribute.t)
        elif kind == onnx.AttributeProto.TENSORS:
            for tensor in attribute.tensors:
                check_tensor(tensor)
        elif kind == onnx.AttributeProto.GRAPH:
            _check_graph(attribute.g, scopes)
        elif kind == onnx.AttributeProto.GRAPHS:
            for graph in attribute.graphs:
                _check_graph(graph, scopes)


def _type_of_set_field(
    attribute: onnx.AttributeProto, node: onnx.NodeProto, index: int
) -> onnx.AttributeProto.AttributeType:
    for kind, field in _VALUE_FIELDS.items():
        if attribute.HasField(field):
            return kind
    for kind, field in _LIST_FIELDS.items():
        if len(getattr(attribute, field)):
            return kind
    raise ModelError(f"{describe(node, index)}: attribute {attribute.name!r} has no type", _EXPORT_AGAIN)


def _check_outputs(outputs: list[str], names: set[str], outer: tuple[set[str], ...], where: str) -> None:
    for name in outputs:
        if name in names:
            continue
        if any(name in scope for scope in outer):
            raise ModelError(
                f"{where} returns {name!r}, which belongs to an enclosing graph",
                "put an Identity in the subgraph and return its output",
            )
        raise ModelError(f"output {name!r} of {where} is defined by no node", _EXPORT_AGAIN)


def _check_types(graph: onnx.GraphProto, *, is_main: bool) -> None:
    for value in graph.output if is_main else ():
        if has_map(value.type):
            set_aside(value)
    for value in (*graph.input, *graph.output):
        if has_map(value.type):
            raise ModelError(
                f"{value.name!r} is a map, which graphopt takes only as an output",
                "export without DictVectorizer and the like: pass arrays",
            )
    strange = [i for i, value in enumerate(graph.value_info) if has_map(value.type)]
    for i in reversed(strange):
        del graph.value_info[i]
