"""Elementwise operators."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.backends.native.random_operators.draw import (
    BOOL,
    EVERY,
    F32,
    FLOATS,
    I64,
    INTEGERS,
    NUMBERS,
    Array,
    Bound,
    Case,
    Draw,
    data,
)

Make = Callable[[Draw], Case]

_ROUNDED = Bound(ulps=1)
_FUNCTION = Bound(ulps=6)
_COMPOSED = Bound(ulps=16, of_magnitude=2)
"""Formulas of several operations with cancellation in between, such as x·tanh(log(1 + exp x))."""

_FUNCTIONS = {
    "Acos": _FUNCTION, "Acosh": _FUNCTION, "Asin": _FUNCTION, "Asinh": _FUNCTION, "Atan": _FUNCTION,
    "Atanh": _FUNCTION, "Cos": _FUNCTION, "Cosh": _FUNCTION, "Erf": _FUNCTION, "Exp": _FUNCTION,
    "Log": _FUNCTION, "Sigmoid": _FUNCTION, "Sin": _FUNCTION, "Sinh": _FUNCTION, "Softplus": _FUNCTION,
    "Tan": _FUNCTION, "Tanh": _FUNCTION, "Celu": _FUNCTION, "Elu": _FUNCTION, "Gelu": _COMPOSED,
    "HardSigmoid": _COMPOSED, "HardSwish": _COMPOSED, "LeakyRelu": _ROUNDED, "Mish": _COMPOSED,
    "Selu": _FUNCTION, "Shrink": _ROUNDED, "Softsign": Bound(ulps=2), "Swish": _COMPOSED,
    "ThresholdedRelu": Bound(), "Reciprocal": _ROUNDED, "Sqrt": _ROUNDED, "Ceil": Bound(), "Floor": Bound(),
    "Round": Bound(),
}  # fmt: skip
_SINCE = {"Gelu": 20, "HardSwish": 14, "Mish": 18, "Swish": 24}
_SIGNED = ("Abs", "Neg", "Relu", "Sign")
_ATTRIBUTES: dict[str, dict[str, tuple[float, ...]]] = {
    "Celu": {"alpha": (0.5, 2.0)},
    "Elu": {"alpha": (0.5, -1.0, 2.0)},
    "HardSigmoid": {"alpha": (0.1, 0.3), "beta": (0.4, 0.6)},
    "LeakyRelu": {"alpha": (0.2, 1.5, -0.5)},
    "Selu": {"alpha": (1.5,), "gamma": (2.0, 0.5)},
    "Shrink": {"bias": (0.25, -0.5), "lambd": (0.25, 1.0)},
    "Swish": {"alpha": (1.702, -0.5)},
    "ThresholdedRelu": {"alpha": (0.5, -1.0)},
}
_ARITHMETIC = {"Add": _ROUNDED, "Sub": _ROUNDED, "Mul": _ROUNDED, "Div": _ROUNDED}
_COMPARISONS = ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")


def _function(op: str) -> Make:
    def make(d: Draw) -> Case:
        attributes = {k: d.one_of(v) for k, v in _ATTRIBUTES.get(op, {}).items() if d.chance()}
        if op == "Gelu" and d.chance():
            attributes["approximate"] = d.one_of(("tanh", "none"))  # type: ignore[assignment]
        # HardSwish's sixth is a float32 in onnx.reference.
        d.wild &= op != "Gelu"  # which goes to zero at -inf here, where the formula has inf · 0
        kinds = [t for t in FLOATS if t != np.float64 or op != "HardSwish"]
        x = d.floats(d.dims(d.rank()), d.one_of(kinds), d.one_of((1.0, 1.0, 5.0, 30.0)))
        least = _SINCE.get(op, 13)
        opset = d.one_of([v for v in (13, 18, 21, 23, 24) if v >= least])
        return Case(op, [data(x)], attributes, _FUNCTIONS[op], opset=opset)

    return make


def _signed(op: str) -> Make:
    def make(d: Draw) -> Case:
        kinds = EVERY[:-1] if op in ("Abs", "Sign") else [t for t in NUMBERS if t.kind != "u"]
        return Case(op, [data(d.numbers(d.dims(d.rank()), d.one_of(kinds)))], opset=d.one_of((14, 18, 23)))

    return make


def broadcast(d: Draw, count: int, *, rank: int | None = None) -> list[tuple[int, ...]]:
    """Shapes that broadcast to one another, in any direction."""
    full = d.dims(d.rank() if rank is None else rank, budget=6000)
    found = []
    for _ in range(count):
        kept = len(full) if d.chance(0.6) else d.number(0, len(full))
        dims = list(full[len(full) - kept :])
        for axis in range(kept):
            if d.chance(0.25):
                dims[axis] = 1
        found.append(tuple(dims))
    return found


def _arithmetic(op: str) -> Make:
    def make(d: Draw) -> Case:
        dtype = d.one_of((F32, F32, *NUMBERS))
        a, b = (d.numbers(s, dtype) for s in broadcast(d, 2))
        if op == "Div" and dtype in INTEGERS:
            b = np.where(b == 0, np.asarray(1, dtype), b)
        return Case(op, [data(a), data(b)], {}, Bound() if dtype in INTEGERS else _ROUNDED)

    return make


def _comparison(op: str) -> Make:
    def make(d: Draw) -> Case:
        dtype = d.one_of(EVERY if op == "Equal" else NUMBERS)
        return Case(op, [data(d.numbers(s, dtype)) for s in broadcast(d, 2)])

    return make


def _logical(op: str, kinds: tuple[np.dtype[np.generic], ...], count: int) -> Make:
    def make(d: Draw) -> Case:
        dtype = d.one_of(kinds)
        return Case(op, [data(d.numbers(s, dtype)) for s in broadcast(d, count)])

    return make


def _many(op: str) -> Make:
    def make(d: Draw) -> Case:
        kinds = FLOATS if op in ("Sum", "Mean") else NUMBERS
        dtype, count = d.one_of((F32, *kinds)), d.number(1, 4)
        bound = Bound() if op in ("Max", "Min") else Bound(ulps=2, of_magnitude=2.0 * count)
        return Case(op, [data(d.numbers(s, dtype)) for s in broadcast(d, count)], {}, bound)

    return make


def _mod(d: Draw) -> Case:
    fmod = d.chance()
    dtype = d.one_of(NUMBERS if fmod else INTEGERS)
    a, b = (d.numbers(s, dtype) for s in broadcast(d, 2))
    if dtype in INTEGERS:
        b = np.where(b == 0, np.asarray(3, dtype), b)
    return Case("Mod", [data(a), data(b)], {"fmod": int(fmod)} if fmod or d.chance() else {})


def _pow(d: Draw) -> Case:
    base = d.one_of((F32, F32, *(np.dtype(t) for t in ("float64", "float16", "int32", "int64"))))
    exponent = d.one_of((base, F32, np.dtype(np.int32), I64))
    a, b = broadcast(d, 2)
    x = d.numbers(a, base)
    if base in INTEGERS:
        x = np.asarray(np.clip(x, -9, 9), base)
        p = np.abs(d.integers(b, 0, 4)).astype(exponent)
    else:
        p = d.integers(b, -3, 4).astype(exponent)
        if exponent.kind == "f" and d.chance():
            x, p = np.abs(x), d.floats(b, exponent)
    return Case("Pow", [data(x), data(p)], {}, Bound() if base in INTEGERS else Bound(ulps=16))


def _shift(d: Draw) -> Case:
    dtype = d.one_of([t for t in INTEGERS if t.kind == "u"])
    a, b = broadcast(d, 2)
    by = d.integers(b, 0, 8 * dtype.itemsize - 1, dtype)
    return Case("BitShift", [data(d.numbers(a, dtype)), data(by)], {"direction": d.one_of(("LEFT", "RIGHT"))})


def _where(d: Draw) -> Case:
    dtype = d.one_of(EVERY)
    c, a, b = broadcast(d, 3)
    return Case("Where", [data(d.numbers(c, BOOL)), data(d.numbers(a, dtype)), data(d.numbers(b, dtype))])


def _clip(d: Draw) -> Case:
    dtype = d.one_of((F32, *NUMBERS))
    low, high = (np.asarray(v, dtype) for v in ((-1, 2) if dtype.kind != "u" else (1, 4)))
    if d.chance(0.1):
        low, high = high, low
    bounds = [data(low) if d.chance(0.7) else None, data(high) if d.chance(0.7) else None]
    return Case("Clip", [data(d.numbers(d.dims(d.rank()), dtype)), *bounds])


def _within(d: Draw, x: Array, to: np.dtype[np.generic]) -> Array:
    """Floats that an integer dtype can hold: what others become is up to each."""
    if x.dtype not in FLOATS or to not in INTEGERS:
        return x
    info = np.iinfo(to)
    wide = np.nan_to_num(np.asarray(x, np.float64) * d.one_of((1, 3, 20)), posinf=7, neginf=-7)
    return np.asarray(np.clip(wide, max(info.min, -(2**30)), min(info.max, 2**30) // 2), x.dtype)


def _cast(d: Draw) -> Case:
    from onnx.helper import np_dtype_to_tensor_dtype

    source, to = d.one_of(EVERY), d.one_of(EVERY)
    x = _within(d, d.numbers(d.dims(d.rank()), source), to)
    if d.chance(0.2):
        return Case("CastLike", [data(x), data(d.numbers(d.dims(1), to))], opset=d.one_of((15, 19, 23)))
    attributes = {"to": np_dtype_to_tensor_dtype(to)}
    opset = d.one_of((13, 19, 21, 23))
    if opset >= 19 and d.chance(0.3):
        attributes["saturate"] = d.number(0, 1)
    return Case("Cast", [data(x)], attributes, opset=opset)


def _prelu(d: Draw) -> Case:
    dtype = d.one_of((F32, *FLOATS, np.dtype(np.int32), I64))
    dims = d.dims(d.rank(1, 5))
    slope = tuple(s if d.chance() else 1 for s in dims[d.number(0, len(dims)) :])
    x = d.numbers(dims, dtype)
    d.wild = False  # 0 times an infinite slope is up to each
    return Case(
        "PRelu", [data(x), data(d.numbers(slope, dtype))], {}, Bound() if dtype in INTEGERS else _ROUNDED
    )


def _is_inf(d: Draw) -> Case:
    names = [name for name in ("detect_negative", "detect_positive") if d.chance()]
    d.wild = True
    x = d.floats(d.dims(d.rank()), d.one_of((F32, np.dtype(np.float64), np.dtype(np.float16))))
    return Case("IsInf", [data(x)], {name: d.number(0, 1) for name in names}, opset=20)


def _is_nan(d: Draw) -> Case:
    d.wild = True
    return Case("IsNaN", [data(d.floats(d.dims(d.rank()), d.one_of(FLOATS)))])


_BITWISE = tuple(INTEGERS)
POINTWISE: dict[str, Make] = {
    **{op: _function(op) for op in _FUNCTIONS},
    **{op: _signed(op) for op in _SIGNED},
    **{op: _arithmetic(op) for op in _ARITHMETIC},
    **{op: _comparison(op) for op in _COMPARISONS},
    **{op: _logical(op, (BOOL,), 2) for op in ("And", "Or", "Xor")},
    **{op: _logical(op, _BITWISE, 2) for op in ("BitwiseAnd", "BitwiseOr", "BitwiseXor")},
    "BitwiseNot": _logical("BitwiseNot", _BITWISE, 1),
    "Not": _logical("Not", (BOOL,), 1),
    **{op: _many(op) for op in ("Max", "Min", "Sum", "Mean")},
    "BitShift": _shift,
    "Cast": _cast,
    "Clip": _clip,
    "IsInf": _is_inf,
    "IsNaN": _is_nan,
    "Mod": _mod,
    "PRelu": _prelu,
    "Pow": _pow,
    "Where": _where,
}
