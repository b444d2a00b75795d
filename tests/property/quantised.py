"""Pieces with integers for reals: quantised values between operators, and quantised weights."""

from __future__ import annotations

import numpy as np

from tests.property.builder import Builder, Value

_INT8 = np.dtype(np.int8)


def _scale(b: Builder) -> tuple[Value, Value]:
    return b.constant(0.02, b.real), b.constant(0, np.int8)


def _quantise(b: Builder, x: Value, scale: tuple[Value, Value]) -> Value:
    return b.op("QuantizeLinear", x, *scale, dtype=_INT8)


def _dequantise(b: Builder, x: Value, scale: tuple[Value, Value]) -> Value:
    return b.op("DequantizeLinear", x, *scale, dtype=b.real)


def round_trip(b: Builder) -> bool:
    """Quantise and back, with something that only moves data between, once or twice."""
    x = b.pick(lambda v: v.exact and v.dtype == b.real and v.rank >= 2)
    if x is None or b.real != np.float32:
        return False
    scale = _scale(b)
    q = _quantise(b, x, scale)
    for _ in range(b.number(0, 2)):
        kind = b.number(0, 2)
        if kind == 0:
            q = b.transpose(q, range(q.rank)[::-1])
        elif kind == 1 and b.can_reshape(q, (b.product(q.shape),)):
            q = b.reshape(q, (b.product(q.shape),))
        else:
            q = _quantise(b, _dequantise(b, q, scale), scale)
    y = _dequantise(b, q, scale)
    b.keep(b.op("Relu", y) if b.chance() else y)
    return True


def quantised_weight(b: Builder) -> bool:
    """A product with a weight that is kept in int8, per tensor or per column."""
    x = b.pick(lambda v: v.dtype == b.real and v.rank >= 2 and isinstance(v.shape[-1], int))
    if x is None or b.real != np.float32:
        return False
    k, n = int(x.shape[-1]), b.number(2, 5)
    weight = b.constant(b.rng.integers(-127, 128, (k, n)), np.int8)
    if b.chance():
        real = b.op("DequantizeLinear", weight, b.constant(0.01, b.real), shape=(k, n), dtype=b.real)
    else:
        scales = b.constant(b.rng.uniform(0.005, 0.02, n), b.real)
        real = b.op("DequantizeLinear", weight, scales, shape=(k, n), dtype=b.real, axis=1)
    if b.chance(0.3):
        weight_t = b.transpose(real, (1, 0))
        real = b.transpose(weight_t, (1, 0))
    b.keep(b.op("MatMul", x, real, shape=(*x.shape[:-1], n)))
    return True


PIECES = (round_trip, quantised_weight)
