"""Turns one spelling of a rule's left side and a drawn case into a model."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from graphopt.rewrite import opfacts
from graphopt.rewrite.attributes import make_attribute
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.infer import infer_outputs
from graphopt.rewrite.pattern import Pattern
from graphopt.rewrite.syntax import Argument, AttrRef, AttrValue, Call, Literal, Name

CANONICAL_OPSET = 23


def instantiate(pattern: Pattern, draw: Draw, opset: int = CANONICAL_OPSET) -> ir.Model:
    """The model ``pattern`` describes: drawn inputs in, the pattern's results out.

    The operands of commutative operators are exchanged, and constants made initializers or Constant
    nodes, at random. Results carry the shapes and types ONNX infers.

    Raises:
        KeyError: the rule's ``draw`` forgot a variable or an attribute of this spelling.
    """
    return _Instance(pattern, draw, opset).model()


@dataclass
class _Instance:
    pattern: Pattern
    draw: Draw
    opset: int
    values: dict[str, ir.Value | None] = field(default_factory=dict)
    inputs: list[ir.Value] = field(default_factory=list)
    initializers: list[ir.Value] = field(default_factory=list)
    nodes: list[ir.Node] = field(default_factory=list)

    def model(self) -> ir.Model:
        for call in self.pattern.calls:
            self._node(call)
        outputs = [self.values[name] for name in self.pattern.outputs]
        graph = ir.Graph(
            self.inputs,
            [value for value in outputs if value is not None],
            nodes=self.nodes,
            initializers=self.initializers,
            opset_imports={"": self.opset, **{c.domain: 1 for c in self.pattern.calls if c.domain}},
            name="before",
        )
        functions = [make(self.opset) for make in self.draw.functions]
        return ir.Model(graph, ir_version=10, functions=functions)

    def _node(self, call: Call) -> None:
        inputs: list[ir.Value | None] = []
        literals: list[tuple[int, Literal]] = []
        for arg in call.inputs:
            if isinstance(arg, Literal):
                literals.append((len(inputs), arg))
                inputs.append(None)
            else:
                inputs.extend(self._argument(arg))
        for index, literal in literals:
            inputs[index] = self._literal(call, index, literal, inputs)
        while inputs and inputs[-1] is None:
            inputs.pop()
        if len(inputs) == 2 and opfacts.is_commutative(*call.key) and self.draw.flag():
            inputs.reverse()
        attributes = [self._attribute(name, value) for name, value in call.attributes]
        outputs = [ir.Value(name=f"unused_{i}" if n is None else n.name) for i, n in enumerate(call.outputs)]
        node = ir.Node(
            call.domain,
            call.op_type,
            inputs,
            [a for a in (*attributes, *self._rest(call)) if a is not None],
            outputs=outputs,
            name=f"{call.op_type}_{len(self.nodes)}",
        )
        infer_outputs(node, self.opset)
        for value in outputs:
            if value.shape is None and value.name in self.draw.results:
                dtype, shape = self.draw.results[value.name]
                value.type, value.shape = ir.TensorType(dtype), ir.Shape(shape)
        self.nodes.append(node)
        self.values.update({str(value.name): value for value in outputs})

    def _argument(self, arg: Argument) -> list[ir.Value | None]:
        if not isinstance(arg, Name) or (arg.optional and arg.name in self.draw.missing):
            return [None]
        if not arg.variadic:
            return [self._variable(arg.name)]
        return [self._variable(f"{arg.name}_{index}") for index in range(self.draw.counts[arg.name])]

    def _variable(self, name: str) -> ir.Value | None:
        if name in self.values:
            return self.values[name]
        if name in self.draw.constants:
            self.values[name] = self._constant(name, self.draw.constants[name])
            return self.values[name]
        array = self.draw.feeds[name]
        dtype = ir.DataType.from_numpy(array.dtype)
        value = ir.Value(name=name, shape=ir.Shape(self.draw.inputs[name]), type=ir.TensorType(dtype))
        self.inputs.append(value)
        self.values[name] = value
        return value

    def _literal(self, call: Call, index: int, literal: Literal, inputs: list[ir.Value | None]) -> ir.Value:
        dtype = literal.dtype
        if dtype is None:
            schema = opfacts.schema(call.domain, call.op_type, self.opset)
            dtype = self.draw.dtype if schema is None else opfacts.literal_dtype(schema, index, inputs)
        array = np.asarray(literal.values).astype(dtype.numpy())
        number = len(self.initializers) + len(self.nodes)
        return self._constant(f"literal_{number}_{index}", array.reshape(()) if literal.is_scalar else array)

    def _constant(self, name: str, array: object) -> ir.Value:
        tensor = ir.tensor(np.asarray(array))
        value = ir.Value(name=name, shape=ir.Shape(tensor.shape.numpy()), type=ir.TensorType(tensor.dtype))
        if self.draw.flag():
            value.const_value = tensor
            self.initializers.append(value)
        else:
            attributes = [ir.AttrTensor("value", tensor)]
            self.nodes.append(ir.Node("", "Constant", (), attributes, outputs=[value], name=f"make_{name}"))
        return value

    def _attribute(self, name: str, value: AttrValue) -> ir.Attr | None:
        plain: object = self.draw.attributes[value.name] if isinstance(value, AttrRef) else value
        return None if plain is None else make_attribute(name, plain)

    def _rest(self, call: Call) -> list[ir.Attr]:
        if call.rest is None:
            return []
        drawn = self.draw.attributes.get(call.rest, {})
        assert isinstance(drawn, dict), f"draw.attribute({call.rest!r}, …) takes a dict"
        return [make_attribute(name, value) for name, value in drawn.items()]
