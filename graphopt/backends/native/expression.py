"""What an elementwise kernel computes for each element: expressions over values, and their encoding.

An expression is a tree with shared parts. Fusing two steps replaces an operand by the expression that
computes it; only the finished plan turns expressions into numbered registers.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx_ir as ir

if TYPE_CHECKING:
    from graphopt.backends.native.plan import Value


@dataclass(frozen=True, eq=False, slots=True)
class Expression:
    """An operand, a number, or an instruction applied to expressions.

    Attributes:
        op: of an instruction, as opcodes.def names it; empty for the leaves.
        dtype: of the result.
        arguments: of an instruction.
        value: the tensor an operand reads.
        number: a constant.
        of: the dtype of an instruction's operands (differs from ``dtype`` for comparisons and casts).
    """

    op: str
    dtype: ir.DataType
    arguments: tuple[Expression, ...] = ()
    value: Value | None = None
    number: float | None = None
    of: ir.DataType = ir.DataType.UNDEFINED


RESULT = Expression("", ir.DataType.FLOAT)
"""In an epilogue: what the anchor computes, its bias included."""


def operand(value: Value) -> Expression:
    """The elements of a tensor of known dtype."""
    assert value.dtype is not None, f"'{value.name}' has no dtype"
    return Expression("", value.dtype, value=value)


def number(x: float, dtype: ir.DataType) -> Expression:
    """The same number everywhere."""
    return Expression("", dtype, number=float(x))


_COMPARING = """
    equal greater greater_or_equal is_inf is_inf_negative is_inf_positive is_nan less less_or_equal not_equal
"""
_BOOLEAN = frozenset(_COMPARING.split())


def apply(op: str, *arguments: Expression) -> Expression:
    """An instruction whose result follows from its operands."""
    kind = arguments[-1].dtype
    return Expression(op, ir.DataType.BOOL if op in _BOOLEAN else kind, arguments, of=kind)


def cast(argument: Expression, to: ir.DataType) -> Expression:
    """The argument as another dtype."""
    return argument if argument.dtype == to else Expression("cast", to, (argument,), of=argument.dtype)


def walk(roots: Iterable[Expression]) -> list[Expression]:
    """Every distinct part of some expressions, operands before what uses them; leaves too."""
    found: dict[Expression, None] = {}
    for root in roots:
        work = [(root, False)]
        while work:
            part, ready = work.pop()
            if part in found:
                continue
            if ready or not part.arguments:
                found[part] = None
                continue
            work.append((part, True))
            work.extend((argument, False) for argument in reversed(part.arguments))
    return list(found)


def operands(roots: Iterable[Expression]) -> list[Value]:
    """The tensors the expressions read, in the order they are met, each once."""
    return list(dict.fromkeys(part.value for part in walk(roots) if part.value is not None))


def replace_leaves(
    roots: Sequence[Expression], change: Callable[[Expression], Expression | None]
) -> list[Expression]:
    """The expressions with some leaves replaced; parts that stay the same are shared.

    Args:
        roots: expressions.
        change: asked once for each leaf; None keeps it.
    """
    new: dict[Expression, Expression] = {}
    for part in walk(roots):
        if not part.arguments:
            new[part] = change(part) or part
            continue
        arguments = tuple(new[argument] for argument in part.arguments)
        same = all(a is b for a, b in zip(arguments, part.arguments, strict=True))
        new[part] = part if same else Expression(part.op, part.dtype, arguments, of=part.of)
    return [new[root] for root in roots]


def substitute(roots: Sequence[Expression], values: Mapping[Value, Expression]) -> list[Expression]:
    """The expressions with some operands replaced by what computes them."""
    return replace_leaves(roots, lambda leaf: None if leaf.value is None else values.get(leaf.value))


def instruction_count(roots: Iterable[Expression]) -> int:
    """How many instructions the expressions take, shared parts counted once."""
    return sum(1 for part in walk(roots) if part.arguments)


@dataclass(frozen=True)
class Code:
    """Encoded expressions.

    Attributes:
        instructions: six integers each: opcode, dtype, destination, three operands (-1: none).
        constants: the numbers behind the input registers.
        results: the register of each expression.
    """

    instructions: tuple[int, ...]
    constants: tuple[float, ...]
    results: tuple[int, ...]


def encode(roots: Sequence[Expression], inputs: Sequence[Value | None], opcodes: Mapping[str, int]) -> Code:
    """The expressions as a program over registers: inputs, then constants, then temporaries.

    Args:
        roots: expressions over ``inputs``.
        inputs: the tensor each input register reads; None stands for ``RESULT``.
        opcodes: name → number.
    """
    register = {value: index for index, value in enumerate(inputs)}
    parts = walk(roots)
    first = len(inputs)
    constants = {_constant_key(part): part.number for part in parts if part.number is not None}
    constant_register = {key: first + index for index, key in enumerate(constants)}
    where: dict[Expression, int] = {}
    instructions: list[int] = []
    for part in parts:
        if part.number is not None:
            where[part] = constant_register[_constant_key(part)]
        elif not part.arguments:
            where[part] = register[part.value]
        else:
            where[part] = first + len(constants) + len(instructions) // 6
            padded = [*(where[argument] for argument in part.arguments), -1, -1, -1][:3]
            if part.op == "cast":
                padded[2] = int(part.dtype)
            instructions += [opcodes[part.op], int(part.of), where[part], *padded]
    return Code(tuple(instructions), tuple(constants.values()), tuple(where[root] for root in roots))


def _constant_key(part: Expression) -> tuple[bytes, ir.DataType]:
    """Equal for numbers that may share a register: the sign of zero counts, and what they are read as."""
    assert part.number is not None
    return struct.pack("<d", part.number), part.dtype
