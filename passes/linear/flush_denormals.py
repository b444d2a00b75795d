"""FlushDenormals: weights too small to be told from zero are zero."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.ir.walk import graphs
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass

_MANTISSA: Mapping[ir.DataType, tuple[npt.DTypeLike, int]] = {
    ir.DataType.FLOAT: (np.uint32, 23),
    ir.DataType.DOUBLE: (np.uint64, 52),
}
"""By element type: the unsigned integer as wide, and how many of its bits are the mantissa."""

_CHUNK = 1 << 18
"""Elements looked at together, so that they stay in the cache."""


@dataclass(frozen=True)
class FlushDenormals(Pass):
    """Write zero for weights smaller than the smallest normal number of their type.

    Processors compute with such numbers many times slower, and what they add to a sum is lost in it.

    Before: ``w = {1.0, 3e-41}``.
    After:  ``w = {1.0, 0.0}``.
    Needs:  float32 or float64 initializers.
    Keeps:  the sign of what becomes zero; tensors without such numbers, untouched and still shared.
    Skips:  initializers that are also inputs or outputs, and half precision, whose small numbers models use.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Look at every initializer; a tensor two of them share stays shared."""
        flushed: dict[ir.TensorProtocol, ir.TensorProtocol] = {}
        changed = 0
        for graph in graphs(model):
            if not isinstance(graph, ir.Graph):
                continue
            for value in graph.initializers.values():
                tensor = value.const_value
                if tensor is None or value.is_graph_input() or value.is_graph_output():
                    continue
                if tensor not in flushed:
                    found = _flushed(tensor)
                    if found is None:
                        continue
                    flushed[tensor] = found
                value.const_value = flushed[tensor]
                ctx.applied(self.name(), None, f"{value.name} had denormal elements")
                changed += 1
        return changed > 0


def _flushed(tensor: ir.TensorProtocol) -> ir.TensorProtocol | None:
    """``tensor`` with zeros for its denormal elements, or None when it has none."""
    if tensor.dtype not in _MANTISSA or tensor.size == 0:
        return None
    integer, mantissa = _MANTISSA[tensor.dtype]
    array = np.ascontiguousarray(tensor.numpy())
    bits = array.reshape(-1).view(integer)
    chunks = range(0, bits.size, _CHUNK)
    if not any(_denormal(bits[start : start + _CHUNK], mantissa).any() for start in chunks):
        return None
    copy = bits.copy()
    for start in chunks:
        part = copy[start : start + _CHUNK]
        part[_denormal(part, mantissa)] &= part.dtype.type(1 << (8 * part.itemsize - 1))
    return ir.tensor(copy.view(array.dtype).reshape(array.shape), name=tensor.name)


def _denormal(bits: npt.NDArray[np.unsignedinteger[npt.NBitBase]], mantissa: int) -> npt.NDArray[np.bool_]:
    """Which of ``bits`` have a zero exponent and a mantissa that is not zero."""
    kind = bits.dtype.type
    without_sign = bits & kind((1 << (8 * bits.itemsize - 1)) - 1)
    found: npt.NDArray[np.bool_] = (without_sign - kind(1)) < kind((1 << mantissa) - 1)
    return found
