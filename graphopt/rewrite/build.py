"""Makes the nodes of a right side."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from graphopt.errors import PassError
from graphopt.rewrite import opfacts
from graphopt.rewrite.attributes import make_attribute, plain, same_value
from graphopt.rewrite.infer import infer_outputs
from graphopt.rewrite.match import Binding, Match
from graphopt.rewrite.parse import parse
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.scope import Scope
from graphopt.rewrite.syntax import Argument, AttrRef, Call, Literal, Name


@dataclass
class Built:
    """A right side as values and nodes that are not yet in the graph.

    Attributes:
        nodes: in topological order.
        constants: new initializers.
        results: what stands for each result of the pattern.
    """

    nodes: list[ir.Node] = field(default_factory=list)
    constants: list[ir.Value] = field(default_factory=list)
    results: dict[str, ir.Value | tuple[ir.Value, ...]] = field(default_factory=dict)


class Builder:
    """Builds one replacement.

    Args:
        replacement: the right side.
        match: what its names stand for.
        outputs: names of the results.
        scope: names in use.
        rule_name: for error messages.
    """

    def __init__(
        self, replacement: Replacement, match: Match, outputs: tuple[str, ...], scope: Scope, rule_name: str
    ) -> None:
        self.replacement = replacement
        self.match = match
        self.outputs = outputs
        self.scope = scope
        self.rule_name = rule_name
        self.built = Built()
        self.in_function = scope.initializer_graph(match.root) is None
        self.base = self._value_of(outputs[0]).name or "value"
        self.env: dict[str, Binding] = {n: v for n, v in match.values.items() if n not in outputs}
        self.env.update(replacement.values)
        for name, array in replacement.constants.items():
            self.env[name] = self._constant(name, array)

    def run(self) -> Built:
        """Make the nodes.

        Raises:
            PassError: the text refers to something neither the match nor the replacement binds, or
                does not define a result.
        """
        for statement in parse(self.replacement.text).statements:
            (term,) = statement.terms
            if isinstance(term, Call):
                self._node(term)
            elif statement.outputs[0] is not None:
                self.env[statement.outputs[0].name] = self._lookup(term)
        for name in self.outputs:
            found = self.env.get(name)
            if found is None:
                raise self._error(f"the right side does not define {name!r}")
            self.built.results[name] = found
        return self.built

    def _node(self, call: Call) -> None:
        opset = self.match.opset
        inputs = self._inputs(call, opset)
        attributes = [self._attribute(call, name, value) for name, value in call.attributes]
        attributes = [attribute for attribute in attributes if attribute is not None]
        if call.rest is not None:
            attributes.extend(_rest(self.match.attributes.get(call.rest)))
        outputs: list[ir.Value] = []
        for name in call.outputs:
            outputs.extend(self._new_values(name))
        node = ir.Node(
            call.domain, call.op_type, inputs, [a for a in attributes if a is not None], outputs=outputs
        )
        if self._is_described(call):
            self._describe(call)
        else:
            infer_outputs(node, opset)
        self.built.nodes.append(node)

    def _is_described(self, call: Call) -> bool:
        """Whether every output takes over the type and shape of a matched value: no need to infer them."""
        for name in call.outputs:
            old = None if name is None or name.name not in self.outputs else self.match.values[name.name]
            values = old if isinstance(old, tuple) else (old,)
            if any(value is None or value.type is None or value.shape is None for value in values):
                return False
        return True

    def _describe(self, call: Call) -> None:
        """Give each output the type and shape of the matched value: the nodes that follow may read it."""
        for name in call.outputs:
            assert name is not None, "every output stands for a matched value"
            for new, old in zip(_flat(self.env[name.name]), _flat(self.match.values[name.name]), strict=True):
                new.type, new.shape = old.type, None if old.shape is None else old.shape.copy()

    def _new_values(self, name: Name | None) -> list[ir.Value]:
        """Values for one output: a result takes the place of the matched one, its name included."""
        if name is None:
            return [ir.Value(name=self.scope.unique(f"{self.base}.unused"))]
        if name.name not in self.outputs:
            value = ir.Value(name=self.scope.unique(f"{self.base}.{name.name}"))
            self.env[name.name] = value
            return [value]
        old = self.match.values[name.name]
        count = len(old) if isinstance(old, tuple) else 1
        made = [ir.Value() for _ in range(count)]
        self.env[name.name] = tuple(made) if isinstance(old, tuple) else made[0]
        return made

    def _inputs(self, call: Call, opset: int) -> list[ir.Value | None]:
        inputs: list[ir.Value | None] = []
        literals: list[tuple[int, Literal]] = []
        for arg in call.inputs:
            if isinstance(arg, Literal):
                literals.append((len(inputs), arg))
                inputs.append(None)
            else:
                inputs.extend(self._argument(arg))
        for index, literal in literals:
            inputs[index] = self._literal(call, index, literal, inputs, opset)
        while inputs and inputs[-1] is None:
            inputs.pop()
        return inputs

    def _argument(self, arg: Argument) -> tuple[ir.Value | None, ...]:
        if not isinstance(arg, Name):
            return (None,)
        if arg.optional and self.env.get(arg.name) is None:
            return (None,)
        found = self._lookup(arg)
        return found if isinstance(found, tuple) else (found,)

    def _lookup(self, name: Name) -> ir.Value | tuple[ir.Value, ...]:
        found = self.env.get(name.name)
        if found is None:
            raise self._error(f"the right side uses {name.name!r}, which is not bound")
        return found

    def _literal(
        self, call: Call, index: int, literal: Literal, inputs: list[ir.Value | None], opset: int
    ) -> ir.Value:
        dtype = literal.dtype
        if dtype is None:
            schema = opfacts.schema(call.domain, call.op_type, opset)
            if schema is None:
                raise self._error(f"{call.op_type} has no schema: spell the type of {literal}")
            try:
                dtype = opfacts.literal_dtype(schema, index, inputs)
            except ValueError as error:
                raise self._error(str(error)) from None
        array = np.asarray(literal.values).astype(dtype.numpy())
        return self._constant("constant", array.reshape(()) if literal.is_scalar else array, dtype)

    def _constant(self, name: str, array: object, dtype: ir.DataType | None = None) -> ir.Value:
        """A new constant: an initializer, or a Constant node where a function cannot hold one."""
        label = self.scope.unique(f"{self.base}.{name}")
        tensor = array if isinstance(array, ir.TensorProtocol) else ir.tensor(np.asarray(array), dtype=dtype)
        value = ir.Value(name=label, shape=ir.Shape(tensor.shape.numpy()), type=ir.TensorType(tensor.dtype))
        if self.in_function:
            self.built.nodes.append(
                ir.Node("", "Constant", (), [ir.AttrTensor("value", tensor)], outputs=[value])
            )
            return value
        value.const_value = tensor
        self.built.constants.append(value)
        return value

    def _attribute(self, call: Call, name: str, value: object) -> ir.Attr | None:
        """The attribute, or None where it is bound to nothing or to the operator's default."""
        if isinstance(value, AttrRef):
            known = {**self.match.attributes, **self.replacement.attributes}
            if value.name not in known:
                raise self._error(f"the right side uses @{value.name}, which is not bound")
            value = known[value.name]
            default = opfacts.defaults(call.domain, call.op_type, self.match.opset).get(name)
            if default is not None and same_value(plain(default), value):
                return None
        return None if value is None else make_attribute(name, value)

    def _value_of(self, name: str) -> ir.Value:
        found = self.match.values[name]
        return found[0] if isinstance(found, tuple) else self.match.value(name)

    def _error(self, what: str) -> PassError:
        return PassError(f"rule {self.rule_name}: {what}")


def _rest(bound: object) -> list[ir.Attr]:
    """Copies of the attributes ``**attrs`` stands for: a node owns its attributes."""
    if not isinstance(bound, tuple):
        return []
    return [
        ir.Attr(a.name, a.type, a.value, doc_string=a.doc_string) for a in bound if isinstance(a, ir.Attr)
    ]


def _flat(bound: Binding) -> tuple[ir.Value, ...]:
    """The values a name stands for."""
    if bound is None:
        return ()
    return bound if isinstance(bound, tuple) else (bound,)
