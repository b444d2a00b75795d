"""Call: a node as a cost formula sees it; asking for a size that is not known ends the formula."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TypeVar

import onnx_ir as ir

from graphopt.ir.analyses.sizes import Dims, Sizes, constant

T = TypeVar("T")


class Unknown(Exception):
    """A formula needs a size, a type or a value that the graph does not tell."""


class Call:
    """One node with the sizes of its operands.

    Args:
        node: the node.
        sizes: resolves dimensions.
    """

    def __init__(self, node: ir.Node, sizes: Sizes) -> None:
        self.node = node
        self._sizes = sizes

    def has(self, index: int) -> bool:
        """Whether input ``index`` is given."""
        return index < len(self.node.inputs) and self.node.inputs[index] is not None

    def dims(self, index: int) -> Dims:
        """Extents of input ``index``; raises Unknown."""
        return _known(self._sizes.dims(self.node.inputs[index]) if self.has(index) else None)

    def size(self, index: int) -> int:
        """Elements of input ``index``; raises Unknown."""
        return prod(self.dims(index))

    def out(self, index: int = 0) -> Dims:
        """Extents of output ``index``; raises Unknown."""
        outputs = self.node.outputs
        return _known(self._sizes.dims(outputs[index]) if index < len(outputs) else None)

    def out_size(self, index: int = 0) -> int:
        """Elements of output ``index``; raises Unknown."""
        return prod(self.out(index))

    def integer(self, name: str, default: int | None = None) -> int:
        """An INT attribute; raises Unknown when it is absent and has no default."""
        attr = self.node.attributes.get(name)
        if attr is None or attr.is_ref() or attr.type != ir.AttributeType.INT:
            return _known(default)
        return attr.as_int()

    def integers(self, name: str) -> Dims | None:
        """An INTS attribute, or None."""
        attr = self.node.attributes.get(name)
        if attr is None or attr.is_ref() or attr.type != ir.AttributeType.INTS:
            return None
        return tuple(attr.as_ints())

    def string(self, name: str, default: str) -> str:
        """A STRING attribute."""
        attr = self.node.attributes.get(name)
        if attr is None or attr.is_ref() or attr.type != ir.AttributeType.STRING:
            return default
        return attr.as_string()

    def scalar(self, index: int) -> int:
        """The one element of a constant integer input; raises Unknown."""
        value = self.node.inputs[index] if self.has(index) else None
        tensor = None if value is None else constant(value)
        if tensor is None or tensor.size != 1:
            raise Unknown
        return int(tensor.numpy().reshape(-1)[0])


Formula = Callable[[Call], int]


def _known(value: T | None) -> T:
    if value is None:
        raise Unknown
    return value
