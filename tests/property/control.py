"""Pieces with control flow, and with integers: If, Loop, Range, Where on known values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnx.helper

from tests.property.builder import BOOL, INT64, Builder, Value


def branches(b: Builder) -> bool:
    """An If whose condition is constant, comes from a rank, or from an input; branches read outer values."""
    x = b.pick_float()
    if x is None:
        return False
    cond = _condition(b, x)
    bodies = [_body(b, lambda: _branch(b, x)) for _ in range(2)]
    if b.chance(0.15):
        bodies[1] = _renamed(b, bodies[0])
    b.keep(b.op("If", cond, shape=x.shape, dtype=x.dtype, then_branch=bodies[0], else_branch=bodies[1]))
    return True


def _renamed(b: Builder, graph: onnx.GraphProto) -> onnx.GraphProto:
    """The same computation under other names."""
    made = onnx.GraphProto()
    made.CopyFrom(graph)
    names = {output: b.name("w") for node in made.node for output in node.output}
    for node in made.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names[name] for name in node.output]
    for value in made.output:
        value.name = names[value.name]
    return made


def _condition(b: Builder, x: Value) -> Value:
    kind = b.number(0, 2)
    if kind == 0:
        return b.constant(b.chance(), np.bool_)
    if kind == 1:
        (whole,) = b.node("Shape", [x])
        (rank,) = b.node("Size", [Value(whole, INT64, (x.rank,))])
        return b.op(
            "Equal", Value(rank, INT64, ()), b.constant(b.number(2, 4), np.int64), shape=(), dtype=BOOL
        )
    source = b.pick(lambda v: v.exact and v.dtype == b.real and v in b.inputs) or b.inputs[0]
    if source.dtype != b.real:
        return b.constant(True, np.bool_)
    peak = b.reduce("ReduceMax", source, range(source.rank), keepdims=False)
    return b.op("Greater", peak, b.constant(b.one_of((0.5, 9.0))), dtype=BOOL)


def _branch(b: Builder, x: Value) -> Value:
    y = b.op(b.one_of(("Relu", "Tanh", "Neg", "Identity")), x)
    if b.chance():
        y = b.binary(b.one_of(("Add", "Mul")), y, b.scalar(b.one_of((0.0, 1.0, 2.0))))
    if b.chance(0.3):
        y = b.transpose(b.transpose(y, range(y.rank)[::-1]), range(y.rank)[::-1])
    return b.binary("Add", y, x) if b.chance(0.3) else y


def _body(b: Builder, build: Callable[[], Value]) -> onnx.GraphProto:
    """What ``build`` adds, as a graph of its own."""
    outer, b.nodes = b.nodes, []
    result = build()
    inner, b.nodes = b.nodes, outer
    element = onnx.helper.np_dtype_to_tensor_dtype(result.dtype)
    info = onnx.helper.make_tensor_value_info(result.name, element, [None] * result.rank)
    return onnx.helper.make_graph(inner, b.name("body"), [], [info])


def loop(b: Builder) -> bool:
    """A Loop over a known small number of trips, zero among them, with a captured value."""
    x = b.pick_float()
    if x is None:
        return False
    carried, index, going = b.name("carried"), b.name("i"), b.name("going")
    state = Value(carried, x.dtype, x.shape)

    def build() -> Value:
        step = b.op("Tanh", state)
        if b.chance():
            step = b.binary("Add", step, b.op("Sigmoid", x))
        if b.chance(0.3):
            turn = b.op("Cast", Value(index, INT64, ()), dtype=x.dtype, to=_element(x))
            step = b.binary("Mul", step, turn)
        return step

    body = _body(b, build)
    (kept,) = (b.name("kept"),)
    body.node.append(onnx.helper.make_node("Identity", [going], [kept]))
    for name, kind in ((index, onnx.TensorProto.INT64), (going, onnx.TensorProto.BOOL)):
        body.input.append(onnx.helper.make_tensor_value_info(name, kind, []))
    body.input.append(onnx.helper.make_tensor_value_info(carried, _element(x), [None] * x.rank))
    body.output.insert(0, onnx.helper.make_tensor_value_info(kept, onnx.TensorProto.BOOL, []))
    trips = _size(b, x) if b.chance(0.4) else b.constant(b.number(0, 3), np.int64)
    start = b.constant(True, np.bool_) if b.chance() else None
    b.keep(b.op("Loop", trips, start, x, shape=x.shape, dtype=x.dtype, body=body))
    return True


def _size(b: Builder, x: Value) -> Value:
    """The first dim of ``x``, known or not."""
    (whole,) = b.node("Shape", [x])
    return b.op("Gather", Value(whole, INT64, (x.rank,)), b.constant(0, np.int64), shape=(), axis=0)


def _element(x: Value) -> int:
    return int(onnx.helper.np_dtype_to_tensor_dtype(x.dtype))


def known_values(b: Builder) -> bool:
    """Range, ConstantOfShape, Where and Equal on values that can be computed beforehand."""
    x = b.pick(lambda v: v.dtype == b.real and v.rank >= 1 and isinstance(v.shape[-1], int))
    if x is None:
        return False
    width = int(x.shape[-1])
    limits = (b.constant(0, np.int64), b.constant(width, np.int64), b.constant(1, np.int64))
    steps = b.op("Range", *limits, shape=(width,), dtype=INT64)
    kind = b.number(0, 2)
    if kind == 0:
        factor = b.op("Cast", steps, dtype=b.real, to=_element(x))
        b.keep(b.binary("Add", x, b.op("Mul", factor, b.constant(0.1))))
    elif kind == 1:
        equal = b.op("Equal", steps, b.ints(0), dtype=BOOL)
        b.keep(b.op("Where", equal, b.scalar(0.0), x, shape=x.shape, dtype=b.real))
    else:
        (whole,) = b.node("Shape", [x])
        value = onnx.helper.make_tensor("value", _element(x), [1], [b.one_of((0.0, 1.0, 0.5))])
        filled = b.op(
            "ConstantOfShape", Value(whole, INT64, (x.rank,)), shape=x.shape, dtype=b.real, value=value
        )
        b.keep(b.binary(b.one_of(("Add", "Mul")), x, filled))
    return True


def integers(b: Builder) -> bool:
    """Arithmetic and masks on an input of integers."""
    ids = b.pick(lambda v: v.dtype == INT64 and v.exact)
    if ids is None:
        return False
    y = b.op(b.one_of(("Add", "Mul", "Sub")), ids, b.constant(b.number(0, 2), np.int64))
    if b.chance():
        y = b.op("Cast", b.op("Cast", y, dtype=np.dtype(np.int32), to=6), dtype=INT64, to=7)
    b.keep(Value(y.name, INT64, y.shape, exact=True))
    return True


PIECES = (branches, branches, loop, known_values, integers)
