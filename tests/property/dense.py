"""Pieces around products: convolutions and what stands beside them, matrix products, pools, Einsum."""

from __future__ import annotations

from typing import Any

from tests.property.builder import Builder, Dim, Value


def image(b: Builder) -> Value | None:
    """A value of rank 4 with a known number of channels and known space."""
    return b.pick(
        lambda v: (
            v.dtype == b.real
            and v.rank == 4
            and all(isinstance(d, int) for d in v.shape[1:])
            and int(v.shape[2]) * int(v.shape[3]) >= 4
        )
    )


def _per_channel(b: Builder, x: Value) -> Value:
    channels = int(x.shape[1])
    return b.weight(channels, 1, 1) if b.chance() else b.weight(1, channels, 1, 1)


def _batch_norm(b: Builder, x: Value) -> Value:
    channels = int(x.shape[1])
    statistics = [b.positive(channels), b.weight(channels), b.weight(channels), b.positive(channels)]
    return b.op("BatchNormalization", x, *statistics, epsilon=b.one_of((1e-5, 1e-3)))


def _beside(b: Builder, x: Value) -> Value:
    """What is folded into the convolution before or after it."""
    for _ in range(b.number(0, 3)):
        kind = b.number(0, 4)
        if kind == 0:
            x = _batch_norm(b, x)
        elif kind == 1:
            x = b.binary("Mul", x, _per_channel(b, x))
        elif kind == 2:
            x = b.binary(b.one_of(("Add", "Sub")), x, _per_channel(b, x))
        elif kind == 3:
            x = b.binary(b.one_of(("Mul", "Div")), x, b.scalar(2.5))
        else:
            x = b.op(b.one_of(("Relu", "Sigmoid", "HardSwish")), x)
    return x


def convolution(b: Builder) -> bool:
    """Conv or ConvTranspose with Pad before it and scales, biases and BatchNormalization around it."""
    x = image(b)
    if x is None:
        return False
    x = _beside(b, x) if b.chance(0.3) else x
    if b.chance(0.3):
        top, left = b.number(0, 1), b.number(0, 1)
        n, c, h, w = x.shape
        shape = (n, c, int(h) + 2 * top, int(w) + left)
        x = b.op("Pad", x, b.ints(0, 0, top, left, 0, 0, top, 0), b.constant(0.0), shape=shape)
    y = _conv_transpose(b, x) if b.chance(0.25) else _conv(b, x)
    b.keep(_beside(b, y))
    return True


def _conv(b: Builder, x: Value) -> Value:
    n, c, h, w = x.shape
    channels = int(c)
    group = channels if channels > 1 and b.chance(0.25) else 1
    out = channels * b.number(1, 2) if group > 1 else b.number(1, 4)
    k = b.one_of([s for s in (1, 2, 3) if s <= min(int(h), int(w)) + 2])
    pad = b.number(0, 1) if k > 1 and k <= min(int(h), int(w)) else int(k > 1)
    stride = b.number(1, 2)
    height, width = ((int(d) + 2 * pad - k) // stride + 1 for d in (h, w))
    weight = b.weight(out, channels // group, k, k)
    inputs = [x, weight, b.weight(out)] if b.chance() else [x, weight]
    attributes: dict[str, Any] = {"strides": [stride, stride], "pads": [pad] * 4}
    if group > 1 or b.chance():
        attributes["group"] = group
    if b.chance():
        attributes["kernel_shape"] = [k, k]
    return b.op("Conv", *inputs, shape=(n, out, height, width), **attributes)


def _conv_transpose(b: Builder, x: Value) -> Value:
    n, c, h, w = x.shape
    out, k = b.number(1, 3), b.number(1, 2)
    weight = b.weight(int(c), out, k, k)
    inputs = [x, weight, b.weight(out)] if b.chance() else [x, weight]
    return b.op("ConvTranspose", *inputs, shape=(n, out, int(h) * k, int(w) * k), strides=[k, k])


def pool(b: Builder) -> bool:
    """MaxPool or AveragePool after a Pad, or a global one followed by Flatten."""
    x = image(b)
    if x is None:
        return False
    n, c, h, w = x.shape
    if b.chance(0.4):
        y = (
            b.op("GlobalAveragePool", x, shape=(n, c, 1, 1))
            if b.chance()
            else b.reduce("ReduceMean", x, (2, 3))
        )
        b.keep(b.op("Flatten", y, shape=(n, c), axis=1) if b.chance() else y)
        return True
    if b.chance():
        x = b.op("Relu", x)
        x = b.op("Pad", x, b.ints(0, 0, 1, 1, 0, 0, 1, 1), shape=(n, c, int(h) + 2, int(w) + 2))
    height, width = ((int(d) - 2) // 2 + 1 for d in x.shape[2:])
    op_type = b.one_of(("MaxPool", "AveragePool"))
    b.keep(b.op(op_type, x, shape=(n, c, height, width), kernel_shape=[2, 2], strides=[2, 2]))
    return True


def _rows(b: Builder) -> Value | None:
    return b.pick(lambda v: v.dtype == b.real and v.rank >= 2 and isinstance(v.shape[-1], int))


def product(b: Builder) -> bool:
    """MatMul with a weight, a bias, and scales before, after and on the bias."""
    x = _rows(b)
    if x is None:
        return False
    k, n = int(x.shape[-1]), b.number(2, 8)
    if b.chance(0.2):
        x = b.binary("Mul", x, b.weight(k))
    weight = b.weight(k, n, scale=k**-0.5)
    y = b.op("MatMul", x, weight, shape=(*x.shape[:-1], n))
    for _ in range(b.number(0, 3)):
        y = b.binary(b.one_of(("Add", "Mul", "Sub")), y, b.weight(n) if b.chance(0.7) else b.scalar(0.5))
    if b.chance(0.2):
        b.keep(b.op("MatMul", b.op("Tanh", x), weight, shape=(*x.shape[:-1], n)))
    b.keep(y)
    return True


def gemm(b: Builder) -> bool:
    """Gemm with any of its attributes, maybe between Transposes and scales."""
    x = b.pick(lambda v: v.dtype == b.real and v.rank == 2 and isinstance(v.shape[1], int))
    if x is None:
        return False
    rows, k = x.shape[0], int(x.shape[1])
    n = b.number(1, 6)
    attributes: dict[str, Any] = {}
    weight = b.weight(k, n, scale=k**-0.5)
    if b.chance():
        attributes["transB"] = 1
        weight = b.weight(n, k, scale=k**-0.5)
    if b.chance(0.3):
        x = b.transpose(x, (1, 0))
        attributes["transA"] = 1
    if b.chance(0.4):
        attributes["alpha"] = b.one_of((0.5, 2.0, 1.0))
    if b.chance(0.4):
        attributes["beta"] = b.one_of((0.5, 2.0, 0.0))
    inputs = [x, weight, b.weight(n)] if b.chance() else [x, weight]
    y = b.op("Gemm", *inputs, shape=(rows, n), **attributes)
    for _ in range(b.number(0, 2)):
        y = b.binary(b.one_of(("Add", "Mul")), y, b.weight(n))
    b.keep(y)
    return True


def parallel_products(b: Builder) -> bool:
    """Two or three products of one value, joined afterwards or used apart."""
    x = _rows(b)
    if x is None:
        return False
    k, n = int(x.shape[-1]), b.number(2, 4)
    shape: tuple[Dim, ...] = (*x.shape[:-1], n)
    has_bias = b.chance()
    results = []
    for _ in range(b.number(2, 3)):
        y = b.op("MatMul", x, b.weight(k, n, scale=k**-0.5), shape=shape)
        results.append(b.binary("Add", y, b.weight(n)) if has_bias else y)
    first, *others = results
    for other in others:
        first = b.binary("Add", first, b.op(b.one_of(("Tanh", "Sigmoid")), other))
    b.keep(first)
    return True


def einsum(b: Builder) -> bool:
    """An Einsum that is a product, a transpose or a sum."""
    x = b.pick(lambda v: v.dtype == b.real and v.rank == 3 and isinstance(v.shape[-1], int))
    if x is None:
        return False
    n, s, d = x.shape
    width = int(d)
    kind = b.number(0, 3)
    if kind == 0:
        y = b.op("Einsum", x, b.weight(width, 3), shape=(n, s, 3), equation="bsd,de->bse")
    elif kind == 1:
        y = b.op("Einsum", x, b.op("Tanh", x), shape=(n, s, s), equation="bid,bjd->bij")
    elif kind == 2:
        y = b.op("Einsum", x, shape=(n, d, s), equation="bsd->bds")
    else:
        y = b.op("Einsum", x, b.weight(width), shape=(n, s), equation="bsd,d->bs")
    b.keep(y)
    return True


PIECES = (convolution, convolution, convolution, pool, product, product, gemm, parallel_products, einsum)
