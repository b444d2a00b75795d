"""What an adapter may look at and do while it upgrades one node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import onnx_ir as ir


class Refused(Exception):
    """A node cannot be said in the newer opset; the message is the reason."""


Edit = Callable[[], None]
"""Performs one node's upgrade. Adapters look first and return this; nothing changes until all have agreed."""


@dataclass
class Scene:
    """One conversion of one model.

    Attributes:
        infer: runs shape inference on the model at its old opset; called once, when first needed.
    """

    infer: Callable[[], object]
    _inferred: bool = field(default=False, init=False)

    def rank(self, value: ir.Value | None) -> int | None:
        """Rank of a value, or None when it cannot be told."""
        if value is not None and value.shape is None:
            self._infer()
        return None if value is None or value.shape is None else len(value.shape)

    def dtype(self, value: ir.Value | None) -> ir.DataType:
        """Element type of a value; Refused when it cannot be told."""
        if value is not None and value.dtype is None:
            self._infer()
        if value is None or value.dtype is None:
            raise Refused("the type of its input is unknown")
        return value.dtype

    def _infer(self) -> None:
        if not self._inferred:
            self._inferred = True
            self.infer()


def plain(node: ir.Node, name: str) -> ir.Attr | None:
    """The attribute, or None when it is absent; Refused when it is a function's parameter."""
    attribute = node.attributes.get(name)
    if attribute is not None and attribute.is_ref():
        raise Refused(f"its attribute {name!r} is a parameter of the function")
    return attribute


def ints(node: ir.Node, name: str) -> tuple[int, ...] | None:
    """An attribute of integers, or None."""
    attribute = plain(node, name)
    return None if attribute is None else tuple(attribute.as_ints())


def number(node: ir.Node, name: str, default: int) -> int:
    """An integer attribute."""
    attribute = plain(node, name)
    return default if attribute is None else attribute.as_int()


def real(node: ir.Node, name: str, default: float) -> float:
    """A float attribute."""
    attribute = plain(node, name)
    return default if attribute is None else attribute.as_float()


def text(node: ir.Node, name: str, default: str) -> str:
    """A string attribute."""
    attribute = plain(node, name)
    return default if attribute is None else attribute.as_string()


def known(value: ir.Value | None) -> npt.NDArray[np.generic] | None:
    """The value of a constant, or None: an initializer that is also an input can be overridden."""
    if value is None or value.is_graph_input():
        return None
    if value.const_value is not None:
        return value.const_value.numpy()
    producer = value.producer()
    if producer is None or producer.op_type != "Constant" or producer.domain != "":
        return None
    tensor = ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy()


def constant(before: ir.Node, array: npt.NDArray[np.generic], dtype: ir.DataType | None = None) -> ir.Value:
    """A Constant node in front of ``before``; lift-constants makes it an initializer where that is legal."""
    tensor = ir.Tensor(array, dtype)
    node = ir.node("Constant", [], attributes={"value": tensor})
    result = node.outputs[0]
    result.type = ir.TensorType(tensor.dtype)
    result.shape = ir.Shape(array.shape)
    insert_before(before, node)
    return result


def int64s(before: ir.Node, numbers: Sequence[int]) -> ir.Value:
    """A one-dimensional constant of integers in front of ``before``."""
    return constant(before, np.array(numbers, np.int64))


def insert_before(node: ir.Node, *new: ir.Node) -> None:
    """Put nodes in front of another one of the same graph."""
    graph = node.graph
    if graph is None:
        raise Refused("it belongs to no graph")
    graph.insert_before(node, list(new))


def set_inputs(node: ir.Node, values: Sequence[ir.Value | None]) -> None:
    """Replace all inputs of a node."""
    node.resize_inputs(len(values))
    for index, value in enumerate(values):
        node.replace_input_with(index, value)


def drop(node: ir.Node, *names: str) -> None:
    """Remove attributes."""
    for name in names:
        node.attributes.pop(name, None)


def unused(value: ir.Value) -> bool:
    """Whether nothing reads or returns a value."""
    return not value.uses() and not value.is_graph_output()
