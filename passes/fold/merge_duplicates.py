"""MergeDuplicates: compute the same thing once."""

from __future__ import annotations

import hashlib
from collections import ChainMap
from collections.abc import Hashable
from dataclasses import dataclass

import onnx_ir as ir

from graphopt.ir.walk import bodies, graphs, subgraphs
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite import opfacts

_RANDOM = frozenset(
    {
        "Bernoulli",
        "Dropout",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    }
)

# The same bits whichever operand comes first: of the larger of 0 and -0 that cannot be said.
_SYMMETRIC = opfacts.COMMUTATIVE - {"Max", "Min"}


@dataclass(frozen=True)
class MergeDuplicates(Pass):
    """Merge nodes that apply the same operator to the same values, and initializers of equal bytes.

    Before: ``a = Relu(x); b = Relu(x); y = Add(a, b)``.
    After:  ``a = Relu(x); y = Add(a, a)``.
    Needs:  nodes in topological order.
    Keeps:  graph outputs keep their names: a duplicate that is one stays.
    Skips:  random operators, nodes with subgraphs, other domains; initializers that are also inputs.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Merge in order: a merge makes its consumers equal, and they come later."""
        merged = 0
        for graph in graphs(model):
            if isinstance(graph, ir.Graph):
                merged += self._merge_initializers(graph, ctx)
        for root in bodies(model):
            merged += self._merge_nodes(root, ChainMap(), ctx)
        return merged > 0

    def _merge_nodes(
        self, graph: ir.Graph | ir.Function, outer: ChainMap[Hashable, ir.Node], ctx: PassContext
    ) -> int:
        """Merge within ``graph``, and with what the graphs around it computed before: ``outer``."""
        first = outer.new_child()
        merged = 0
        for node in list(graph):
            for inner in subgraphs(node):
                merged += self._merge_nodes(inner, first, ctx)
            key = _node_key(node)
            if key is None:
                continue
            original = first.get(key)
            if original is None:
                original = first[key] = node
            if original is node or any(value.is_graph_output() for value in node.outputs):
                continue
            for old, new in zip(node.outputs, original.outputs, strict=True):
                old.replace_all_uses_with(new)
            graph.remove(node, safe=True)
            ctx.applied(self.name(), node, f"the same as {original.name}")
            merged += 1
        return merged

    def _merge_initializers(self, graph: ir.Graph, ctx: PassContext) -> int:
        by_size: dict[Hashable, list[ir.Value]] = {}
        for value in graph.initializers.values():
            tensor = value.const_value
            if tensor is not None and not value.is_graph_input() and not value.is_graph_output():
                by_size.setdefault((tensor.dtype, tuple(tensor.shape), tensor.nbytes), []).append(value)
        merged = 0
        for group in by_size.values():
            if len(group) > 1:
                merged += self._merge_equal(graph, group, ctx)
        return merged

    def _merge_equal(self, graph: ir.Graph, group: list[ir.Value], ctx: PassContext) -> int:
        first: dict[Hashable, ir.Value] = {}
        merged = 0
        for value in group:
            tensor = value.const_value
            assert tensor is not None
            assert value.name is not None
            original = first.setdefault(_content(tensor), value)
            if original is value:
                continue
            value.replace_all_uses_with(original)
            del graph.initializers[value.name]
            ctx.applied(self.name(), None, f"initializer {value.name} has the bytes of {original.name}")
            merged += 1
        return merged


def _content(tensor: ir.TensorProtocol) -> Hashable:
    if tensor.dtype == ir.DataType.STRING:
        return tuple(tensor.numpy().ravel().tolist())
    return hashlib.blake2b(tensor.tobytes(), digest_size=20).digest()


def _node_key(node: ir.Node) -> Hashable | None:
    """Equal for nodes that compute the same; None for nodes that must not be merged."""
    if node.domain not in ("", "ai.onnx") or node.op_type in _RANDOM:
        return None
    attributes: list[Hashable] = []
    for name in sorted(node.attributes):
        attr = node.attributes[name]
        if attr.is_ref():
            attributes.append((name, "ref", attr.ref_attr_name))
        elif attr.type == ir.AttributeType.TENSOR:
            tensor = attr.as_tensor()
            attributes.append((name, tensor.dtype, tuple(tensor.shape), _content(tensor)))
        elif attr.type in _PLAIN:
            value = attr.value
            attributes.append((name, attr.type, tuple(value) if isinstance(value, list | tuple) else value))
        else:
            return None
    inputs = tuple(None if value is None else id(value) for value in node.inputs)
    if node.op_type in _SYMMETRIC and len(inputs) == 2:
        inputs = tuple(sorted(inputs, key=str))
    # An absent optional output changes what some operators compute (BatchNormalization, MaxPool).
    outputs = tuple(value.name == "" for value in node.outputs)
    return (node.op_type, node.overload, inputs, outputs, tuple(attributes))


_PLAIN = frozenset(
    {
        ir.AttributeType.FLOAT,
        ir.AttributeType.FLOATS,
        ir.AttributeType.INT,
        ir.AttributeType.INTS,
        ir.AttributeType.STRING,
        ir.AttributeType.STRINGS,
    }
)
