"""What the lowering functions work with: values of the graph as values of the plan, and steps to add."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.backends.native.dtypes import why_not
from graphopt.backends.native.expression import Expression, operand, operands
from graphopt.backends.native.plan import Attribute, Dim, Dims, Program, Step, Value
from graphopt.rewrite.constants import constant_tensor

Array = npt.NDArray[np.generic]


class Refusal(Exception):
    """The native core has no steps for a node; the message says why, without naming the node."""


class Context:
    """Collects the steps of one graph.

    Attributes:
        steps: so far, in order.
        strict: every dtype must be known; otherwise (asking what could be lowered) unknown ones pass.
    """

    def __init__(self, outer: Context | None = None, *, strict: bool = True) -> None:
        """``outer`` is the context of the graph around a branch."""
        self.steps: list[Step] = []
        self.strict: bool = strict if outer is None else outer.strict
        self._outer = outer
        self._values: dict[ir.Value, Value] = {}

    def find(self, value: ir.Value) -> Value | None:
        """The plan's value for one of the graph, if it has been met."""
        found = self._values.get(value)
        return self._outer.find(value) if found is None and self._outer is not None else found

    def value(self, value: ir.Value | None) -> Value:
        """The plan's value for one of the graph; made when it is met for the first time."""
        if value is None:
            raise Refusal("an input it needs is left out")
        found = self.find(value)
        if found is None:
            found = self._values[value] = _new_value(value)
        return found

    def optional(self, node: ir.Node, index: int) -> Value | None:
        """Input ``index`` of a node, None where it is left out."""
        given = node.inputs[index] if index < len(node.inputs) else None
        return None if given is None else self.value(given)

    def inputs(self, node: ir.Node) -> list[Value | None]:
        """All inputs of a node."""
        return [self.optional(node, index) for index in range(len(node.inputs))]

    def output(self, node: ir.Node, index: int = 0) -> Value:
        """Output ``index`` of a node."""
        return self.value(node.outputs[index])

    def outputs(self, node: ir.Node) -> list[Value | None]:
        """All outputs of a node; None for those nobody reads."""
        return [self.output(node, i) if is_wanted(node, i) else None for i in range(len(node.outputs))]

    def alias(self, value: ir.Value, to: Value) -> None:
        """Let a value of the graph be one the plan has already."""
        self._values[value] = to

    def emit(
        self,
        node: ir.Node,
        op: str,
        inputs: Sequence[Value | None],
        outputs: Sequence[Value | None],
        attributes: Mapping[str, Attribute] | None = None,
        programs: Sequence[Program] = (),
    ) -> Step:
        """Add a step; trailing inputs that are left out are not written.

        Raises:
            Refusal: the operator's kernel does not take these dtypes.
        """
        given = list(inputs)
        while given and given[-1] is None:
            given.pop()
        step = Step(
            node.name or node.op_type, op, given, list(outputs), dict(attributes or {}), list(programs)
        )
        self._check(step)
        self.steps.append(step)
        return step

    def emit_elementwise(self, node: ir.Node, result: Expression, output: Value) -> Step:
        """Add a step that computes one expression per element."""
        step = Step(
            node.name or node.op_type, "elementwise", [*operands([result])], [output], results=[result]
        )
        self._check(step)
        self.steps.append(step)
        return step

    def operand(self, node: ir.Node, index: int) -> Expression:
        """Input ``index`` as an operand of an expression; its dtype must be known."""
        given = node.inputs[index] if index < len(node.inputs) else None
        value = self.value(given)
        if value.dtype is None:
            if self.strict:
                raise Refusal(f"the dtype of '{value.name}' is not known")
            value.dtype = ir.DataType.FLOAT  # asked about the body of a function: any will do
        return operand(value)

    def intermediate(self, name: str, like: Value, dims: Sequence[Dim] | None) -> Value:
        """A new value of the dtype of another."""
        return Value(name, like.dtype, None if dims is None else tuple(dims))

    def constant(self, name: str, array: Array) -> Value:
        """A constant that the graph does not have."""
        tensor = ir.Tensor(np.ascontiguousarray(array), name=name)
        return Value(name, tensor.dtype, tuple(array.shape), tensor)

    def _check(self, step: Step) -> None:
        reason = why_not(step, strict=self.strict)
        if reason:
            raise Refusal(reason)


def is_wanted(node: ir.Node, index: int) -> bool:
    """Whether anybody reads output ``index`` of a node."""
    if index >= len(node.outputs):
        return False
    value = node.outputs[index]
    return bool(value.uses()) or value.is_graph_output()


def rank_of(value: Value) -> int:
    """The rank of a value; Refusal where it is not known."""
    if value.dims is None:
        raise Refusal(f"the rank of '{value.name}' is not known")
    return len(value.dims)


def _new_value(value: ir.Value) -> Value:
    tensor = constant_tensor(value)
    name = value.name or ""
    if tensor is not None:
        return Value(name, tensor.dtype, tuple(int(d) for d in tensor.shape.numpy()), tensor)
    if value.type is not None and not isinstance(value.type, ir.TensorType):
        raise Refusal(f"'{name}' is no tensor but {value.type}")
    return Value(name, value.dtype, dims_of(value.shape))


def dims_of(shape: ir.ShapeProtocol | None) -> Dims | None:
    """A shape as the plan has it."""
    if shape is None:
        return None
    dims: list[Dim] = []
    for dim in shape:
        if isinstance(dim, int):
            dims.append(dim if dim >= 0 else None)
        else:
            dims.append(getattr(dim, "value", None))
    return tuple(dims)


def integer(node: ir.Node, name: str, default: int) -> int:
    """An integer attribute."""
    attr = node.attributes.get(name)
    return default if attr is None or attr.is_ref() else int(attr.as_int())


def real(node: ir.Node, name: str, default: float) -> float:
    """A float attribute; the default, too, is a float32."""
    attr = node.attributes.get(name)
    given = default if attr is None or attr.is_ref() else float(attr.as_float())
    return float(np.float32(given))


def text(node: ir.Node, name: str, default: str) -> str:
    """A string attribute."""
    attr = node.attributes.get(name)
    return default if attr is None or attr.is_ref() else str(attr.as_string())


def integers(node: ir.Node, name: str) -> tuple[int, ...] | None:
    """A list of integers, None where the node does not have it."""
    attr = node.attributes.get(name)
    return None if attr is None or attr.is_ref() else tuple(int(i) for i in attr.as_ints())


def copied_all(node: ir.Node, *names: str) -> dict[str, Attribute]:
    """All attributes of the node, for a kernel that takes them as ONNX does; Refusal where it has others."""
    unknown = sorted(set(node.attributes) - set(names))
    if unknown:
        raise Refusal(f"its {node.op_type} has no attribute {unknown[0]}")
    return copied(node, *names)


def copied(node: ir.Node, *names: str) -> dict[str, Attribute]:
    """Those of the named attributes that the node has, for a kernel that takes them as ONNX does."""
    from graphopt.backends.native.plan import Floats

    found: dict[str, Attribute] = {}
    for name in names:
        attr = node.attributes.get(name)
        if attr is None or attr.is_ref():
            continue
        match attr.type:
            case ir.AttributeType.INT:
                found[name] = int(attr.as_int())
            case ir.AttributeType.FLOAT:
                found[name] = float(attr.as_float())
            case ir.AttributeType.STRING:
                found[name] = str(attr.as_string())
            case ir.AttributeType.INTS:
                found[name] = tuple(int(i) for i in attr.as_ints())
            case ir.AttributeType.FLOATS:
                found[name] = Floats(float(x) for x in attr.as_floats())
            case ir.AttributeType.STRINGS:
                found[name] = ",".join(attr.as_strings())
            case _:
                raise Refusal(f"attribute {name} is {attr.type.name.lower()}")
    return found
