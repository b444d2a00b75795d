"""What is known of each element of the small integer tensors that shapes are computed with.

``Concat(Gather(Shape(x), 0), [-1], [64])`` is ``[batch, -1, 64]``: known up to the sizes of dims. Every value
of at most 64 integers or booleans has such an account; an element that nothing is known about is an atom
of its own, so that it still equals itself.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphopt.ir.element_arithmetic import Array
from graphopt.ir.element_rules import MOST, RULES, as_array, fits
from graphopt.ir.expressions import Element, opaque, parse, size_of

_TRACKED = frozenset({ir.DataType.INT64, ir.DataType.INT32, ir.DataType.BOOL})


class Elements:
    """The elements of the small integer and boolean values of a model, found in one walk over its nodes.

    Args:
        model: graphs in topological order, shapes inferred. It must not change while this is in use,
            except that values may be replaced by equal ones.
    """

    def __init__(self, model: ir.Model) -> None:
        self._found: dict[ir.Value, Array | None] = {}
        self._serials: dict[ir.Value, int] = {}
        for node in model.graph.all_nodes():
            self._visit(node)

    def of(self, value: ir.Value | None) -> Array | None:
        """The elements of ``value`` in its own shape, or None when it is not tracked."""
        if value is None:
            return None
        if value not in self._found:
            self._found[value] = self._source(value)
        return self._found[value]

    def dims(self, value: ir.Value | None) -> tuple[Element, ...] | None:
        """The sizes of ``value``, or None when its rank is unknown."""
        if value is None or value.shape is None:
            return None
        return tuple(self._dim(value, axis, dim) for axis, dim in enumerate(value.shape))

    def _dim(self, value: ir.Value, axis: int, dim: int | ir.SymbolicDim) -> Element:
        if isinstance(dim, int):
            return dim
        return parse(dim.value) if dim.value else size_of(f"#{self._serial(value)}.{axis}")

    def _source(self, value: ir.Value) -> Array | None:
        """The elements of what no tracked node computes: constants by value, others by name."""
        if not _small(value):
            return None
        tensor = None if value.is_graph_input() else ir.convenience.get_const_tensor(value)
        if tensor is not None:
            return as_array(tensor.numpy())
        return self._unknown(value)

    def _unknown(self, value: ir.Value) -> Array:
        assert value.shape is not None  # _small saw to it
        shape = value.shape.numpy()
        serial = self._serial(value)
        found = np.empty(shape, dtype=object)
        for index in np.ndindex(*shape):
            found[index] = opaque(str(serial), *map(str, index))
        return found

    def _serial(self, value: ir.Value) -> int:
        return self._serials.setdefault(value, len(self._serials))

    def _visit(self, node: ir.Node) -> None:
        tracked = [value for value in node.outputs if value.dtype in _TRACKED]
        rule = RULES.get(node.op_type) if tracked and node.domain in ("", "ai.onnx") else None
        if rule is None:
            return
        try:
            results = rule(node, self)
        except (ValueError, IndexError, TypeError):  # operands that do not fit: the model cannot run
            return
        if results is None:
            return
        for value, found in zip(node.outputs, results, strict=False):
            if value.dtype in _TRACKED and found.size <= MOST and fits(found, value.dtype):
                self._found[value] = found


def _small(value: ir.Value) -> bool:
    shape = value.shape
    if shape is None or value.dtype not in _TRACKED or not shape.is_static():
        return False
    return int(np.prod(shape.numpy(), dtype=object)) <= MOST
