"""Operators that move elements."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx.helper import make_tensor, np_dtype_to_tensor_dtype

from tests.backends.native.random_operators.draw import (
    EVERY,
    F32,
    I64,
    INTEGERS,
    NUMBERS,
    Array,
    Bound,
    Case,
    Draw,
    Operand,
    data,
    deciding,
)
from tests.backends.native.random_operators.pointwise import Make
from tests.backends.native.random_operators.views import anything

_I32 = np.dtype(np.int32)


def _dropout(d: Draw) -> Case:
    return Case("Dropout", [data(d.floats(d.dims(d.rank())))])


def _constant_of_shape(d: Draw) -> Case:
    dtype = d.one_of(EVERY)
    value = d.numbers((1,), dtype)
    attributes: dict[str, Any] = {}
    if d.chance(0.8):
        kind = np_dtype_to_tensor_dtype(dtype)
        attributes["value"] = make_tensor("v", kind, [1], value.tobytes(), raw=True)
    return Case("ConstantOfShape", [deciding(np.array(d.dims(d.rank()), np.int64))], attributes)


def _depth_to_space(d: Draw) -> Case:
    n, c, h, w = d.dims(4, budget=600)
    block = d.one_of((1, 2, 2, 3, 4))
    dtype = d.one_of((F32, F32, *NUMBERS))
    if d.chance():
        return Case(
            "SpaceToDepth",
            [data(d.numbers((n, c, h * block, w * block), dtype))],
            {"blocksize": block},
        )
    attributes: dict[str, Any] = {"blocksize": block}
    if d.chance(0.7):
        attributes["mode"] = d.one_of(("DCR", "CRD"))
    return Case("DepthToSpace", [data(d.numbers((n, c * block**2, h, w), dtype))], attributes)


def _eye_like(d: Draw) -> Case:
    x = d.numbers(d.dims(2), d.one_of((F32, I64)))
    attributes: dict[str, Any] = {"k": d.number(-4, 4)} if d.chance() else {}
    if d.chance():
        attributes["dtype"] = np_dtype_to_tensor_dtype(d.one_of(NUMBERS))
    return Case("EyeLike", [data(x)], attributes)


def _indices(d: Draw, dims: Any, most: int) -> Array:
    """Places in an axis of ``most``, from both ends."""
    low = -most if d.chance() else 0
    return d.integers(dims, low, most - 1, I64 if d.chance(0.7) else _I32)


def _gather(d: Draw) -> Case:
    x = anything(d, d.rank(1, 5), least=1)
    axis = d.axis(x.ndim)
    return Case(
        "Gather", [data(x), data(_indices(d, d.dims(d.rank(0, 3), budget=80), x.shape[axis]))], {"axis": axis}
    )


def _gather_elements(d: Draw) -> Case:
    x = anything(d, d.rank(1, 5), least=1)
    axis = d.axis(x.ndim)
    dims = [int(d.contents.integers(0 if d.chance(0.1) else 1, n + 1)) for n in x.shape]
    dims[axis] = d.size(most=17)
    return Case("GatherElements", [data(x), data(_indices(d, dims, x.shape[axis]))], {"axis": axis})


def _tuples(d: Draw, x: Array, batch: int, outer: tuple[int, ...], width: int) -> Array:
    """Places in the ``width`` axes behind the batch."""
    parts = [
        _indices(d, (*x.shape[:batch], *outer), n).astype(np.int64) for n in x.shape[batch : batch + width]
    ]
    return np.stack(parts, -1)


def _gather_nd(d: Draw) -> Case:
    x = anything(d, d.rank(1, 5), least=1)
    batch = d.number(0, min(2, x.ndim - 1))
    width = d.number(1, x.ndim - batch)
    indices = _tuples(d, x, batch, d.dims(d.number(0 if batch else 1, 2), budget=40), width)
    return Case("GatherND", [data(x), data(indices)], {"batch_dims": batch} if batch or d.chance() else {})


def _reduction(d: Draw, kinds: Any) -> tuple[str, np.dtype[Any]]:
    reduction = d.one_of(("none", "none", "add", "mul", "max", "min"))
    return reduction, d.one_of(kinds if reduction == "none" else (F32, F32, np.dtype(np.float64), *INTEGERS))


def _scatter_bound(reduction: str, dtype: np.dtype[Any], terms: int) -> Bound:
    if reduction in ("none", "max", "min") or dtype in INTEGERS:
        return Bound()
    return Bound(ulps=2.0 * terms, of_magnitude=2.0 * terms)


def _scatter_elements(d: Draw) -> Case:
    reduction, dtype = _reduction(d, EVERY)
    x = d.numbers(d.dims(d.rank(1, 5), least=1), dtype)
    axis = d.axis(x.ndim)
    dims = [int(d.contents.integers(1, n + 1)) for n in x.shape]
    n = x.shape[axis]
    if reduction == "none":  # which of two updates of one place stays is open
        order = np.argsort(
            d.contents.random((*dims[:axis], n, *dims[axis:][1:]))
            if axis >= 0
            else d.contents.random((*dims[: x.ndim + axis], n, *dims[x.ndim + axis + 1 :])),
            axis=axis,
        )
        indices = np.take(order, range(dims[axis]), axis=axis)
        indices = np.where(d.contents.random(indices.shape) < 0.3, indices - n, indices).astype(np.int64)
    else:
        indices = _indices(d, dims, n)
    updates = d.numbers(indices.shape, dtype)
    attributes: dict[str, Any] = {"axis": axis}
    if reduction != "none" or d.chance():
        attributes["reduction"] = reduction
    bound = _scatter_bound(reduction, dtype, indices.shape[axis] + 1)
    return Case("ScatterElements", [data(x), data(indices), data(updates)], attributes, bound)


def _scatter_nd(d: Draw) -> Case:
    reduction, dtype = _reduction(d, EVERY)
    x = d.numbers(d.dims(d.rank(1, 5), least=1), dtype)
    width = d.number(1, x.ndim)
    outer = d.dims(d.number(1, 2), budget=20)
    indices = _tuples(d, x, 0, outer, width)
    if reduction == "none":
        places = int(np.prod(x.shape[:width]))
        flat = d.contents.permutation(places)[: int(np.prod(outer))]
        indices = np.stack(np.unravel_index(flat, x.shape[:width]), -1).astype(np.int64)
    updates = d.numbers((*indices.shape[:-1], *x.shape[width:]), dtype)
    attributes = {"reduction": reduction} if reduction != "none" or d.chance() else {}
    terms = int(np.prod(indices.shape[:-1])) + 1
    return Case(
        "ScatterND",
        [data(x), data(indices), data(updates)],
        attributes,
        _scatter_bound(reduction, dtype, terms),
    )


def _one_hot(d: Draw) -> Case:
    depth = d.size(least=1, most=17)
    kind = d.one_of((I64, _I32, F32))
    indices = d.integers(d.dims(d.rank(0, 4), budget=300), -depth - 1, depth, I64).astype(kind)
    values = d.numbers((2,), d.one_of((F32, I64, np.dtype(bool), np.dtype(np.int8))))
    count = np.asarray(depth, d.one_of((I64, _I32)))
    shape = count if d.chance() else count.reshape(1)
    return Case(
        "OneHot",
        [data(indices), Operand(shape, decides=True), data(values)],
        {"axis": d.number(-indices.ndim - 1, indices.ndim)} if d.chance(0.7) else {},
    )


def _pad(d: Draw) -> Case:
    mode = d.one_of(("constant", "constant", "edge", "reflect", "wrap"))
    rank = d.rank(1, 5)
    x = anything(d, rank, least=0 if mode == "constant" else 1)
    axes = [int(a) for a in d.rng.permutation(rank)[: d.number(1, rank)]] if d.chance() else list(range(rank))
    before, after = [], []
    for axis in axes:
        n = x.shape[axis]
        most = 6 if mode == "constant" else max(0, n - 1) if mode == "reflect" else min(n, 6)
        low, high = (int(v) for v in d.contents.integers(0, min(most, 7) + 1, 2))
        if d.chance(0.2) and n > 2:
            low, high = (-1, high) if d.chance() else (low, -1)
            if mode != "constant":
                low, high = max(low, 0) if mode == "reflect" else low, high
        before.append(low)
        after.append(high)
    operands: list[Operand | None] = [data(x), deciding([*before, *after])]
    listed = axes != list(range(rank)) or d.chance(0.3)
    value = data(d.numbers((), x.dtype)) if mode == "constant" and d.chance(0.6) else None
    if value is not None or listed:
        operands.append(value)
    if listed:
        operands.append(deciding([a - rank if d.chance() else a for a in axes]))
    return Case(
        "Pad",
        operands,
        {"mode": mode} if mode != "constant" or d.chance() else {},
        opset=d.one_of((19, 21, 23)),
    )


def _range(d: Draw) -> Case:
    dtype = d.one_of((I64, I64, _I32, np.dtype(np.int16), F32, np.dtype(np.float64)))
    start, count = d.number(-20, 20), d.size()
    delta = d.one_of((1, 2, 3, -1, -4))
    values: list[Any] = [start, start + count * delta, delta]
    bound = Bound()
    if dtype.kind == "f" and d.chance():
        values = [start + 0.25, start + 0.25 + count * delta * 0.3 - 0.1, delta * 0.3]
        bound = Bound(ulps=8, absolute=1e-5)
    return Case("Range", [deciding(np.asarray(v, dtype), dtype) for v in values], bound=bound)


def _reverse_sequence(d: Draw) -> Case:
    x = anything(d, d.rank(2, 5), least=1)
    time = d.number(0, 1)
    lengths = d.integers((x.shape[1 - time],), 0, x.shape[time])
    return Case("ReverseSequence", [data(x), data(lengths)], {"batch_axis": 1 - time, "time_axis": time})


def _tile(d: Draw) -> Case:
    x = d.numbers(d.dims(d.rank(0, 5), budget=2000), d.one_of(EVERY))
    return Case("Tile", [data(x), deciding(d.integers((x.ndim,), 0 if d.chance(0.1) else 1, 3))])


def _trilu(d: Draw) -> Case:
    x = anything(d, d.rank(2, 5))
    operands = [data(x)] + (
        [Operand(np.asarray(d.number(-5, 5), np.int64), decides=True)] if d.chance(0.7) else []
    )
    return Case("Trilu", operands, {"upper": d.number(0, 1)} if d.chance(0.7) else {})


MOVEMENT: dict[str, Make] = {
    "ConstantOfShape": _constant_of_shape,
    "DepthToSpace": _depth_to_space,
    "Dropout": _dropout,
    "EyeLike": _eye_like,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "OneHot": _one_hot,
    "Pad": _pad,
    "Range": _range,
    "ReverseSequence": _reverse_sequence,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
    "Tile": _tile,
    "Trilu": _trilu,
}
