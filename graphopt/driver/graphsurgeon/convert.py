"""onnx-graphsurgeon graphs out of and into onnx_ir models, for people who edit graphs by hand."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, List  # noqa: UP035 - what the library knows

from graphopt.errors import GraphoptError, ModelError, UsageError
from graphopt.ir.load import Source

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

    from graphopt.driver.graphsurgeon.carry import ModelCarry

_CARRY = "graphopt_carry"


def to_graphsurgeon(model: Source) -> Any:
    """A model as an ``onnx_graphsurgeon.Graph``, to be edited with its functions.

    The graph also remembers what onnx-graphsurgeon has no place for: metadata_props of model, graph,
    nodes and values, doc strings, the model's domain and version, denotations of dims, types that are
    no tensors, inputs with a default, attributes that hold lists of tensors or types. ``from_graphsurgeon``
    puts them back. Weights are copied; ``model`` is left as it is.

    Args:
        model: a path, bytes, a ModelProto or an IR model (at any level).

    Raises:
        ModelError: the model cannot be read, or onnx-graphsurgeon cannot hold it.
        UsageError: onnx-graphsurgeon is not installed.
    """
    import onnx_ir as ir

    from graphopt.driver.graphsurgeon.carry import take_off
    from graphopt.ir.load import load_model
    from graphopt.ir.save import to_proto

    surgeon = _surgeon()
    proto = to_proto(model if isinstance(model, ir.Model) else load_model(model))
    carry = take_off(proto)
    with _refusals("the model cannot be held by onnx-graphsurgeon"):
        graph = surgeon.import_onnx(proto)
    setattr(graph, _CARRY, carry)
    return graph


def from_graphsurgeon(graph: Any, *, original: Source | None = None) -> ir.Model:
    """An ``onnx_graphsurgeon.Graph`` as an IR model, checked, sorted, with what was carried put back.

    What ``to_graphsurgeon`` remembered is matched by name: a value by its own, a node by its first
    output or its node name, as long as the operator is the same. Initializers nothing uses are left
    out, as onnx-graphsurgeon does.

    Args:
        graph: from ``to_graphsurgeon``, from ``onnx_graphsurgeon.import_onnx`` or made by hand; left as it
            is.
        original: the model the graph was made from, for graphs that do not come from ``to_graphsurgeon``
            or were copied since (``graph.copy()`` forgets).

    Raises:
        ModelError: the graph is no valid model; the message names what is wrong.
        UsageError: onnx-graphsurgeon is not installed, or ``graph`` is none of its graphs.
    """
    import onnx_ir as ir

    from graphopt.driver.graphsurgeon.restore import put_back
    from graphopt.ir.load import load_model
    from graphopt.ir.sparse import densify
    from graphopt.ir.structure import check_structure

    surgeon = _surgeon()
    if not isinstance(graph, surgeon.Graph):
        raise UsageError(f"this is a {type(graph).__name__}, not an onnx_graphsurgeon.Graph")
    # Not getattr: the graph logs an error for every name it does not have.
    carry = vars(graph).get(_CARRY) if original is None else _carry_of(original)
    with _refusals("the onnx-graphsurgeon graph cannot be exported"):
        proto = _export(surgeon, graph)
    put_back(proto, carry)
    untyped = [v.name for v in proto.graph.input if v.type.WhichOneof("value") is None]
    if untyped:
        raise ModelError(f"graph input '{untyped[0]}' has no dtype", "set its .dtype and .shape")
    densify(proto)
    check_structure(proto, "the graph")
    with _refusals("the onnx-graphsurgeon graph is no valid model"):
        model = ir.from_proto(proto)
    return load_model(model)


def _carry_of(model: Source) -> ModelCarry:
    import onnx_ir as ir

    from graphopt.driver.graphsurgeon.carry import take_off
    from graphopt.ir.load import load_model
    from graphopt.ir.save import to_proto

    # Without the weights: only what is around them is wanted.
    return take_off(to_proto(model if isinstance(model, ir.Model) else load_model(model), keep_below=1024))


def _export(surgeon: Any, graph: Any) -> onnx.ModelProto:
    imported = {entry.domain for entry in graph.import_domains or ()}
    with _lists_with_a_type(surgeon, graph):
        proto: onnx.ModelProto = surgeon.export_onnx(graph, do_type_check=False)
    # It adds the default domain, at version 1, where the model calls that domain by its long name.
    if "ai.onnx" in imported and "" not in imported:
        for entry in [e for e in proto.opset_import if e.domain == ""]:
            proto.opset_import.remove(entry)
    exporter = surgeon.exporters.onnx_exporter.OnnxExporter
    constants = {tensor.name for tensor in proto.graph.initializer}
    for tensor in graph.outputs:
        # An output that no node computes or reads is exported without its values.
        if isinstance(tensor, surgeon.Constant) and tensor.name not in constants:
            constants.add(tensor.name)
            proto.graph.initializer.append(exporter.export_tensor_proto(tensor))
    return proto


@contextmanager
def _lists_with_a_type(surgeon: Any, graph: Any) -> Iterator[None]:
    """While inside, empty lists among the attributes are references: an export cannot name their type."""
    from graphopt.driver.graphsurgeon.carry import EMPTY_LIST

    hidden: list[tuple[Any, str, object]] = []
    try:
        for owner in _owners(graph):
            for name, value in owner.attrs.items():
                if isinstance(value, list | tuple) and not value:
                    hidden.append((owner, name, value))
        for owner, name, _ in hidden:
            owner.attrs[name] = surgeon.Node.AttributeRef(EMPTY_LIST, List[int])  # noqa: UP006
        yield
    finally:
        for owner, name, value in hidden:
            owner.attrs[name] = value


def _owners(graph: Any) -> Iterator[Any]:
    """Everything with attributes: nodes, those of subgraphs, functions and their nodes."""
    for body in (graph, *graph.functions):
        if hasattr(type(body), "unique_id"):
            yield body
        pending = list(body.nodes)
        while pending:
            node = pending.pop()
            yield node
            pending += [inner for subgraph in node.subgraphs() for inner in subgraph.nodes]


@contextmanager
def _refusals(what: str) -> Iterator[None]:
    """Whatever the library raises is about the graph at hand: one line of it."""
    try:
        yield
    except GraphoptError:
        raise
    except Exception as error:
        lines = str(error).strip().splitlines()
        reason = lines[0] if lines else type(error).__name__
        raise ModelError(f"{what}: {reason[:300]}", "look at the node or tensor it names") from error


def _surgeon() -> Any:
    try:
        return importlib.import_module("onnx_graphsurgeon")
    except ImportError as error:
        raise UsageError(
            "onnx-graphsurgeon is not installed", "pip install 'graphopt[graphsurgeon]'"
        ) from error
