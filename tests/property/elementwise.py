"""Pieces of elementwise operators: algebra, casts, comparisons, activations in their spellings."""

from __future__ import annotations

import math

import numpy as np

from tests.property.builder import BOOL, INT64, Builder, Value, broadcast

_UNARY = ("Relu", "Sigmoid", "Tanh", "Neg", "Abs", "Identity", "Softplus", "Erf", "Softsign", "Floor", "Exp")
_ALGEBRA = (0.0, 1.0, -1.0, 2.0, 0.5, 4.0, 3.0, 0.1)


def unary(b: Builder) -> bool:
    """One to four functions of one value."""
    x = b.pick_float()
    if x is None:
        return False
    for _ in range(b.number(1, 4)):
        op_type = b.one_of(_UNARY)
        if op_type == "Exp":
            x = b.op("Exp", b.op("Tanh", x))
        elif op_type == "Floor":
            x = b.op("Floor", x) if x.exact else b.op("Elu", x, alpha=0.5)
        elif op_type == "Softsign" and b.chance():
            x = b.op("Reciprocal", b.op("Add", b.op("Abs", x), b.constant(1.0)))
        else:
            x = b.op(op_type, x)
    b.keep(x)
    return True


def algebra(b: Builder) -> bool:
    """Constants that may vanish, merge or become another operator."""
    x = b.pick_float()
    if x is None:
        return False
    for _ in range(b.number(1, 4)):
        c = b.one_of(_ALGEBRA)
        kind = b.one_of(("Add", "Sub", "Mul", "Div", "Pow", "Neg", "Sqrt", "Vector", "Reciprocal"))
        if kind == "Pow":
            base = b.op("Add", b.op("Abs", x), b.constant(0.5))
            exponent = b.one_of((2.0, 0.5, 1.0, 3.0, -1.0, -0.5, 0.0))
            x = b.binary("Pow", b.op("Tanh", base), b.scalar(exponent))
        elif kind == "Neg":
            x = b.op("Neg", x)
        elif kind == "Reciprocal":
            x = b.op("Reciprocal", b.op("Add", b.op("Abs", x), b.constant(1.0)))
        elif kind == "Sqrt":
            x = b.op("Sqrt", b.op("Add", b.op("Mul", x, x), b.constant(0.1)))
        elif kind == "Vector" and isinstance(x.shape[-1], int):
            x = b.binary(b.one_of(("Add", "Mul")), x, b.weight(x.shape[-1]))
        elif kind == "Div" and c != 0.0:
            x = b.binary("Div", x, b.scalar(c)) if b.chance(0.8) else _reciprocal_of(b, x, c)
        elif kind == "Sub" and b.chance(0.3):
            x = b.binary("Sub", b.scalar(c), x)
        elif kind in ("Add", "Sub", "Mul"):
            x = b.binary(kind, x, b.scalar(c))
    b.keep(x)
    return True


def _reciprocal_of(b: Builder, x: Value, c: float) -> Value:
    divisor = b.op("Add", b.op("Abs", x), b.constant(1.0))
    return b.binary("Div", b.scalar(c), divisor)


def binary(b: Builder) -> bool:
    """Two values that broadcast, now and then the same operator twice."""
    x = b.pick_float()
    if x is None:
        return False
    y = b.pick(lambda v: v.dtype == b.real and v.rank <= x.rank and _broadcasts(v, x))
    if y is None:
        return False
    op_type = b.one_of(("Add", "Mul", "Sub", "Max", "Min"))
    z = b.binary(op_type, b.op("Tanh", x) if op_type == "Mul" else x, y)
    if b.chance(0.3):
        again = b.binary(op_type, b.op("Tanh", x) if op_type == "Mul" else x, y)
        z = b.binary("Add", z, b.op("Sigmoid", again))
    b.keep(z)
    return True


def _broadcasts(small: Value, large: Value) -> bool:
    tail = large.shape[large.rank - small.rank :]
    return all(s in (1, d) for s, d in zip(small.shape, tail, strict=True))


def casts(b: Builder) -> bool:
    """Chains of casts: to itself, up and back, down and back, to bool."""
    x = b.pick(lambda v: v.dtype == b.real or v.dtype == INT64)
    if x is None:
        return False
    chains: tuple[tuple[object, ...], ...] = (
        (x.dtype,),
        (np.float64, x.dtype),
        (np.float32, np.float64, x.dtype),
        (np.float16, x.dtype),
        (x.dtype, x.dtype),
    )
    if x.exact and x.dtype == INT64:
        chains = ((np.int32, np.int64), (np.float32, np.int64), (np.bool_, np.int64), (b.real,))
    source = x.exact
    for dtype in b.one_of(chains):
        kind = np.dtype(dtype)  # type: ignore[call-overload]
        x = b.op("Cast", x, dtype=kind, to=int(_element(kind)))
    b.keep(Value(x.name, x.dtype, x.shape, exact=source))
    return True


def _element(dtype: np.dtype[np.generic]) -> int:
    import onnx.helper

    return int(onnx.helper.np_dtype_to_tensor_dtype(dtype))


def logic(b: Builder) -> bool:
    """Comparisons of inputs, not of what was rounded on the way, and what is made of them."""
    x = b.pick(lambda v: v.exact and v.dtype == b.real and v.rank >= 1)
    if x is None:
        return False
    cond = b.op(b.one_of(("Greater", "Less", "GreaterOrEqual")), x, b.scalar(0.25), dtype=BOOL)
    cond = Value(cond.name, BOOL, broadcast(x.shape, (1,)))
    if b.chance():
        other = b.op("Less", x, b.scalar(1.0), shape=cond.shape, dtype=BOOL)
        cond = b.op(b.one_of(("And", "Or", "Xor")), cond, other)
    for _ in range(b.number(0, 2)):
        cond = b.op("Not", cond)
    y = b.op("Tanh", x)
    if b.chance():
        b.keep(b.op("Where", cond, y, b.scalar(b.one_of((0.0, -1.0))), shape=cond.shape, dtype=b.real))
    else:
        mask = b.op("Cast", cond, dtype=b.real, to=_element(b.real))
        b.keep(b.binary("Mul", y, b.binary("Sub", b.constant(1.0), mask)))
    return True


def clip(b: Builder) -> bool:
    """Clip, or Min and Max, or Relu above a bound, once or in a chain."""
    x = b.pick_float()
    if x is None:
        return False
    for _ in range(b.number(1, 2)):
        low, high = b.one_of(((0.0, 6.0), (-1.0, 1.0), (0.0, 1.0), (-0.5, 2.0)))
        kind = b.number(0, 3)
        if kind == 0:
            x = b.op("Clip", x, b.constant(low), b.constant(high))
        elif kind == 1:
            x = b.op("Min", b.op("Max", x, b.constant(low)), b.constant(high))
        elif kind == 2:
            x = b.op("Max", b.op("Min", x, b.constant(high)), b.constant(low))
        else:
            x = b.op("Clip", b.op("Relu", x), None, b.constant(high))
    b.keep(x)
    return True


def activation(b: Builder) -> bool:
    """The activations that exporters write in pieces."""
    x = b.pick_float()
    if x is None:
        return False
    b.keep(b.one_of((_gelu, _gelu_tanh, _sigmoid_product, _hard_swish, _hard_sigmoid, _mish, _leaky))(b, x))
    return True


def _gelu(b: Builder, x: Value) -> Value:
    root = math.sqrt(2.0)
    inner = b.op("Div", x, b.constant(root)) if b.chance() else b.op("Mul", x, b.constant(1 / root))
    one_more = b.op("Add", b.op("Erf", inner), b.constant(1.0))
    if b.chance():
        return b.op("Mul", b.op("Mul", x, one_more), b.constant(0.5))
    if b.chance():
        return b.op("Mul", b.op("Mul", x, b.constant(0.5)), one_more)
    return b.op("Mul", x, b.op("Mul", one_more, b.constant(0.5)))


def _gelu_tanh(b: Builder, x: Value) -> Value:
    cube = b.op("Pow", x, b.constant(3.0)) if b.chance() else b.op("Mul", x, b.op("Mul", x, x))
    inner = b.op("Add", x, b.op("Mul", cube, b.constant(0.044715)))
    tanh = b.op("Tanh", b.op("Mul", inner, b.constant(math.sqrt(2 / math.pi))))
    one_more = b.op("Add", tanh, b.constant(1.0))
    return b.op("Mul", b.op("Mul", x, b.constant(0.5)), one_more)


def _sigmoid_product(b: Builder, x: Value) -> Value:
    slope = b.one_of((1.0, 1.702, 2.0))
    inner = x if slope == 1.0 else b.op("Mul", x, b.constant(slope))
    return b.op("Mul", x, b.op("Sigmoid", inner))


def _hard_swish(b: Builder, x: Value) -> Value:
    gate = b.op("Clip", b.op("Add", x, b.constant(3.0)), b.constant(0.0), b.constant(6.0))
    if b.chance():
        return b.op("Div", b.op("Mul", x, gate), b.constant(6.0))
    return b.op("Mul", x, b.op("Div", gate, b.constant(6.0)))


def _hard_sigmoid(b: Builder, x: Value) -> Value:
    if b.chance():
        return b.op("Mul", x, b.op("HardSigmoid", x, alpha=1 / 6, beta=0.5))
    inner = b.op("Add", b.op("Mul", x, b.constant(0.2)), b.constant(0.5))
    return b.op("Clip", inner, b.constant(0.0), b.constant(1.0))


def _mish(b: Builder, x: Value) -> Value:
    if b.chance():
        return b.op("Mul", x, b.op("Tanh", b.op("Softplus", x)))
    return b.op("Mul", x, b.op("Tanh", b.op("Log", b.op("Add", b.op("Exp", x), b.constant(1.0)))))


def _leaky(b: Builder, x: Value) -> Value:
    if b.chance():
        return b.op("LeakyRelu", x, alpha=0.1)
    return b.op("Max", x, b.op("Mul", x, b.constant(0.1)))


PIECES = (unary, algebra, binary, casts, logic, clip, activation)
