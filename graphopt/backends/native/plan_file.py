"""The plan as a file: little-endian, every length in front of what it counts.

``string`` = u32 length, bytes; ``array<T>`` = u32 count, T…

- header: ``GOPTPLAN``, u32 version, u32 architecture (0 any, 1 x86-64, 2 aarch64), u32 instruction set
  (0: the best of the machine that runs it), u32 zero
- values: array of {string name, u8 type code, u8 bits, u8 kind, u8 zero; inputs, and results whose shape the
  model declares: i32 rank (-1: not known), i64 dims (-1: any size, -2-k: the size of symbol k); constants:
  i32 rank, i64 dims, u8 where, then u64 length and bytes (0) or u64 offset and u64 length in the artifact's
  weights (1)}
- symbols: array of string
- program: {inputs array<u32>, outputs array<u32>, steps array of {string name, string operator, inputs
  array<i32>, outputs array<i32> (-1: left out), attributes array of {string name, u8 kind, payload}, programs
  array of program}}
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from graphopt.backends.native.dtypes import dlpack_code
from graphopt.backends.native.expression import Code, encode, operands
from graphopt.backends.native.module import opcodes
from graphopt.backends.native.plan import Attribute, Floats, Program, Step, Value
from graphopt.backends.native.shape_inputs import shape_inputs
from graphopt.backends.serialize import INLINE_BELOW
from graphopt.errors import BackendError

if TYPE_CHECKING:
    from graphopt.backends.serialize import WeightSink

MAGIC, VERSION = b"GOPTPLAN", 2
INTERMEDIATE, INPUT, CONSTANT, SHAPE_INPUT, DECLARED = range(5)
OWN_INPUTS = {"conv": 3, "conv_transpose": 3, "group_norm": 3, "layer_norm": 5, "matmul": 3}
"""Inputs of the operators that take an epilogue; its operands follow."""
_INT, _FLOAT, _STRING, _INTS, _FLOATS = range(1, 6)


def write_plan(program: Program, sink: WeightSink | None = None, *, isa: int = 0) -> bytes:
    """The bytes of a plan.

    Args:
        program: finished: every value has a dtype.
        sink: takes the large constants; None keeps them in the plan.
        isa: number of the instruction set it must run on; 0 leaves the choice to the machine that runs it.

    Raises:
        BackendError: the native core lacks an instruction the plan uses.
    """
    return _Writer(program, sink).write(isa)


class _Writer:
    def __init__(self, program: Program, sink: WeightSink | None) -> None:
        self._program = program
        self._sink = sink
        self._out = bytearray()
        self._values: dict[Value, int] = {}
        self._symbols: dict[str, int] = {}
        self._opcodes = opcodes()

    def write(self, isa: int) -> bytes:
        self._out += MAGIC + struct.pack("<4I", VERSION, 0, isa, 0)
        inputs, results = set(self._program.inputs), set(self._program.outputs)
        for value in _values(self._program):
            self._values.setdefault(value, len(self._values))
        decides = shape_inputs(self._program)
        self._number(len(self._values))
        for value in self._values:
            kind = INTERMEDIATE
            if value in inputs:
                kind = SHAPE_INPUT if value in decides else INPUT
            elif value.tensor is not None:
                kind = CONSTANT
            elif value in results and value.dims is not None:
                kind = DECLARED
            self._value(value, kind)
        self._number(len(self._symbols))
        for symbol in self._symbols:
            self._string(symbol)
        self._write_program(self._program)
        return bytes(self._out)

    def _value(self, value: Value, kind: int) -> None:
        self._string(value.name)
        assert value.dtype is not None, f"'{value.name}' has no dtype"
        self._out += struct.pack("<4B", *dlpack_code(value.dtype), kind, 0)
        if kind == INTERMEDIATE:
            return
        dims = value.dims
        self._out += struct.pack("<i", -1 if dims is None else len(dims))
        for dim in dims or ():
            if isinstance(dim, str):
                dim = -2 - self._symbols.setdefault(dim, len(self._symbols))
            self._out += struct.pack("<q", -1 if dim is None else dim)
        if kind == CONSTANT:
            self._contents(value)

    def _contents(self, value: Value) -> None:
        tensor = value.tensor
        assert tensor is not None
        if self._sink is not None and tensor.nbytes >= INLINE_BELOW:
            placed = self._sink.place(value.name, tensor)
            if placed is not None:
                self._out += struct.pack("<BQQ", 1, *placed)
                return
        array = np.ascontiguousarray(tensor.numpy())
        data = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        self._out += struct.pack("<BQ", 0, len(data)) + data

    def _write_program(self, program: Program) -> None:
        self._array("I", [self._values[value] for value in program.inputs])
        self._array("I", [self._values[value] for value in program.outputs])
        self._number(len(program.steps))
        for step in program.steps:
            self._step(step)

    def _step(self, step: Step) -> None:
        inputs, attributes = _finished(step, self._opcodes)
        self._string(step.name)
        self._string(step.op)
        for values in (inputs, step.outputs):
            self._array("i", [-1 if value is None else self._values[value] for value in values])
        self._number(len(attributes))
        for name, attribute in attributes.items():
            self._attribute(name, attribute)
        self._number(len(step.programs))
        for program in step.programs:
            self._write_program(program)

    def _attribute(self, name: str, attribute: Attribute) -> None:
        self._string(name)
        match attribute:
            case int():
                self._out += struct.pack("<Bq", _INT, attribute)
            case float():
                self._out += struct.pack("<Bd", _FLOAT, attribute)
            case str():
                self._out.append(_STRING)
                self._string(attribute)
            case Floats():
                self._out.append(_FLOATS)
                self._array("d", attribute)
            case _:
                self._out.append(_INTS)
                self._array("q", attribute)

    def _number(self, number: int) -> None:
        self._out += struct.pack("<I", number)

    def _string(self, text: str) -> None:
        data = text.encode()
        self._number(len(data))
        self._out += data

    def _array(self, kind: str, numbers: Sequence[float]) -> None:
        self._number(len(numbers))
        self._out += struct.pack(f"<{len(numbers)}{kind}", *numbers)


def _values(program: Program) -> Iterable[Value]:
    """Every value of a program and its branches."""
    yield from program.inputs
    for step in program.steps:
        yield from (value for value in step.inputs if value is not None)
        if step.epilogue is not None:
            yield from operands([step.epilogue])
        for branch in step.programs:
            yield from _values(branch)
        yield from step.writes()
    yield from program.outputs


def _finished(step: Step, numbers: dict[str, int]) -> tuple[list[Value | None], dict[str, Attribute]]:
    """Inputs and attributes as the file has them: expressions encoded, an epilogue's operands at the end."""
    attributes = dict(step.attributes)
    try:
        if step.results:
            code = encode(step.results, step.inputs, numbers)
            attributes |= _code("program", "constants", code) | {"results": code.results}
            return step.inputs, attributes
        if step.epilogue is None:
            return step.inputs, attributes
        extra = operands([step.epilogue])
        code = encode([step.epilogue], [None, *extra], numbers)
    except KeyError as error:
        raise BackendError(
            f"the native core has no elementwise instruction {error}", "pip install graphopt"
        ) from None
    attributes |= _code("epilogue", "epilogue_constants", code)
    attributes["epilogue_result"] = code.results[0]
    if not extra:
        return step.inputs, attributes
    own = OWN_INPUTS[step.op]
    attributes["epilogue_first"] = own
    return [*step.inputs, *(None,) * (own - len(step.inputs)), *extra], attributes


def _code(program: str, constants: str, code: Code) -> dict[str, Attribute]:
    found: dict[str, Attribute] = {program: code.instructions}
    return found | {constants: Floats(code.constants)} if code.constants else found
