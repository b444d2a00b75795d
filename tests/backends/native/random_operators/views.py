"""Views, concatenations, and what looks at shapes alone."""

from __future__ import annotations

import numpy as np

from tests.backends.native.random_operators.draw import EVERY, F32, I64, Array, Case, Draw, data, deciding
from tests.backends.native.random_operators.pointwise import Make, broadcast

_I32 = np.dtype(np.int32)


def anything(d: Draw, rank: int | None = None, *, least: int = 0) -> Array:
    """A tensor of any dtype."""
    dims = d.dims(d.rank() if rank is None else rank, least=least)
    return d.numbers(dims, d.one_of((F32, F32, F32, *EVERY)))


def _identity(d: Draw) -> Case:
    return Case("Identity", [data(anything(d))])


def _transpose(d: Draw) -> Case:
    rank = d.rank()
    perm = [int(i) for i in d.rng.permutation(rank)]
    return Case("Transpose", [data(anything(d, rank))], {"perm": perm} if rank and d.chance(0.8) else {})


def _reshape(d: Draw) -> Case:
    x = anything(d)
    left, target = x.size, []
    while left > 1 and len(target) < 5:
        divisors = [n for n in range(1, min(left, 70) + 1) if left % n == 0]
        target.append(int(divisors[int(d.contents.integers(len(divisors)))]))
        left //= target[-1]
    target.append(left)
    if x.size and d.chance():
        target[d.number(0, len(target) - 1)] = -1
    if x.ndim and x.size and d.chance(0.3):
        target = [0, -1]
    if not x.size:
        return Case("Reshape", [data(x), deciding([0, 3, 2])], {"allowzero": 1})
    return Case("Reshape", [data(x), deciding(target)])


def _flatten(d: Draw) -> Case:
    x = anything(d)
    return Case("Flatten", [data(x)], {"axis": d.number(-x.ndim, x.ndim)})


def _expand(d: Draw) -> Case:
    a, b = broadcast(d, 2)
    return Case("Expand", [data(d.numbers(a, d.one_of(EVERY))), deciding(b)])


def _squeeze(d: Draw) -> Case:
    rank = d.rank(1)
    dims = [s if d.chance(0.6) else 1 for s in d.dims(rank)]
    x = d.numbers(dims, d.one_of(EVERY))
    axes = [i if d.chance() else i - rank for i in range(rank) if dims[i] == 1 and d.chance(0.7)]
    if axes or d.chance(0.3):
        return Case("Squeeze", [data(x), deciding(axes)] if axes else [data(x)])
    return Case("Squeeze", [data(x)])


def _unsqueeze(d: Draw) -> Case:
    x = anything(d, d.rank(0, 4))
    rank = x.ndim + d.number(1, 3)
    axes = [int(a) for a in d.rng.choice(rank, rank - x.ndim, replace=False)]
    return Case("Unsqueeze", [data(x), deciding([a - rank if d.chance() else a for a in axes])])


def _slice(d: Draw) -> Case:
    x = anything(d, d.rank(1))
    axes = [int(a) for a in d.rng.permutation(x.ndim)[: d.number(1, x.ndim)]]
    steps = [d.one_of((1, 1, 2, 3, -1, -2, 70, -70)) for _ in axes]
    starts, ends = [], []
    for axis, step in zip(axes, steps, strict=True):
        n = x.shape[axis]
        low, high = sorted(int(v) for v in d.contents.integers(-n - 2, n + 3, 2))
        first, last = (low, high) if step > 0 else (high, low)
        starts.append(first)
        far = np.iinfo(np.int64).max if step > 0 else np.iinfo(np.int64).min + 1
        ends.append(far if d.chance(0.3) else last)
    if d.chance():
        axes = [a - x.ndim for a in axes]
    dtype = I64 if d.chance(0.8) else _I32
    clipped = np.clip(ends, np.iinfo(dtype).min, np.iinfo(dtype).max)
    operands = [data(x), deciding(starts, dtype), deciding(clipped, dtype)]
    if axes == list(range(x.ndim)) and all(s == 1 for s in steps) and d.chance():
        return Case("Slice", operands)
    return Case("Slice", [*operands, deciding(axes, dtype), deciding(steps, dtype)])


def _split(d: Draw) -> Case:
    x = anything(d, d.rank(1))
    axis = d.axis(x.ndim)
    parts = d.number(1, 4)
    n = x.shape[axis]
    if d.chance(0.4) and n >= parts:
        most = -(-n // parts)
        if most * (parts - 1) < n:
            return Case("Split", [data(x)], {"axis": axis, "num_outputs": parts}, outputs=(1,) * parts)
    cuts = sorted(int(c) for c in d.contents.integers(0, n + 1, parts - 1))
    sizes = np.diff([0, *cuts, n])
    return Case("Split", [data(x), deciding(sizes)], {"axis": axis}, outputs=(1,) * parts)


def _concat(d: Draw) -> Case:
    x = anything(d, d.rank(1))
    axis = d.axis(x.ndim)
    parts = [data(x)]
    for _ in range(d.number(0, 4)):
        dims = list(x.shape)
        dims[axis] = d.size(most=17)
        parts.append(data(d.numbers(dims, x.dtype)))
    if d.chance(0.2):
        parts.append(parts[0])
    return Case("Concat", parts, {"axis": axis})


def _shape(d: Draw) -> Case:
    x = anything(d)
    attributes = {name: d.number(-x.ndim, x.ndim + 1) for name in ("start", "end") if d.chance(0.4)}
    return Case("Shape", [data(x)], attributes)


def _size(d: Draw) -> Case:
    return Case("Size", [data(anything(d))])


VIEWS: dict[str, Make] = {
    "Concat": _concat,
    "Expand": _expand,
    "Flatten": _flatten,
    "Identity": _identity,
    "Reshape": _reshape,
    "Shape": _shape,
    "Size": _size,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
