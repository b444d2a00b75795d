"""Sizes: how large each value is once symbolic dimensions are bound to numbers."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import onnx_ir as ir

Dims = tuple[int, ...]


class Sizes:
    """Dimensions, elements and bytes of values under one binding of symbolic dimensions.

    Args:
        bindings: symbol → extent. An unnamed, unbound or negative dimension makes a value's size unknown.
    """

    def __init__(self, bindings: Mapping[str, int] | None = None) -> None:
        self._bindings = dict(bindings or {})
        self._expressions: dict[str, int | None] = {}

    def dims(self, value: ir.Value | None) -> Dims | None:
        """Extents of ``value``, or None when one is unknown."""
        if value is None:
            return None
        shape: ir.ShapeProtocol | None = value.shape
        if shape is None:
            tensor = constant(value)
            if tensor is None:
                return None
            shape = tensor.shape
        found = [self._extent(dim) for dim in shape]
        return None if None in found else tuple(d for d in found if d is not None)

    def elements(self, value: ir.Value | None) -> int | None:
        """Number of elements, or None when unknown."""
        dims = self.dims(value)
        return None if dims is None else prod(dims)

    def nbytes(self, value: ir.Value | None) -> int | None:
        """Bytes of the elements, sub-byte types packed; None when unknown (strings, sequences too)."""
        if value is None or isinstance(value.type, ir.SequenceType | ir.OptionalType):
            return None
        elements, bits = self.elements(value), bit_width(dtype_of(value))
        return None if elements is None or bits is None else (elements * bits + 7) // 8

    def _extent(self, dim: object) -> int | None:
        if isinstance(dim, int):
            return dim if dim >= 0 else None
        name = getattr(dim, "value", None)
        if name is None:
            return None
        if name in self._bindings:
            return self._bindings[name]
        if name.isidentifier() or not isinstance(dim, ir.SymbolicDim):
            return None
        if name not in self._expressions:
            self._expressions[name] = self._evaluate(dim)
        return self._expressions[name]

    def _evaluate(self, dim: ir.SymbolicDim) -> int | None:
        """An expression such as ``floor((seq + 1)/2)``; names that are no expressions are unknown."""
        try:
            result = dim.evaluate(self._bindings)
        except Exception:
            return None
        return result if isinstance(result, int) and result >= 0 else None


def constant(value: ir.Value) -> ir.TensorProtocol | None:
    """The tensor behind a value: an initializer, or what a Constant node holds as a tensor."""
    if value.const_value is not None:
        return value.const_value
    producer = value.producer()
    if producer is None or producer.op_type != "Constant":
        return None
    attr = producer.attributes.get("value")
    return None if attr is None or attr.is_ref() else attr.as_tensor()


def dtype_of(value: ir.Value) -> ir.DataType | None:
    """Element type of a value, looked up in its constant where the graph does not say."""
    if value.dtype is not None:
        return value.dtype
    tensor = constant(value)
    return None if tensor is None else tensor.dtype


def bit_width(dtype: ir.DataType | None) -> int | None:
    """Bits of one element, or None for strings and unknown types."""
    if dtype is None or dtype.is_string() or dtype == ir.DataType.UNDEFINED:
        return None
    return dtype.bitwidth
