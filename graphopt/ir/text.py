"""A model as text: stable from run to run, one line per node, made for reading, diffing and CHECK lines.

::

    model ir_version=8 producer="pytorch 2.1"
    opset {ai.onnx: 17}
    metadata {author: "someone"}

    graph main (%x: float32[N,3]) -> (%y: float32[N,4]) {
      %w: float32[3,4] = weight {mean 0.01, std 0.2, in [-1, 1]}
      %h: float32[N,4] = MatMul(%x, %w)  # /fc/MatMul
      %y: float32[N,4] = Relu(%h)
    }

An input left out is ``none``, a value without a known type ``?[*]``, a name that is not one word is quoted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import onnx_ir as ir

from graphopt.ir.tensor_text import dtype_text, shape_text, tensor_text, type_text, word

_INDENT = "  "
_DTYPE_ATTRIBUTES = ("to", "dtype", "output_dtype", "stash_type")
_DTYPES = frozenset(int(d) for d in ir.DataType)


def print_model(model: ir.Model, *, statistics: bool = True) -> str:
    """The whole model as text; time and length are linear in nodes plus bytes of weights.

    Args:
        model: any model, legal or not.
        statistics: print mean, spread and range of weights (reads them); off, only tiny ones are read.
    """
    return "\n".join(_model_lines(model, statistics)) + "\n"


def print_graph(graph: ir.Graph | ir.Function, *, statistics: bool = True) -> str:
    """One graph or function as text."""
    return "\n".join(_graph_lines(graph, "", statistics)) + "\n"


def print_node(node: ir.Node) -> str:
    """One node on one line; subgraphs are shown by their size only."""
    return _head(node) + _attributes(node, False) + _trailer(node)


def attribute_text(attr: ir.Attr) -> str:
    """The value of an attribute on one line; weights without statistics, subgraphs by their size."""
    return _attribute(attr, False)


def _model_lines(model: ir.Model, statistics: bool) -> Iterator[str]:
    producer = " ".join(filter(None, (model.producer_name, model.producer_version)))
    yield f"model ir_version={model.ir_version}" + (f" producer={_quoted(producer)}" if producer else "")
    yield f"opset {_opsets(model.opset_imports)}"
    if model.metadata_props:
        pairs = (f"{word(k)}: {_quoted(v)}" for k, v in sorted(model.metadata_props.items()))
        yield "metadata {" + ", ".join(pairs) + "}"
    yield ""
    yield from _graph_lines(model.graph, "", statistics)
    for function in model.functions.values():
        yield ""
        yield from _graph_lines(function, "", statistics)


def _opsets(imports: Mapping[str, int]) -> str:
    return "{" + ", ".join(f"{word(d or 'ai.onnx')}: {v}" for d, v in sorted(imports.items())) + "}"


def _quoted(text: str, limit: int = 120) -> str:
    """A string on one line, escaped, cut when long."""
    return json.dumps(text if len(text) <= limit else text[:limit] + "…", ensure_ascii=False)


def _graph_lines(graph: ir.Graph | ir.Function, indent: str, statistics: bool) -> Iterator[str]:
    """The graph, its constants first; recursion follows the nesting of subgraphs, not their length."""
    inner = indent + _INDENT
    inputs = ", ".join(f"{_value(v)}: {type_text(v)}" for v in graph.inputs)
    outputs = ", ".join(f"{_value(v)}: {type_text(v)}" for v in graph.outputs)
    yield f"{indent}{_title(graph)}({inputs}) -> ({outputs}) {{"
    if isinstance(graph, ir.Graph):
        for value in graph.initializers.values():
            yield inner + _initializer(value, statistics)
    for node in graph:
        yield inner + _head(node) + _attributes(node, statistics) + _trailer(node)
        for name, subgraph in _subgraphs(node):
            yield f"{inner}{_INDENT}{word(name)}:"
            yield from _graph_lines(subgraph, inner + _INDENT * 2, statistics)
    yield indent + "}"


def _title(graph: ir.Graph | ir.Function) -> str:
    if isinstance(graph, ir.Graph):
        return f"graph {word(graph.name)} " if graph.name else "graph "
    name = "::".join(filter(None, (graph.domain, graph.name))) + (
        f":{graph.overload}" if graph.overload else ""
    )
    parameters = [
        word(a.name) if a.value is None else f"{word(a.name)}={_attribute(a, False)}"
        for a in graph.attributes.values()
    ]
    options = f"<{', '.join(parameters)}>" if parameters else ""
    return f"function {word(name)}{options} opset {_opsets(graph.opset_imports)} "


def _value(value: ir.Value | None) -> str:
    if value is None:
        return "none"
    return "%" + word(value.name) if value.name else '%""'


def _initializer(value: ir.Value, statistics: bool) -> str:
    tensor = value.const_value
    if tensor is None:
        return f"{_value(value)}: {type_text(value)} = weight (missing)"
    kind = f"{dtype_text(tensor.dtype)}{shape_text(tensor.shape)}"
    return f"{_value(value)}: {kind} = weight {tensor_text(tensor, statistics)}"


def _head(node: ir.Node) -> str:
    outputs = ", ".join(f"{_value(v)}: {type_text(v)}" if v.name else "none" for v in node.outputs)
    name = "::".join(filter(None, (node.domain, node.op_type)))
    overload = f":{node.overload}" if node.overload else ""
    return f"{outputs} = {word(name + overload)}({', '.join(_value(v) for v in node.inputs)})"


def _trailer(node: ir.Node) -> str:
    return f"  # {word(node.name)}" if node.name else ""


def _attributes(node: ir.Node, statistics: bool) -> str:
    if not node.attributes:
        return ""
    pairs = (f"{word(a.name)}={_attribute(a, statistics)}" for a in _sorted(node))
    return " {" + ", ".join(pairs) + "}"


def _sorted(node: ir.Node) -> list[ir.Attr]:
    return sorted(node.attributes.values(), key=lambda a: a.name)


def _attribute(attr: ir.Attr, statistics: bool) -> str:
    """The value of an attribute; graphs follow the node, so here only their node count is shown."""
    kinds = ir.AttributeType
    if attr.is_ref():
        return f"@{word(attr.ref_attr_name or '')}"
    if attr.type == kinds.TENSOR:
        return _tensor(attr.as_tensor(), statistics)
    if attr.type == kinds.TENSORS:
        return "[" + ", ".join(_tensor(t, statistics) for t in attr.as_tensors()) + "]"
    if attr.type == kinds.GRAPH:
        return f"graph({len(attr.as_graph())})"
    if attr.type == kinds.GRAPHS:
        return "[" + ", ".join(f"graph({len(g)})" for g in attr.as_graphs()) + "]"
    if attr.name in _DTYPE_ATTRIBUTES and attr.type == kinds.INT and attr.value in _DTYPES:
        return dtype_text(ir.DataType(attr.value))
    return _scalar(attr.value)


def _scalar(value: object) -> str:
    if isinstance(value, tuple | list):
        shown = [_scalar(v) for v in value[:16]]
        return "[" + ", ".join(shown) + (f", … {len(value)} in all]" if len(value) > 16 else "]")
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        return _quoted(value)
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def _tensor(tensor: ir.TensorProtocol, statistics: bool) -> str:
    return f"{dtype_text(tensor.dtype)}{shape_text(tensor.shape)}{tensor_text(tensor, statistics)}"


def _subgraphs(node: ir.Node) -> Iterator[tuple[str, ir.Graph]]:
    for attr in _sorted(node):
        if attr.is_ref():
            continue
        if attr.type == ir.AttributeType.GRAPH:
            yield attr.name, attr.as_graph()
        elif attr.type == ir.AttributeType.GRAPHS:
            yield from ((f"{attr.name}[{i}]", g) for i, g in enumerate(attr.as_graphs()))
