"""Pieces that move data without computing: transposes, reshapes, slices, concatenations, shape arithmetic."""

from __future__ import annotations

import numpy as np

from tests.property.builder import INT64, Builder, Dim, Value


def transposes(b: Builder) -> bool:
    """One to three transposes with something elementwise between them; often they cancel."""
    x = b.pick(lambda v: v.dtype == b.real and 2 <= v.rank <= 5)
    if x is None:
        return False
    perm = [int(i) for i in b.rng.permutation(x.rank)]
    y = b.transpose(x, perm)
    for _ in range(b.number(0, 2)):
        y = _between(b, y)
    if b.chance(0.7):
        y = b.transpose(y, [int(i) for i in np.argsort(perm)])
        if b.chance(0.4) and y.shape == x.shape:
            y = b.binary("Add", y, x)
    b.keep(y)
    return True


def _between(b: Builder, y: Value) -> Value:
    kind = b.number(0, 5)
    if kind == 0:
        return b.op(b.one_of(("Relu", "Sigmoid", "Tanh", "Identity")), y)
    if kind == 1:
        return b.binary("Mul", y, b.scalar(0.5))
    if kind == 2 and isinstance(y.shape[-1], int):
        return b.binary("Add", y, b.weight(y.shape[-1]))
    if kind == 3:
        return b.op("Softmax", y, axis=b.number(-y.rank, y.rank - 1))
    if kind == 4:
        return b.reduce(b.one_of(("ReduceMean", "ReduceMax")), y, [b.number(0, y.rank - 1)])
    (first, second) = b.op("Tanh", y), b.op("Neg", y)
    axis = b.number(0, y.rank - 1)
    shape = list(y.shape)
    shape[axis] = b.sum([y.shape[axis], y.shape[axis]])
    return b.op("Concat", first, second, shape=tuple(shape), axis=axis)


def reshapes(b: Builder) -> bool:
    """A chain of Reshape, Flatten, Squeeze and Unsqueeze, now and then back to where it began."""
    x = b.pick(lambda v: v.dtype == b.real and 1 <= v.rank <= 5)
    if x is None:
        return False
    y = x
    for _ in range(b.number(1, 3)):
        y = _reshaped(b, y)
        if b.chance(0.3):
            y = b.op(b.one_of(("Relu", "Tanh")), y)
    if b.chance(0.4) and b.can_reshape(y, x.shape):
        y = b.reshape(y, x.shape)
    b.keep(y)
    return True


def _reshaped(b: Builder, y: Value) -> Value:
    kind = b.number(0, 3)
    ones = [i for i, d in enumerate(y.shape) if d == 1]
    if kind == 0 and y.rank < 5:
        axis = b.number(0, y.rank)
        shape = (*y.shape[:axis], 1, *y.shape[axis:])
        return b.op("Unsqueeze", y, b.ints(axis if b.chance() else axis - len(shape)), shape=shape)
    if kind == 1 and ones and y.rank > 1:
        axis = b.one_of(ones)
        return b.op("Squeeze", y, b.ints(axis), shape=(*y.shape[:axis], *y.shape[axis + 1 :]))
    if kind == 2 and y.rank >= 2:
        axis = b.number(1, y.rank - 1)
        shape = (b.product(y.shape[:axis]), b.product(y.shape[axis:]))
        return b.op("Flatten", y, shape=shape, axis=axis)
    return _merge_or_split(b, y)


def _merge_or_split(b: Builder, y: Value) -> Value:
    for axis, dim in enumerate(y.shape):
        if isinstance(dim, int) and dim % 2 == 0 and y.rank < 5 and b.chance():
            return b.reshape(y, (*y.shape[:axis], 2, dim // 2, *y.shape[axis + 1 :]))
    if y.rank < 2:
        return b.op("Identity", y)
    axis = b.number(0, y.rank - 2)
    target: tuple[Dim, ...] = (*y.shape[:axis], b.product(y.shape[axis : axis + 2]), *y.shape[axis + 2 :])
    return b.reshape(y, target) if b.can_reshape(y, target) else b.op("Neg", y)


def slices(b: Builder) -> bool:
    """Slices along an axis of known size: whole, in a chain, or pieces put together again."""
    found = _axis(b, 2)
    if found is None:
        return False
    x, axis, size = found
    kind = b.number(0, 3)
    if kind == 0:
        end = b.one_of((size, np.iinfo(np.int64).max))
        y = b.op("Slice", x, b.ints(0), b.ints(int(end)), b.ints(axis), shape=x.shape)
    elif kind == 1:
        y = _slice(b, x, axis, 0, size - 1)
        y = _slice(b, y, axis, 0, size - 1) if b.chance() else y
    elif kind == 2:
        cut = b.number(1, size - 1)
        parts = [_slice(b, x, axis, 0, cut), _slice(b, x, axis, cut, size)]
        y = b.op("Concat", *(parts if b.chance(0.7) else parts[::-1]), shape=x.shape, axis=axis)
    else:
        starts, ends, axes, steps = b.ints(-1), b.ints(np.iinfo(np.int64).min), b.ints(axis), b.ints(-1)
        y = b.op("Slice", x, starts, ends, axes, steps, shape=x.shape)
    b.keep(y)
    return True


def _axis(b: Builder, least: int) -> tuple[Value, int, int] | None:
    x = b.pick(lambda v: v.dtype == b.real and any(isinstance(d, int) and d >= least for d in v.shape))
    if x is None:
        return None
    axis = b.one_of([i for i, d in enumerate(x.shape) if isinstance(d, int) and d >= least])
    return x, axis, b.size([x.shape[axis]])


def _slice(b: Builder, x: Value, axis: int, start: int, end: int) -> Value:
    shape = (*x.shape[:axis], end - start, *x.shape[axis + 1 :])
    return b.op("Slice", x, b.ints(start), b.ints(end), b.ints(axis), shape=shape)


def splits(b: Builder) -> bool:
    """Split and Concat, in order or out of it, with or without work between."""
    found = _axis(b, 2)
    if found is None:
        return False
    x, axis, size = found
    cut = b.number(1, size - 1)
    names = b.node("Split", [x, b.ints(cut, size - cut)], 2, axis=axis)
    shapes = [(*x.shape[:axis], n, *x.shape[axis + 1 :]) for n in (cut, size - cut)]
    parts = [Value(name, x.dtype, shape) for name, shape in zip(names, shapes, strict=True)]
    if b.chance(0.4):
        parts[0] = b.op("Relu", parts[0])
    if b.chance(0.3):
        b.keep(parts[1])
    parts = parts if b.chance(0.7) else parts[::-1]
    b.keep(b.op("Concat", *parts, shape=x.shape, axis=axis))
    return True


def concats(b: Builder) -> bool:
    """A Concat of Concats, of one thing, or of a thing with itself."""
    x = b.pick_float()
    if x is None:
        return False
    axis = b.number(0, x.rank - 1)

    def joined(*parts: Value) -> Value:
        dims = b.sum([p.shape[axis] for p in parts])
        return b.op("Concat", *parts, shape=(*x.shape[:axis], dims, *x.shape[axis + 1 :]), axis=axis)

    inner = joined(x, b.op("Tanh", x)) if b.chance(0.7) else joined(x)
    b.keep(joined(inner, b.op("Neg", x)) if b.chance(0.7) else joined(inner))
    return True


def pads(b: Builder) -> bool:
    """A Pad by nothing, by zeros or of another mode."""
    x = b.pick(lambda v: v.dtype == b.real and 1 <= v.rank <= 4)
    if x is None:
        return False
    before, after = (b.number(0, 1), b.number(0, 1)) if isinstance(x.shape[-1], int) else (0, 0)
    pads = [0] * (x.rank - 1) + [before] + [0] * (x.rank - 1) + [after]
    shape = (*x.shape[:-1], x.shape[-1] + before + after if isinstance(x.shape[-1], int) else x.shape[-1])
    mode = b.one_of(("constant", "edge"))
    b.keep(b.op("Pad", x, b.ints(*pads), shape=shape, mode=mode))
    return True


def gathers(b: Builder) -> bool:
    """Gather by a range, by one index or by a few; after another Gather now and then."""
    found = _axis(b, 2)
    if found is None:
        return False
    x, axis, size = found
    kind = b.number(0, 2)
    if kind == 0:
        index = b.number(-size, size - 1)
        shape = (*x.shape[:axis], *x.shape[axis + 1 :])
        y = b.op("Gather", x, b.constant(index, np.int64), shape=shape, axis=axis)
        if b.chance():
            y = b.op("Unsqueeze", y, b.ints(axis), shape=(*x.shape[:axis], 1, *x.shape[axis + 1 :]))
    else:
        count = size if kind == 1 else b.number(1, size)
        indices = np.arange(count) if kind == 1 or b.chance() else b.rng.integers(0, size, count)
        shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
        y = b.op("Gather", x, b.constant(indices, np.int64), shape=shape, axis=axis)
    if y.rank:
        b.keep(y)
    return True


def expands(b: Builder) -> bool:
    """Expand or Tile before something that broadcasts anyway."""
    x = b.pick(lambda v: v.dtype == b.real and v.rank >= 1)
    if x is None:
        return False
    small = b.reduce("ReduceMean", x, [b.number(0, x.rank - 1)])
    (whole,) = b.node("Shape", [x])
    target = Value(whole, INT64, (x.rank,))
    wide = b.op("Expand", small, target, shape=x.shape)
    if b.chance(0.3):
        wide = b.op("Tile", wide, b.ints(*[1] * x.rank))
    b.keep(b.binary("Sub", x, wide) if b.chance(0.7) else wide)
    return True


def shape_arithmetic(b: Builder) -> bool:
    """A Reshape to a target that is computed: halves, products and slices of the shape."""
    x = b.pick(lambda v: v.dtype == b.real and v.rank >= 2 and isinstance(v.shape[-1], int))
    if x is None:
        return False
    (whole,) = b.node("Shape", [x])
    source = Value(whole, INT64, (x.rank,))
    head = b.op("Slice", source, b.ints(0), b.ints(x.rank - 1), b.ints(0), shape=(x.rank - 1,))
    last = b.op("Gather", source, b.ints(x.rank - 1), shape=(1,), axis=0)
    width = int(x.shape[-1])
    if width % 2 == 0 and b.chance():
        half = b.op("Div", last, b.ints(2), shape=(1,))
        target = b.op("Concat", head, b.ints(2), half, shape=(x.rank + 1,), axis=0)
        shape: tuple[Dim, ...] = (*x.shape[:-1], 2, width // 2)
    elif b.chance():
        target = b.op("Concat", b.op("ReduceProd", head, shape=(1,), keepdims=1), last, shape=(2,), axis=0)
        shape = (b.product(x.shape[:-1]), width)
    else:
        target = b.op("Concat", head, b.op("Mul", last, b.ints(1)), shape=(x.rank,), axis=0)
        shape = x.shape
    b.keep(b.op("Reshape", x, target, shape=shape))
    return True


PIECES = (
    *(transposes, transposes, reshapes, reshapes),
    *(slices, splits, concats, pads, gathers, expands, shape_arithmetic),
)
