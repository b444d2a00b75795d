"""Writes the lower precision into a graph: types, converted weights, and a cast at every border."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphopt.ir.walk import all_nodes
from graphopt.passes.precision._borders import Borders, narrow_source
from graphopt.passes.precision._weights import converted
from graphopt.rewrite.constants import constant_tensor
from graphopt.rewrite.scope import Scope

_WIDE = ir.DataType.FLOAT


class Casts:
    """One conversion of one model.

    Args:
        model: changed in place.
        borders: which of its nodes compute in the lower precision.
    """

    def __init__(self, model: ir.Model, borders: Borders) -> None:
        self._model, self._to, self._borders = model, borders.to, borders
        self._scope = Scope(model)
        self._scope.read()
        self._other: dict[ir.Value, ir.Value] = {}
        """A value → the same in the precision it was not made in."""

    def write(self) -> None:
        """Convert every node with the low label; constants that nothing reads any more go."""
        nodes = list(all_nodes(self._model.graph))
        for node in nodes:  # readers first: labels of producers are asked while types are untouched
            for index, value in enumerate(node.inputs):
                if value is not None and value.dtype == _WIDE:
                    self._read(node, index, value)
        for node in nodes:
            if node in self._borders.low:
                self._retype(node)
        for node in nodes:
            _bypass_noop_cast(node)
        for graph in (self._model.graph, *self._model.graph.subgraphs()):
            self._restore_outputs(graph)
            _drop_constants(graph)

    def _read(self, node: ir.Node, index: int, value: ir.Value) -> None:
        low = self._borders.reads_low(node, index)
        if low == self._borders.is_low(value):
            return
        node.replace_input_with(index, self._in_other_precision(value, self._to if low else _WIDE))

    def _in_other_precision(self, value: ir.Value, dtype: ir.DataType) -> ir.Value:
        if value not in self._other:
            tensor = constant_tensor(value)
            source = narrow_source(value, dtype)
            if source is not None:
                self._other[value] = source
            elif tensor is None:
                self._other[value] = self._cast(value, dtype, f"{value.name}.{dtype.name.lower()}")
            else:
                self._other[value] = self._constant(value, tensor)
        return self._other[value]

    def _constant(self, value: ir.Value, tensor: ir.TensorProtocol) -> ir.Value:
        name = self._scope.unique(f"{value.name}.{self._to.name.lower()}")
        made = ir.Value(
            name=name,
            shape=ir.Shape(tensor.shape.numpy()),
            type=ir.TensorType(self._to),
            const_value=converted(tensor, self._to, name),
        )
        owner = value.graph if isinstance(value.graph, ir.Graph) else None
        (owner or self._model.graph).register_initializer(made)
        return made

    def _cast(self, value: ir.Value, dtype: ir.DataType, name: str) -> ir.Value:
        unique = self._scope.unique(name)
        cast = ir.node("Cast", [value], {"to": int(dtype)}, name=unique)
        made = cast.outputs[0]
        made.name = unique
        made.type = ir.TensorType(dtype)
        made.shape = None if value.shape is None else value.shape.copy()
        producer = value.producer()
        if producer is not None:
            assert isinstance(producer.graph, ir.Graph)
            cast.metadata_props.update(producer.metadata_props)
            producer.graph.insert_after(producer, cast)
            return made
        owner = value.graph
        assert isinstance(owner, ir.Graph)
        first = next(iter(owner), None)
        if first is None:
            owner.append(cast)
        else:
            owner.insert_before(first, cast)
        return made

    def _retype(self, node: ir.Node) -> None:
        for index in self._borders.candidates[node].outputs:
            node.outputs[index].type = ir.TensorType(self._to)
        if node.op_type == "Cast" and self._borders.candidates[node].outputs:
            node.attributes["to"] = ir.AttrInt64("to", int(self._to))
        if node.op_type == "ConstantOfShape" and "value" not in node.attributes:
            node.attributes["value"] = ir.AttrTensor("value", ir.Tensor(np.zeros(1, self._to.numpy())))
        elif node.op_type in ("ConstantOfShape", "Constant"):
            _retype_constant(node, self._to)

    def _restore_outputs(self, graph: ir.Graph) -> None:
        """A graph's outputs keep their names and types: a cast makes them."""
        for index, output in enumerate(graph.outputs):
            node = output.producer()
            if node is None or node not in self._borders.low or output.dtype != self._to:
                continue
            wide = self._other.get(output)
            if wide is None:
                wide = self._cast(output, _WIDE, f"{output.name}.float")
                self._other[output] = wide
            if wide.is_graph_output():  # one value twice among the outputs
                graph.outputs[index] = wide
                continue
            name = output.name
            output.name = self._scope.unique(f"{name}.{self._to.name.lower()}")
            wide.name = name
            wide.shape = None if output.shape is None else output.shape.copy()
            wide.metadata_props.update(output.metadata_props)
            graph.outputs[index] = wide


def _bypass_noop_cast(node: ir.Node) -> None:
    """A cast of the model's own to what its operand is now."""
    if node.op_type != "Cast" or node.domain != "" or node.outputs[0].is_graph_output():
        return
    source = node.inputs[0]
    if source is None or source.dtype is None or int(source.dtype) != node.attributes["to"].as_int():
        return
    node.outputs[0].replace_all_uses_with(source)
    assert node.graph is not None
    node.graph.remove(node, safe=True)


def _retype_constant(node: ir.Node, to: ir.DataType) -> None:
    for name, attribute in list(node.attributes.items()):
        if attribute.type == ir.AttributeType.TENSOR and not attribute.is_ref():
            tensor = attribute.as_tensor()
            node.attributes[name] = ir.AttrTensor(name, converted(tensor, to, tensor.name or name))


def _drop_constants(graph: ir.Graph) -> None:
    for name, value in list(graph.initializers.items()):
        if not value.uses() and not value.is_graph_output() and not value.is_graph_input():
            del graph.initializers[name]
