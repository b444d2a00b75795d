"""Pieces that pick: one-hot products, tables, slices of slices, overwritten elements."""

from __future__ import annotations

import numpy as np
import onnx.helper

from tests.property.builder import BOOL, INT64, Builder, Value


def one_hot_product(b: Builder) -> bool:
    """Rows of a table by Equal with a range, Cast and MatMul."""
    ids = b.pick(lambda v: v.dtype == INT64 and v in b.inputs and v.rank == 2)
    if ids is None:
        return False
    width, count = b.number(2, 6), b.number(3, 5)
    column = b.op("Unsqueeze", ids, b.ints(-1), shape=(*ids.shape, 1))
    rows = b.op("Equal", column, b.ints(*range(count)), shape=(*ids.shape, count), dtype=BOOL)
    element = int(onnx.helper.np_dtype_to_tensor_dtype(b.real))
    real = b.op("Cast", rows, dtype=b.real, to=element)
    b.keep(b.op("MatMul", real, b.weight(count, width), shape=(*ids.shape, width)))
    return True


def slices_of_slices(b: Builder) -> bool:
    """Slices along several axes one after the other, or every part of one value side by side."""
    x = b.pick(
        lambda v: v.dtype == b.real and v.rank >= 2 and isinstance(v.shape[-1], int) and v.shape[-1] >= 4
    )
    if x is None:
        return False
    width = int(x.shape[-1])
    half = width // 2
    if b.chance():
        y = _part(b, x, -1, 0, half)
        other = next((i for i, d in enumerate(x.shape[:-1]) if isinstance(d, int) and d > 1), None)
        y = y if other is None else _part(b, y, other, 0, int(x.shape[other]) - 1)
        b.keep(y)
        return True
    parts = [_part(b, x, -1, 0, half), _part(b, x, -1, half, 2 * half)]
    b.keep(b.binary("Mul", b.op("Sigmoid", parts[0]), parts[1]))
    return True


def _part(b: Builder, x: Value, axis: int, start: int, end: int) -> Value:
    at = axis % x.rank
    shape = (*x.shape[:at], end - start, *x.shape[at + 1 :])
    return b.op("Slice", x, b.ints(start), b.ints(end), b.ints(axis), shape=shape)


def reduced_dims(b: Builder) -> bool:
    """A reduction without its dim, which comes back at once; with a Split into one part on the way."""
    x = b.pick(lambda v: v.dtype == b.real and 2 <= v.rank <= 4)
    if x is None:
        return False
    axis = b.number(0, x.rank - 1)
    y = b.reduce(b.one_of(("ReduceMean", "ReduceSum", "ReduceMax")), x, [axis], keepdims=False)
    y = b.op("Unsqueeze", y, b.ints(axis), shape=(*x.shape[:axis], 1, *x.shape[axis + 1 :]))
    if b.chance(0.4):
        (only,) = b.node("Split", [y, b.ints(1)], 1, axis=axis)
        y = Value(only, y.dtype, y.shape)
    b.keep(b.binary("Sub", x, y))
    return True


def overwritten(b: Builder) -> bool:
    """A ScatterND that overwrites every row of a value."""
    x = b.pick(lambda v: v.dtype == b.real and v.rank >= 1 and isinstance(v.shape[0], int))
    if x is None:
        return False
    rows = np.arange(int(x.shape[0])).reshape(-1, 1)
    zeros = b.op("Mul", x, b.constant(0.0)) if b.chance() else b.op("Neg", x)
    b.keep(b.op("ScatterND", zeros, b.constant(rows, np.int64), b.op("Tanh", x), shape=x.shape))
    return True


def gated_step(b: Builder) -> bool:
    """One step of an LSTM from its gates, with its states as inputs of their own."""
    x = b.pick(lambda v: v.dtype == b.real and v.rank == 2 and isinstance(v.shape[1], int))
    if x is None:
        return False
    n, d = x.shape
    size = b.number(1, 3)
    h, c = b.input((n, size)), b.input((n, size))
    shape = (n, 4 * size)
    sums = b.op("Gemm", x, b.weight(4 * size, int(d)), b.weight(4 * size), shape=shape, transB=1)
    sums = b.op(
        "Add", sums, b.op("Gemm", h, b.weight(4 * size, size), b.weight(4 * size), shape=shape, transB=1)
    )
    names = b.node("Split", [sums, b.ints(*[size] * 4)], 4, axis=1)
    i, f, g, o = (Value(name, b.real, (n, size)) for name in names)
    kept = b.op("Mul", b.op("Sigmoid", f), c)
    cell = b.op("Add", kept, b.op("Mul", b.op("Sigmoid", i), b.op("Tanh", g)))
    b.keep(b.op("Mul", b.op("Sigmoid", o), b.op("Tanh", cell)))
    return True


PIECES = (one_hot_product, slices_of_slices, slices_of_slices, reduced_dims, overwritten, gated_step)
