"""Reductions, normalisations and what else runs along axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.backends.native.random_operators.draw import (
    F32,
    FLOATS,
    I64,
    INTEGERS,
    NUMBERS,
    Bound,
    Case,
    Draw,
    Operand,
    data,
    deciding,
)
from tests.backends.native.random_operators.pointwise import Make

_NORMALISED = Bound(ulps=16, of_largest=400)
"""A variance as small as epsilon magnifies the roundings of the mean by 1/√epsilon, about 300."""
_KINDS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")


def _reduce(kind: str) -> Make:
    def make(d: Draw) -> Case:
        rank = d.rank(0, 6)
        d.wild &= kind != "LogSumExp"  # inf is subtracted from inf, or not
        dtype = d.one_of((F32, F32, F32, *(NUMBERS if kind in ("Max", "Min", "Sum", "Prod") else FLOATS)))
        dims = d.dims(rank, least=1 if kind in ("Max", "Min", "Mean", "LogSumExp") or d.chance(0.9) else 0)
        x = d.numbers(dims, dtype)
        if kind == "Prod" and dtype in FLOATS:
            x = np.asarray(d.positive(dims) ** 0.1, dtype)
        if kind == "LogSum":
            x = d.positive(dims, dtype)
        opset = d.one_of((13, 18, 18, 23))
        attributes: dict[str, Any] = {"keepdims": d.number(0, 1)} if d.chance(0.7) else {}
        operands: list[Operand | None] = [data(x)]
        axes = [int(a) for a in d.rng.permutation(rank)[: d.number(0, rank)]]
        axes = [a - rank if d.chance(0.3) else a for a in axes]
        if opset >= 18 or kind == "Sum":
            if axes or d.chance():
                operands.append(deciding(np.asarray(axes, np.int64)))
            if d.chance(0.3):
                attributes["noop_with_empty_axes"] = d.number(0, 1)
        elif axes:
            attributes["axes"] = axes
        return Case(f"Reduce{kind}", operands, attributes, _reduction_bound(kind, dtype), opset=opset)

    return make


def _reduction_bound(kind: str, dtype: np.dtype[Any]) -> Bound:
    if kind in ("Max", "Min") or dtype in INTEGERS:
        return Bound()
    if kind in ("Sum", "Mean"):
        return Bound(ulps=4, of_magnitude=16)
    if kind in ("LogSum", "LogSumExp"):
        return Bound(ulps=16, of_largest=8, absolute=8 * float(np.finfo(np.float32).eps))
    return Bound(ulps=40 if kind != "Prod" else 2000)


def _arg_reduce(op: str) -> Make:
    def make(d: Draw) -> Case:
        rank = d.rank(1)
        d.wild = False  # where NaN stands in the order is up to each
        x = d.numbers(d.dims(rank, least=1), d.one_of((F32, F32, *NUMBERS)))
        attributes: dict[str, Any] = {"axis": d.axis(rank)} if d.chance(0.8) else {}
        for name in ("keepdims", "select_last_index"):
            if d.chance():
                attributes[name] = d.number(0, 1)
        return Case(op, [data(x)], attributes)

    return make


def _cum_sum(d: Draw) -> Case:
    rank = d.rank(1)
    dtype = d.one_of((F32, np.dtype(np.float64), np.dtype(np.int32), I64))
    attributes = {name: d.number(0, 1) for name in ("exclusive", "reverse") if d.chance(0.6)}
    x = d.tame(d.dims(rank), dtype) if dtype.kind == "f" else d.numbers(d.dims(rank), dtype)
    axis = Operand(np.asarray(d.axis(rank), d.one_of((I64, np.dtype(np.int32)))), decides=True)
    return Case(
        "CumSum",
        [data(x), axis],
        attributes,
        Bound() if dtype.kind != "f" else Bound(ulps=4, of_magnitude=140),
    )


def _softmax(op: str) -> Make:
    def make(d: Draw) -> Case:
        rank = d.rank(1)
        d.wild = d.chance(0.05)
        x = d.floats(d.dims(rank), scale=d.one_of((1.0, 5.0, 40.0)))
        bound = (
            Bound(ulps=40, absolute=1e-37) if op == "Softmax" else Bound(ulps=8, of_largest=8, absolute=1e-6)
        )
        return Case(op, [data(x)], {"axis": d.axis(rank)} if d.chance(0.8) else {}, bound)

    return make


def _top_k(d: Draw) -> Case:
    rank = d.rank(1, 4)
    d.wild = False
    x = d.numbers(d.dims(rank, least=1), d.one_of((F32, F32, *NUMBERS)))
    axis = d.axis(rank)
    k = int(d.contents.integers(0 if d.chance(0.1) else 1, x.shape[axis] + 1))
    attributes: dict[str, Any] = {"axis": axis} if axis != -1 or d.chance() else {}
    if d.chance():
        attributes["largest"] = d.number(0, 1)
    unordered = None
    if d.chance(0.4):
        attributes["sorted"] = d.number(0, 1)
        unordered = None if attributes["sorted"] else axis
    return Case("TopK", [data(x), deciding([k])], attributes, outputs=(1, 1), unordered=unordered)


def _batch_normalization(d: Draw) -> Case:
    rank = d.rank(2, 5)
    dims = d.dims(rank, least=1)
    c = (dims[1],)
    statistics = [d.positive(c), d.tame(c), d.tame(c), d.positive(c)]
    attributes = {"epsilon": 1e-3} if d.chance() else {}
    operands = [data(d.tame(dims)), *(data(s) for s in statistics)]
    return Case("BatchNormalization", operands, attributes, Bound(ulps=8, of_largest=16))


def _group_normalization(d: Draw) -> Case:
    groups = d.size(least=1, most=8)
    dims = (
        d.size(least=1, most=3),
        groups * d.size(least=1, most=8),
        *d.dims(d.number(1, 3), least=1, budget=400),
    )
    scale = (dims[1],)
    operands = [data(d.tame(dims)), data(d.tame(scale)), data(d.tame(scale))]
    return Case("GroupNormalization", operands, {"num_groups": groups}, _NORMALISED, opset=21, fixed=True)


def _instance_normalization(d: Draw) -> Case:
    dims = d.dims(d.rank(3, 5), least=1)
    c = (dims[1],)
    attributes = {"epsilon": 1e-2} if d.chance() else {}
    return Case(
        "InstanceNormalization",
        [data(d.tame(dims)), data(d.tame(c)), data(d.tame(c))],
        attributes,
        _NORMALISED,
        fixed=True,
    )


def _layer_normalization(d: Draw) -> Case:
    rank = d.rank(1, 5)
    dims = d.dims(rank, least=1)
    axis = d.axis(rank)
    inner = dims[axis % rank :]
    attributes: dict[str, Any] = {"axis": axis} if axis != -1 or d.chance() else {}
    if d.chance():
        attributes["epsilon"] = d.one_of((1e-3, 1e-6))
    operands = [data(d.tame(dims)), data(d.tame(inner))]
    if d.chance():
        operands.append(data(d.tame(inner)))
    outputs = d.one_of(((1,), (1,), (1, 1, 1), (1, 0, 1)))
    return Case("LayerNormalization", operands, attributes, _NORMALISED, outputs)


def _rms_normalization(d: Draw) -> Case:
    rank = d.rank(1, 5)
    dims = d.dims(rank, least=1)
    axis = d.axis(rank)
    attributes: dict[str, Any] = {"axis": axis} if axis != -1 or d.chance() else {}
    return Case(
        "RMSNormalization", [data(d.tame(dims)), data(d.tame(dims[axis % rank :]))], attributes, _NORMALISED
    )


def _lp_normalization(d: Draw) -> Case:
    rank = d.rank(1, 5)
    attributes: dict[str, Any] = {"axis": d.axis(rank)} if d.chance(0.7) else {}
    if d.chance():
        attributes["p"] = d.number(1, 2)
    return Case("LpNormalization", [data(d.tame(d.dims(rank)))], attributes, Bound(ulps=24), opset=22)


def _mean_variance_normalization(d: Draw) -> Case:
    rank = d.rank(4, 4)
    axes = sorted(int(a) for a in d.rng.choice(rank, d.number(1, rank), replace=False))
    attributes: dict[str, Any] = {"axes": axes} if d.chance() else {}
    return Case("MeanVarianceNormalization", [data(d.tame((3, 5, 4, 7)))], attributes, _NORMALISED)


ALONG_AXES: dict[str, Make] = {
    **{f"Reduce{kind}": _reduce(kind) for kind in _KINDS},
    "ArgMax": _arg_reduce("ArgMax"),
    "ArgMin": _arg_reduce("ArgMin"),
    "BatchNormalization": _batch_normalization,
    "CumSum": _cum_sum,
    "GroupNormalization": _group_normalization,
    "InstanceNormalization": _instance_normalization,
    "LayerNormalization": _layer_normalization,
    "LogSoftmax": _softmax("LogSoftmax"),
    "LpNormalization": _lp_normalization,
    "MeanVarianceNormalization": _mean_variance_normalization,
    "RMSNormalization": _rms_normalization,
    "Softmax": _softmax("Softmax"),
    "TopK": _top_k,
}
