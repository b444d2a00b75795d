"""Whether two subgraphs compute the same, node by node."""

from __future__ import annotations

import onnx_ir as ir

_Map = dict[ir.Value, ir.Value]


def same_graph(a: ir.Graph, b: ir.Graph, known: _Map | None = None) -> bool:
    """Whether two graphs are the same up to the names of what they compute.

    Args:
        a: one subgraph.
        b: another in the same surroundings.
        known: what values of the graphs around ``a`` are called around ``b``; others must be the very same.
    """
    if len(a) != len(b) or len(a.inputs) != len(b.inputs) or len(a.outputs) != len(b.outputs):
        return False
    twins: _Map = {**(known or {}), **dict(zip(a.inputs, b.inputs, strict=True))}
    for x, y in zip(a, b, strict=True):
        if not _same_node(x, y, twins):
            return False
        twins.update(zip(x.outputs, y.outputs, strict=True))
    return all(_same_value(x, y, twins) for x, y in zip(a.outputs, b.outputs, strict=True))


def _same_node(x: ir.Node, y: ir.Node, twins: _Map) -> bool:
    if x.op_identifier() != y.op_identifier() or x.attributes.keys() != y.attributes.keys():
        return False
    if len(x.inputs) != len(y.inputs) or len(x.outputs) != len(y.outputs):
        return False
    if not all(_same_value(v, w, twins) for v, w in zip(x.inputs, y.inputs, strict=True)):
        return False
    return all(_same_attribute(attr, y.attributes[name], twins) for name, attr in x.attributes.items())


def _same_value(x: ir.Value | None, y: ir.Value | None, twins: _Map) -> bool:
    if x is None or y is None:
        return x is y
    if twins.get(x, x) is y:
        return True
    if x.const_value is None or y.const_value is None or x.is_graph_input() or y.is_graph_input():
        return False
    return _same_tensor(x.const_value, y.const_value)


def _same_tensor(x: ir.TensorProtocol, y: ir.TensorProtocol) -> bool:
    if x is y:
        return True
    if x.dtype != y.dtype or tuple(x.shape) != tuple(y.shape):
        return False
    if x.dtype == ir.DataType.STRING:
        return bool((x.numpy() == y.numpy()).all())
    return x.tobytes() == y.tobytes()


def _same_attribute(x: ir.Attr, y: ir.Attr, twins: _Map) -> bool:
    if x.type != y.type or x.is_ref() or y.is_ref():
        return x.is_ref() and y.is_ref() and x.ref_attr_name == y.ref_attr_name
    if x.type == ir.AttributeType.GRAPH:
        return same_graph(x.as_graph(), y.as_graph(), twins)
    if x.type == ir.AttributeType.TENSOR:
        return _same_tensor(x.as_tensor(), y.as_tensor())
    if x.type == ir.AttributeType.GRAPHS:
        pairs = list(zip(x.as_graphs(), y.as_graphs(), strict=False))
        return len(x.as_graphs()) == len(y.as_graphs()) and all(same_graph(g, h, twins) for g, h in pairs)
    return bool(x.value == y.value)
