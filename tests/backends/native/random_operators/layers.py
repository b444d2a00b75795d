"""Pieces of networks: what an image or a sequence of tokens goes through."""

from __future__ import annotations

import numpy as np
from onnx.helper import make_node

from tests.backends.native.random_operators.network import Network, Value


def image(b: Network) -> Value | None:
    return b.pick(lambda v: len(v.dims) == 4 and min(v.dims) > 0)


def _conv(b: Network, x: Value) -> Value:
    n, c, h, w = x.dims
    group = b.one_of([g for g in (1, 1, 1, 2, c) if c % g == 0])
    out = group * b.one_of((1, 1, 2)) if group > 1 else b.one_of((1, 3, 4, 8, 16, 17, 33))
    k, stride, dilation = b.one_of((1, 1, 3, 3, 3, 5)), b.one_of((1, 1, 1, 2)), b.one_of((1, 1, 1, 2))
    pad = dilation * (k // 2)
    scale = 1.0 / max(1.0, (c // group * k * k) ** 0.5)
    operands: list[Value | str] = [x, b.weight(out, c // group, k, k, scale=scale)]
    if b.chance():
        operands.append(b.weight(out))
    space = [(s + 2 * pad - dilation * (k - 1) - 1) // stride + 1 for s in (h, w)]
    return b.node(
        "Conv",
        (n, out, *space),
        *operands,
        group=group,
        strides=[stride] * 2,
        dilations=[dilation] * 2,
        pads=[pad] * 4,
    )


def _conv_transpose(b: Network, x: Value) -> Value:
    n, c, h, w = x.dims
    out = b.one_of((1, 3, 8))
    return b.node(
        "ConvTranspose", (n, out, 2 * h, 2 * w), x, b.weight(c, out, 2, 2, scale=0.5), strides=[2, 2]
    )


_UNARY = (
    "Relu",
    "Sigmoid",
    "HardSwish",
    "Gelu",
    "LeakyRelu",
    "Tanh",
    "Abs",
    "Neg",
    "HardSigmoid",
    "Softplus",
    "Mish",
)


def _activation(b: Network, x: Value) -> Value:
    kind = b.rng.integers(5)
    if kind == 0:
        return b.node("Mul", x.dims, x, b.node("Sigmoid", x.dims, x))
    if kind == 1:
        low, high = (b.constant(np.array(v, np.float32)) for v in (-0.5, 1.0))
        return b.node("Clip", x.dims, x, low, high)
    if kind == 2 and len(x.dims) == 4:
        return b.node("PRelu", x.dims, x, b.weight(x.dims[1], 1, 1))
    return b.node(b.one_of(_UNARY), x.dims, x)


def _per_channel(b: Network, x: Value) -> Value:
    c = x.dims[1] if len(x.dims) == 4 else x.dims[-1]
    shapes = ((c, 1, 1), (1, c, 1, 1), ()) if len(x.dims) == 4 else ((c,), ())
    other = b.weight(*b.one_of(shapes))
    pair = (x, other) if b.chance(0.7) else (other, x)
    return b.node(b.one_of(("Add", "Mul", "Sub", "Max")), x.dims, *pair)


def _residual(b: Network, x: Value) -> Value:
    same = [v for v in b.values if v.dims == x.dims]
    return b.node(b.one_of(("Add", "Add", "Mul", "Sub", "Min")), x.dims, x, b.one_of(same))


def _excite(b: Network, x: Value) -> Value:
    n, c, _, _ = x.dims
    if b.chance():
        pooled = b.node("GlobalAveragePool", (n, c, 1, 1), x)
    else:
        pooled = b.node("ReduceMean", (n, c, 1, 1), x, b.ints(2, 3), keepdims=1)
    squeezed = b.node("Conv", (n, 2, 1, 1), pooled, b.weight(2, c, 1, 1, scale=0.5))
    grown = b.node("Conv", (n, c, 1, 1), b.node("Relu", squeezed.dims, squeezed), b.weight(c, 2, 1, 1))
    gate = b.node(b.one_of(("Sigmoid", "HardSigmoid")), grown.dims, grown)
    return b.node("Mul", x.dims, x, gate) if b.chance() else b.node("Mul", x.dims, gate, x)


def _pool(b: Network, x: Value) -> Value:
    n, c, h, w = x.dims
    if min(h, w) < 3:
        return _activation(b, x)
    k, stride = b.one_of((2, 3)), b.one_of((1, 2))
    pad = int(b.chance() and k == 3)
    space = [(s + 2 * pad - k) // stride + 1 for s in (h, w)]
    op = b.one_of(("MaxPool", "AveragePool"))
    return b.node(op, (n, c, *space), x, kernel_shape=[k, k], strides=[stride] * 2, pads=[pad] * 4)


def _resize(b: Network, x: Value) -> Value:
    n, c, h, w = x.dims
    mode = b.one_of(("nearest", "linear"))
    scales = b.constant(np.array([1, 1, 2, 2], np.float32))
    transform = b.one_of(("half_pixel", "asymmetric"))
    return b.node(
        "Resize", (n, c, 2 * h, 2 * w), x, "", scales, mode=mode, coordinate_transformation_mode=transform
    )


def _concat(b: Network, x: Value) -> Value:
    axis = b.one_of((1, 1, 1, *range(len(x.dims)))) % len(x.dims)
    if axis == 0 or (axis > 1 and b.open_space):
        axis = 1
    fits = [
        v for v in b.values if [*v.dims[:axis], *v.dims[axis + 1 :]] == [*x.dims[:axis], *x.dims[axis + 1 :]]
    ]
    parts = [x, *(b.one_of(fits) for _ in range(int(b.rng.integers(1, 4))))]
    parts = [parts[i] for i in b.rng.permutation(len(parts))]
    dims = list(x.dims)
    dims[axis] = sum(p.dims[axis] for p in parts)
    return b.node("Concat", dims, *parts, axis=axis)


def _split(b: Network, x: Value) -> Value:
    axis = 1 if len(x.dims) == 4 else len(x.dims) - 1
    if x.dims[axis] < 2:
        return _activation(b, x)
    first = int(b.rng.integers(1, x.dims[axis]))
    dims = [[*x.dims[:axis], n, *x.dims[axis + 1 :]] for n in (first, x.dims[axis] - first)]
    names = [f"s{len(b.nodes)}_{i}" for i in range(2)]
    b.nodes.append(
        make_node(
            "Split", [x.name, b.ints(first, x.dims[axis] - first)], names, axis=axis, name=f"n{len(b.nodes)}"
        )
    )
    parts = [Value(name, tuple(d)) for name, d in zip(names, dims, strict=True)]
    b.values.append(parts[0])
    return parts[1]


def _slice(b: Network, x: Value) -> Value:
    axis = b.one_of((1, 1, len(x.dims) - 1))
    if b.open_space:
        axis = 1
    n = x.dims[axis]
    step = b.one_of((1, 1, 2, -1))
    places = range(n)[::step] if step < 0 else range(n)[int(b.chance()) if n > 1 else 0 :: step]
    start, end = places[0], n if step > 0 else -n - 1
    dims = list(x.dims)
    dims[axis] = len(places)
    return b.node("Slice", dims, x, *(b.ints(v) for v in (start, end, axis, step)))


def _turned(b: Network, x: Value) -> Value:
    """Something done to the image with its channels last, or another order."""
    perm = b.one_of(((0, 2, 3, 1), (0, 2, 1, 3), (0, 1, 3, 2))) if not b.open_space else (0, 2, 3, 1)
    y = b.node("Transpose", [x.dims[p] for p in perm], x, perm=list(perm))
    for _ in range(int(b.rng.integers(0, 3))):
        kind = b.rng.integers(4)
        if kind == 0:
            y = b.node(b.one_of(_UNARY), y.dims, y)
        elif kind == 1 and not (b.open_space and perm[-1] != 1):
            y = b.node("Add", y.dims, y, b.weight(y.dims[-1]))
        elif kind == 2 and not (b.open_space and perm[-1] != 1):
            inputs = [y, b.weight(y.dims[-1]), b.weight(y.dims[-1])]
            y = b.node("LayerNormalization", y.dims, *inputs, axis=-1, epsilon=1e-2)
        elif not (b.open_space and perm[-1] != 1):
            y = b.node("MatMul", (*y.dims[:-1], y.dims[-1]), y, b.weight(y.dims[-1], y.dims[-1], scale=0.4))
    if b.chance(0.15) and not b.open_space:
        return y
    back = np.argsort(perm)
    return b.node("Transpose", [y.dims[p] for p in back], y, perm=[int(p) for p in back])


def _shuffle(b: Network, x: Value) -> Value:
    n, c, h, w = x.dims
    if b.open_space or c % 2:
        return _activation(b, x)
    y = b.node("Reshape", (n, 2, c // 2, h, w), x, b.ints(0, 2, c // 2, h, w))
    y = b.node("Transpose", (n, c // 2, 2, h, w), y, perm=[0, 2, 1, 3, 4])
    return b.node("Reshape", x.dims, y, b.ints(0, -1, h, w))


def _norm(b: Network, x: Value) -> Value:
    c = x.dims[1]
    kind = b.rng.integers(4)
    if kind == 0:
        v = b.constant(np.asarray(b.rng.uniform(0.5, 2, c), np.float32))
        return b.node("BatchNormalization", x.dims, x, b.weight(c), b.weight(c), b.weight(c), v)
    if kind == 1:
        return b.node("InstanceNormalization", x.dims, x, b.weight(c), b.weight(c), epsilon=1e-2)
    if kind == 2:
        groups = b.one_of([g for g in (1, 2, 4, c) if c % g == 0])
        return b.node(
            "GroupNormalization", x.dims, x, b.weight(c), b.weight(c), num_groups=groups, epsilon=1e-2
        )
    return b.node("LRN", x.dims, x, size=3)


def _move(b: Network, x: Value) -> Value:
    n, c, h, w = x.dims
    kind = b.rng.integers(5)
    if kind == 0 and c % 4 == 0:
        mode = b.one_of(("DCR", "CRD"))
        return b.node("DepthToSpace", (n, c // 4, 2 * h, 2 * w), x, blocksize=2, mode=mode)
    if kind == 1 and h % 2 == 0 and w % 2 == 0 and not b.open_space:
        return b.node("SpaceToDepth", (n, c * 4, h // 2, w // 2), x, blocksize=2)
    if kind == 2:
        chosen = [int(i) for i in b.rng.integers(-c, c, b.one_of((1, c, c + 1)))]
        return b.node("Gather", (n, len(chosen), h, w), x, b.ints(*chosen), axis=1)
    if kind == 3:
        mode = b.one_of(("constant", "edge", "reflect") if min(h, w) > 2 else ("constant", "edge"))
        more = int(mode != "reflect" and b.chance())  # there may be but one channel to reflect
        pads = b.ints(0, 0, 1, 0, 0, more, 0, 2)
        return b.node("Pad", (n, c + more, h + 1, w + 2), x, pads, mode=mode)
    return b.node("Tile", (n, 2 * c, h, w), x, b.ints(1, 2, 1, 1))


def _tokens(b: Network, x: Value) -> Value:
    """The image as a sequence of its positions, something done to it, and back."""
    n, c, h, w = x.dims
    if b.open_space or h * w > 200:
        return _activation(b, x)
    y = b.node("Reshape", (n, c, h * w), x, b.ints(0, c, -1))
    y = b.node("Transpose", (n, h * w, c), y, perm=[0, 2, 1])
    kind = b.rng.integers(4)
    if kind == 0:
        y = b.node("LayerNormalization", y.dims, y, b.weight(c), b.weight(c), axis=-1, epsilon=1e-2)
    elif kind == 1:
        m = b.node("MatMul", (n, h * w, 2 * c), y, b.weight(c, 2 * c, scale=0.5))
        m = b.node("Gelu", m.dims, b.node("Add", m.dims, m, b.weight(2 * c)))
        y = b.node("Add", y.dims, y, b.node("MatMul", y.dims, m, b.weight(2 * c, c, scale=0.3)))
    elif kind == 2:
        q, k, v = (b.node("MatMul", y.dims, y, b.weight(c, c, scale=0.4)) for _ in range(3))
        y = b.node("Attention", y.dims, q, k, v, q_num_heads=1, kv_num_heads=1)
    else:
        y = b.node("Softmax", y.dims, y, axis=b.one_of((1, 2)))
    if b.chance(0.2):
        return y
    y = b.node("Transpose", (n, c, h * w), y, perm=[0, 2, 1])
    return b.node("Reshape", x.dims, y, b.ints(0, c, h, w))


IMAGE_PIECES = (
    _conv, _conv, _conv, _conv_transpose, _activation, _activation, _per_channel, _per_channel, _residual,
    _residual, _excite, _pool, _resize, _concat, _concat, _split, _slice, _turned, _shuffle, _norm, _move,
    _tokens,
)  # fmt: skip
TOKEN_PIECES = (_activation, _per_channel, _residual, _concat, _split, _slice)
