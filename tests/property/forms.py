"""Pieces that spell out what passes recognise: normalisations, softmax, attention, rotation, and more."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from tests.property.builder import INT64, Builder, Dim, Value
from tests.property.dense import image


def _tokens(b: Builder, even: int = 1) -> Value | None:
    return b.pick(
        lambda v: (
            v.dtype == b.real and v.rank == 3 and isinstance(v.shape[-1], int) and v.shape[-1] % even == 0
        )
    )


def layer_normalization(b: Builder) -> bool:
    """LayerNormalization from its pieces, with or without a residual before it."""
    x = b.pick(lambda v: v.dtype == b.real and v.rank >= 2 and isinstance(v.shape[-1], int))
    if x is None or x.shape[-1] == 1:
        return False
    width = int(x.shape[-1])
    x = b.binary("Add", x, b.op("Tanh", x)) if b.chance(0.4) else x
    # Features must differ: ONNX Runtime's kernel takes the variance for a difference of two squares, which
    # says nothing about values that are nearly the same.
    x = b.binary("Add", x, b.weight(width, scale=1))
    if b.chance():
        b.keep(x)
    centred = b.binary("Sub", x, b.reduce("ReduceMean", x, (-1,)))
    square = b.op("Mul", centred, centred) if b.chance() else b.op("Pow", centred, b.constant(2.0))
    spread = b.op("Sqrt", b.op("Add", b.reduce("ReduceMean", square, (-1,)), b.constant(1e-3)))
    y = b.binary("Div", centred, spread)
    if b.chance(0.3):
        y = b.binary("Mul", centred, b.op("Reciprocal", spread))
    if b.chance(0.8):
        y = b.binary("Mul", y, b.positive(width))
    if b.chance(0.7):
        y = b.binary("Add", y, b.weight(width))
    b.keep(y)
    return True


def rms_normalization(b: Builder) -> bool:
    """RMSNormalization from its pieces."""
    x = b.pick(lambda v: v.dtype == b.real and v.rank >= 2 and isinstance(v.shape[-1], int))
    if x is None:
        return False
    square = b.op("Pow", x, b.constant(2.0)) if b.chance() else b.op("Mul", x, x)
    root = b.op("Sqrt", b.op("Add", b.reduce("ReduceMean", square, (-1,)), b.constant(1e-3)))
    y = b.binary("Div", x, root) if b.chance() else b.binary("Mul", x, b.op("Reciprocal", root))
    b.keep(b.binary("Mul", y, b.positive(int(x.shape[-1]))))
    return True


def spatial_normalization(b: Builder) -> bool:
    """InstanceNormalization, or GroupNormalization as InstanceNormalization between Reshapes."""
    x = image(b)
    if x is None:
        return False
    n, c, h, w = x.shape
    channels = int(c)
    if channels % 2 or b.chance(0.4):
        b.keep(b.op("InstanceNormalization", x, b.positive(channels), b.weight(channels), epsilon=1e-3))
        return True
    grouped = b.reshape(x, (n, 2, channels // 2 * int(h) * int(w)))
    y = b.op("InstanceNormalization", grouped, b.constant([1.0, 1.0]), b.constant([0.0, 0.0]), epsilon=1e-3)
    y = b.reshape(y, x.shape)
    if b.chance(0.8):
        y = b.binary("Mul", y, b.positive(channels, 1, 1))
        y = b.binary("Add", y, b.weight(channels, 1, 1))
    b.keep(y)
    return True


def softmax(b: Builder) -> bool:
    """Softmax by its name or from Exp and a sum."""
    x = b.pick_float()
    if x is None:
        return False
    axis = x.rank - 1
    if b.chance():
        b.keep(b.op("Softmax", x, axis=axis))
        return True
    shifted = b.binary("Sub", x, b.reduce("ReduceMax", x, (axis,)))
    powers = b.op("Exp", shifted)
    b.keep(b.binary("Div", powers, b.reduce("ReduceSum", powers, (axis,))))
    return True


def attention(b: Builder) -> bool:
    """Attention: heads split by Reshape and Transpose, scale and mask where exporters put them."""
    x = _tokens(b, even=2)
    if x is None or int(x.shape[2]) < 4:
        return False
    n, s, d = x.shape
    width = int(d)
    heads, size = 2, width // 2
    q, k, v = (_heads(b, x, heads, size) for _ in range(3))
    place = b.number(0, 3)
    if place == 0:
        q = b.op("Mul", q, b.constant(size**-0.5))
    elif place == 1:
        q, k = b.op("Mul", q, b.constant(size**-0.25)), b.op("Mul", k, b.constant(size**-0.25))
    kt = b.transpose(k, (0, 1, 3, 2))
    scores = b.op("MatMul", q, kt, shape=(n, heads, s, s))
    if place == 2:
        scores = b.op("Div", scores, b.constant(size**0.5))
    if b.chance(0.4):
        scores = b.binary("Add", scores, b.op("Neg", b.op("Abs", b.weight(heads, 1, 1))))
    weights = b.op("Softmax", scores, axis=b.one_of((-1, 3)))
    mixed = b.transpose(b.op("MatMul", weights, v, shape=(n, heads, s, size)), (0, 2, 1, 3))
    joined = b.op("Reshape", mixed, b.ints(0, 0, width), shape=(n, s, width))
    b.keep(b.op("MatMul", joined, b.weight(width, width), shape=(n, s, width)))
    return True


def _heads(b: Builder, x: Value, heads: int, size: int) -> Value:
    n, s, d = x.shape
    y = b.op("MatMul", x, b.weight(int(d), heads * size), shape=x.shape)
    if b.chance(0.6):
        y = b.binary("Add", y, b.weight(heads * size))
    return b.transpose(b.op("Reshape", y, b.ints(0, 0, heads, size), shape=(n, s, heads, size)), (0, 2, 1, 3))


def rotation(b: Builder) -> bool:
    """The rotary embedding by halves: x · cos + rotate(x) · sin."""
    x = _tokens(b, even=2)
    if x is None:
        return False
    n, s, d = x.shape
    half = int(d) // 2
    end = int(np.iinfo(np.int64).max)
    low = b.op("Slice", x, b.ints(0), b.ints(half), b.ints(2), shape=(n, s, half))
    high = b.op("Slice", x, b.ints(half), b.ints(end), b.ints(2), shape=(n, s, half))
    turned = b.op("Concat", b.op("Neg", high), low, shape=x.shape, axis=-1)
    cos, sin = b.weight(1, 1, int(d), scale=0.7), b.weight(1, 1, int(d), scale=0.7)
    b.keep(b.binary("Add", b.binary("Mul", x, cos), b.binary("Mul", turned, sin)))
    return True


def pixel_shuffle(b: Builder) -> bool:
    """DepthToSpace as Reshape, Transpose, Reshape, or SpaceToDepth the same way."""
    x = image(b)
    if x is None:
        return False
    n, c, h, w = x.shape
    if int(c) % 4 == 0:
        wide = b.reshape(x, (n, int(c) // 4, 2, 2, h, w))
        moved = b.transpose(wide, (0, 1, 4, 2, 5, 3))
        b.keep(b.reshape(moved, (n, int(c) // 4, int(h) * 2, int(w) * 2)))
        return True
    if int(h) % 2 or int(w) % 2:
        return False
    fine = b.reshape(x, (n, c, int(h) // 2, 2, int(w) // 2, 2))
    moved = b.transpose(fine, (0, 1, 3, 5, 2, 4))
    b.keep(b.reshape(moved, (n, int(c) * 4, int(h) // 2, int(w) // 2)))
    return True


def resize(b: Builder) -> bool:
    """Nearest-neighbour upsampling by scales."""
    x = image(b)
    if x is None:
        return False
    n, c, h, w = x.shape
    scales = b.constant([1.0, 1.0, 2.0, 2.0], np.float32)
    modes: dict[str, Any] = {
        "mode": "nearest",
        "nearest_mode": "floor",
        "coordinate_transformation_mode": "asymmetric",
    }
    b.keep(b.op("Resize", x, None, scales, shape=(n, c, int(h) * 2, int(w) * 2), **modes))
    return True


def recurrent(b: Builder) -> bool:
    """An LSTM or a GRU over tokens, with the Transposes exporters put around it."""
    x = _tokens(b)
    if x is None:
        return False
    n, s, d = x.shape
    hidden = b.number(1, 3)
    gates, op_type = b.one_of(((4, "LSTM"), (3, "GRU")))
    w, r = b.weight(1, gates * hidden, int(d)), b.weight(1, gates * hidden, hidden)
    bias = b.weight(1, 2 * gates * hidden) if b.chance() else None
    time_first = b.transpose(x, (1, 0, 2))
    inputs = [time_first, w, r, bias] if bias is not None else [time_first, w, r]
    whole = b.op(op_type, *inputs, shape=(s, 1, n, hidden), hidden_size=hidden)
    flat = b.op("Squeeze", whole, b.ints(1), shape=(s, n, hidden))
    b.keep(b.transpose(flat, (1, 0, 2)))
    return True


def dynamic_quantised(b: Builder) -> bool:
    """DynamicQuantizeLinear, MatMulInteger and the scales after it."""
    x = _tokens(b)
    if x is None or b.real != np.float32:
        return False
    n, s, d = x.shape
    width = b.number(2, 6)
    quantised, scale, zero = b.node("DynamicQuantizeLinear", [x], 3)
    a = Value(quantised, np.dtype(np.uint8), x.shape)
    weight = b.constant(b.rng.integers(-127, 128, (int(d), width)), np.int8)
    zeros: tuple[Value, ...] = (Value(zero, a.dtype, ()), b.constant(0, np.int8))
    shape: tuple[Dim, ...] = (n, s, width)
    whole = b.op("MatMulInteger", a, weight, *zeros, shape=shape, dtype=np.dtype(np.int32))
    real = b.op("Cast", whole, dtype=b.real, to=onnx.TensorProto.FLOAT)
    factor = b.op("Mul", Value(scale, b.real, ()), b.constant(0.01))
    y = b.binary("Mul", real, factor)
    b.keep(b.binary("Add", y, b.weight(width)) if b.chance() else y)
    return True


def embedding(b: Builder) -> bool:
    """Rows of a table by an input of indices, plus those of another table."""
    ids = b.pick(lambda v: v.dtype == INT64 and v in b.inputs and v.rank == 2)
    if ids is None:
        return False
    width = b.one_of((4, 6, 8))
    y = b.op("Gather", b.weight(4, width, scale=1), ids, shape=(*ids.shape, width), dtype=b.real, axis=0)
    if b.chance():
        z = b.op("Gather", b.weight(4, width, scale=1), ids, shape=y.shape, dtype=b.real, axis=0)
        y = b.binary("Add", y, z)
    b.keep(y)
    return True


PIECES = (
    layer_normalization, layer_normalization, rms_normalization, spatial_normalization, softmax, attention,
    attention, rotation, pixel_shuffle, resize, recurrent, dynamic_quantised, embedding,
)  # fmt: skip
