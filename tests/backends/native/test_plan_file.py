"""The plan file, byte by byte, and what it makes of expressions."""

from __future__ import annotations

import struct

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.backends.native.expression import (
    RESULT,
    apply,
    cast,
    encode,
    number,
    operand,
    operands,
    substitute,
)
from graphopt.backends.native.plan import Floats, Program, Step, Value
from graphopt.backends.native.plan_file import write_plan

_FLOAT = ir.DataType.FLOAT


def _value(name: str, *dims: int | str, dtype: ir.DataType = _FLOAT) -> Value:
    return Value(name, dtype, dims)


def test_a_plan_is_written_as_the_format_says() -> None:
    x, y = _value("x", "n", 3), _value("y", "n", 3)
    weight = Value("w", _FLOAT, (2,), ir.tensor(np.array([1, 2], np.float32), name="w"))
    step = Step(
        "s",
        "copy",
        [x, None, weight],
        [y, None],
        {"a": 1, "b": 0.5, "c": "t", "d": (7,), "e": Floats((2.0,))},
    )

    data = write_plan(Program([x], [y], [step]), isa=4)

    def text(s: str) -> bytes:
        return struct.pack("<I", len(s)) + s.encode()

    values = text("x") + bytes([2, 32, 1, 0]) + struct.pack("<iqq", 2, -2, 3)
    values += text("w") + bytes([2, 32, 2, 0]) + struct.pack("<iqBQff", 1, 2, 0, 8, 1, 2)
    values += text("y") + bytes([2, 32, 4, 0]) + struct.pack("<iqq", 2, -2, 3)
    attributes = text("a") + struct.pack("<Bq", 1, 1) + text("b") + struct.pack("<Bd", 2, 0.5)
    attributes += text("c") + b"\x03" + text("t") + text("d") + struct.pack("<BIq", 4, 1, 7)
    attributes += text("e") + struct.pack("<BId", 5, 1, 2.0)
    steps = text("s") + text("copy") + struct.pack("<Iiii", 3, 0, -1, 1) + struct.pack("<Iii", 2, 2, -1)
    steps += struct.pack("<I", 5) + attributes + struct.pack("<I", 0)
    program = struct.pack("<IIIII", 1, 0, 1, 2, 1) + steps
    header = b"GOPTPLAN" + struct.pack("<4I", 2, 0, 4, 0)
    assert data == header + struct.pack("<I", 3) + values + struct.pack("<I", 1) + text("n") + program


class _Sink:
    location = "weights.bin"

    def place(self, name: str, tensor: ir.TensorProtocol) -> tuple[int, int] | None:
        return 4096, tensor.nbytes


def test_large_constants_go_to_the_sink() -> None:
    x, y = _value("x", 512), _value("y", 512)
    large = Value("large", _FLOAT, (512,), ir.tensor(np.ones(512, np.float32), name="large"))
    program = Program([x], [y], [Step("s", "copy", [x, large], [y])])

    assert struct.pack("<iqBQQ", 1, 512, 1, 4096, 2048) in write_plan(program, _Sink())
    assert len(write_plan(program)) > 2048


def test_an_input_whose_contents_decide_a_shape_is_marked() -> None:
    data, shape = _value("data", 6), _value("shape", 2, dtype=ir.DataType.INT64)
    doubled = _value("doubled", 2, dtype=ir.DataType.INT64)
    out = _value("out", "a", "b")
    shape_operand = operand(shape)
    add = Step("add", "elementwise", [shape], [doubled], results=[apply("add", shape_operand, shape_operand)])
    program = Program([data, shape], [out], [add, Step("r", "reshape", [data, doubled], [out])])

    written = write_plan(program)

    assert b"shape" + bytes([0, 64, 3, 0]) in written
    assert b"data" + bytes([2, 32, 1, 0]) in written


def test_shared_parts_of_an_expression_are_computed_once() -> None:
    x = _value("x", 4)
    gate = apply("sigmoid", operand(x))
    root = apply("mul", apply("add", gate, number(1.0, _FLOAT)), gate)

    code = encode([root], [x], {"sigmoid": 61, "mul": 3, "add": 1})

    assert code.constants == (1.0,)
    assert code.instructions == (61, 1, 2, 0, -1, -1, 1, 1, 3, 2, 1, -1, 3, 1, 4, 3, 2, -1)
    assert code.results == (4,)


def test_a_cast_names_both_dtypes_and_zeros_keep_their_sign() -> None:
    x = _value("x", 4, dtype=ir.DataType.INT64)
    root = apply(
        "where",
        apply("equal", cast(operand(x), _FLOAT), number(0.0, _FLOAT)),
        number(-0.0, _FLOAT),
        number(0.0, _FLOAT),
    )

    code = encode([root], [x], {"cast": 131, "where": 130, "equal": 90})

    assert code.instructions[:6] == (131, 7, 3, 0, -1, 1)
    assert [np.signbit(constant) for constant in code.constants] == [False, True]


def test_operands_are_replaced_by_what_computes_them() -> None:
    x, y, z = _value("x", 4), _value("y", 4), _value("z", 4)
    outer = apply("add", operand(x), operand(y))

    (merged,) = substitute([outer], {x: apply("exp", operand(z))})

    assert operands([merged]) == [z, y]
    assert merged.arguments[1] is outer.arguments[1]


@pytest.mark.parametrize("op", ["conv", "matmul"])
def test_operands_of_an_epilogue_stand_behind_the_anchors_own(op: str) -> None:
    x, w, skip, y = _value("x", 1, 4, 4), _value("w", 4, 4), _value("skip", 1, 4, 4), _value("y", 1, 4, 4)
    step = Step("s", op, [x, w], [y], epilogue=apply("add", RESULT, operand(skip)))

    data = write_plan(Program([x, w, skip], [y], [step]))

    assert struct.pack("<Iiiii", 4, 0, 1, -1, 2) in data
    assert b"epilogue_first" + struct.pack("<Bq", 1, 3) in data
