"""SpellIntegerMatmuls: products of small integers as TensorRT multiplies them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.backends.tensorrt.legalize._steps import is_zero, shift_of
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Constant, Replacement
from graphopt.rewrite.rule import Refusal, Rule

_BYTES = (ir.DataType.INT8, ir.DataType.UINT8)


def _refuses(match: Match) -> str | None:
    for name in ("a", "b"):
        if match.dtype(name) not in _BYTES:
            return "its operands are not of 8 bits"
        if (match.rank(name) or 0) < 2:
            return "the rank of an operand is unknown or below 2"
    if not _is_single(match, "az"):
        return "each row of its left operand has its own zero point"
    if not _is_single(match, "bz") and not (match.rank("bz") == 1 and match.rank("b") == 2):
        return "the zero points of its right operand are not one for each column"
    if not is_zero(match, "bz") and not isinstance(_shape(match, "a")[-1], int):
        return "the length of its sums is unknown"
    return None


def _is_single(match: Match, name: str) -> bool:
    return name not in match or match.static_shape(name) in ((), (1,))


def _shape(match: Match, name: str) -> tuple[int | ir.SymbolicDim, ...]:
    shape = match.shape(name)
    assert shape is not None, "the guard asks for the rank"
    return shape


@dataclass
class _Text:
    """The right side as it grows: sums of signed numbers first, then what the zero points take away."""

    match: Match

    def __post_init__(self) -> None:
        self.lines: list[str] = []
        self.constants: dict[str, Constant] = {"one": np.ones((), np.float32)}

    def operand(self, name: str, zero: str) -> str:
        """Write an operand as floats that come from int8; the name of its zero point, empty where it is 0."""
        kind = self.match.dtype(name)
        assert kind is not None, "the guard let only bytes through"
        numbers, offset = self.match.constant(name), self.match.constant(zero) if zero in self.match else 0
        shift = shift_of(kind)
        if numbers is not None and offset is not None:
            wide = numbers.astype(np.int16)
            exact = wide - np.asarray(offset).astype(np.int16)
            if exact.min(initial=0) >= -128 and exact.max(initial=0) <= 127:
                self._weight(name, exact)
                return ""
            self._weight(name, wide - shift)
        elif numbers is not None:
            self._weight(name, numbers.astype(np.int16) - shift)
        else:
            self._computed(name, shift)
        return self._zero(zero, shift)

    def _weight(self, name: str, numbers: np.ndarray[tuple[int, ...], np.dtype[np.int16]]) -> None:
        self.constants[f"{name}_bytes"] = numbers.astype(np.int8)
        self.lines.append(f"{name}_float = DequantizeLinear ({name}_bytes, one)")

    def _computed(self, name: str, shift: int) -> None:
        if not shift:
            self.lines.append(f"{name}_float = DequantizeLinear ({name}, one)")
            return
        self.constants.update(shift=np.asarray(shift, np.float32), centre=np.zeros((), np.int8))
        self.lines += [
            f"{name}_wide = Cast <to = 1> ({name})",
            f"{name}_centred = Sub ({name}_wide, shift)",
            f"{name}_byte = QuantizeLinear ({name}_centred, one, centre)",
            f"{name}_float = DequantizeLinear ({name}_byte, one, centre)",
        ]

    def _zero(self, zero: str, shift: int) -> str:
        """The zero point of a shifted operand as a float."""
        if is_zero(self.match, zero):
            if shift:
                self.constants[f"{zero}_float"] = np.asarray(-shift, np.float32)
            return f"{zero}_float" if shift else ""
        known = self.match.constant(zero)
        if known is not None:
            self.constants[f"{zero}_float"] = known.astype(np.float32) - np.float32(shift)
            return f"{zero}_float"
        self.lines.append(f"{zero}_wide = Cast <to = 1> ({zero})")
        if not shift:
            return f"{zero}_wide"
        self.constants["shift"] = np.asarray(shift, np.float32)
        self.lines.append(f"{zero}_float = Sub ({zero}_wide, shift)")
        return f"{zero}_float"

    def column_sums(self) -> None:
        """Sums over the rows of the right operand, as ``columns``."""
        numbers = self.constants.get("b_bytes")
        if isinstance(numbers, np.ndarray):
            self.constants["columns"] = (
                numbers.astype(np.int64).sum(axis=-2, keepdims=True).astype(np.float32)
            )
            return
        self.constants["rows_axis"] = np.asarray([-2], np.int64)
        self.lines.append("columns = ReduceSum (b_float, rows_axis)")


def _product(match: Match) -> Replacement:
    """(a - z)·(b - w) = a·b - z·Σb - w·(Σa - n·z), with n terms in a sum."""
    text = _Text(match)
    left, right = text.operand("a", "az"), text.operand("b", "bz")
    text.lines.append("sums = MatMul (a_float, b_float)")
    result = "sums"
    if left:
        text.column_sums()
        text.lines += [f"of_left = Mul (columns, {left})", f"without_left = Sub ({result}, of_left)"]
        result = "without_left"
    if right:
        text.constants["columns_axis"] = np.asarray([-1], np.int64)
        text.lines.append("rows = ReduceSum (a_float, columns_axis)")
        rows = "rows"
        if left:
            text.constants["terms"] = np.asarray(_shape(match, "a")[-1], np.float32)
            text.lines += [f"all_left = Mul ({left}, terms)", "rows_left = Sub (rows, all_left)"]
            rows = "rows_left"
        text.lines += [f"of_right = Mul ({rows}, {right})", f"without_right = Sub ({result}, of_right)"]
        result = "without_right"
    text.lines.append(f"y = Cast <to = 6> ({result})")
    return Replacement("\n".join(text.lines), constants=text.constants)


_EXACT = 1 << 24
"""Whole numbers up to this are float32's own."""


def _longest(match: Match) -> int:
    """How large the sums of a constant right operand may get, as int8 times what is stored of it."""
    numbers, zero = match.constant("b"), match.constant("bz") if "bz" in match else None
    kind = match.dtype("b")
    assert numbers is not None, "the guard let only constants through"
    assert kind is not None, "the guard let only bytes through"
    stored = numbers.astype(np.int64) - (0 if zero is None else zero.astype(np.int64))
    if stored.min(initial=0) < -128 or stored.max(initial=0) > 127:
        stored = numbers.astype(np.int64) - shift_of(kind)
    return 128 * int(np.abs(stored).sum(axis=-2).max(initial=0))


def _refuses_parts(match: Match) -> str | None:
    if _refuses(match) is not None or not match.is_constant("b"):
        return ""
    return None if _longest(match) > _EXACT else ""


def _parts(match: Match) -> Replacement:
    """The sums in several parts, each of which float32 holds; they are added up as integers."""
    numbers = match.constant("b")
    assert numbers is not None, "the guard let only constants through"
    count = -(-_longest(match) // _EXACT) + 1
    edges = np.linspace(0, numbers.shape[-2], count + 1).astype(np.int64)
    constants: dict[str, Constant] = {"last": np.asarray([-1], np.int64)}
    lines = []
    for part, (begin, end) in enumerate(pairwise(edges)):
        constants[f"begin{part}"], constants[f"end{part}"] = np.asarray([begin]), np.asarray([end])
        constants[f"b{part}"] = np.ascontiguousarray(numbers[..., begin:end, :])
        lines.append(f"a{part} = Slice (a, begin{part}, end{part}, last)")
        lines.append(f"p{part} = MatMulInteger (a{part}, b{part}, az?, bz?)")
    lines += [
        f"t{part} = Add ({f't{part - 1}' if part > 1 else 'p0'}, p{part})" for part in range(1, count - 1)
    ]
    lines.append(f"y = Add ({f't{count - 2}' if count > 2 else 'p0'}, p{count - 1})")
    return Replacement("\n".join(lines), constants=constants)


def _draw_long(draw: Draw) -> None:
    """More than a thousand products of the largest size."""
    draw.input("a", 3, 2000, dtype=ir.DataType.UINT8)
    draw.feeds["a"] = draw.rng.integers(0, 9, (3, 2000)).astype(np.uint8)
    draw.constant("b", draw.rng.integers(0, 256, (2000, 2)).astype(np.uint8) // np.asarray([9, 1], np.uint8))
    draw.constant("az", 3, dtype=ir.DataType.UINT8)
    draw.constant("bz", 11, dtype=ir.DataType.UINT8)


def _draw(draw: Draw) -> None:
    left = draw.choice(*_BYTES)
    right = draw.choice(*_BYTES) if left == ir.DataType.UINT8 else ir.DataType.INT8
    draw.input("a", *draw.choice(("N", 3, 8), (4, 8)), dtype=left)
    size = draw.feeds["a"].shape
    draw.feeds["a"] = draw.rng.integers(0, 256, size).astype(np.uint8).view(left.numpy())
    if draw.flag():
        draw.constant("b", draw.rng.integers(0, 256, (8, 5)).astype(np.uint8).view(right.numpy()))
    else:
        draw.input("b", 8, 5, dtype=right)
    for name, kind, shapes in (("az", left, ((), (1,))), ("bz", right, ((), (1,), (5,)))):
        if draw.flag():
            draw.input(name, *draw.choice(*shapes), dtype=kind)
        elif draw.flag():
            draw.constant(name, draw.array(*draw.choice(*shapes), dtype=kind))
        else:
            draw.omit(name)


def _draw_rows(draw: Draw) -> None:
    _draw(draw)
    draw.input("a", 4, 8, dtype=ir.DataType.UINT8)
    draw.input("az", 4, dtype=ir.DataType.UINT8)
    draw.constants.pop("az", None)
    draw.missing.discard("az")


RULES = (
    Rule(
        "parts",
        before="y = MatMulInteger (a, b, az?, bz?)",
        after=_parts,
        guard=_refuses_parts,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw_long,
        refusals=(Refusal(_draw),),
    ),
    Rule(
        "product",
        before="y = MatMulInteger (a, b, az?, bz?)",
        after=_product,
        guard=_refuses,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw,
        refusals=(Refusal(_draw_rows, because="own zero point"),),
    ),
)


@dataclass(frozen=True)
class SpellIntegerMatmuls(Pass):
    """Write MatMulInteger as MatMul between DequantizeLinear of scale 1, which TensorRT runs in 8 bits.

    Signed numbers with zero point 0 are all it multiplies: uint8 is moved by 128, and what the zero
    points add to each sum is taken away again. Sums stay whole numbers, which float32 holds up to 2²⁴:
    where those of a weight may exceed that, they are summed up in parts.

    Before: ``y = MatMulInteger(a, b, z, w)``.
    After:  ``p = MatMul(DequantizeLinear(QuantizeLinear(a - 128, 1), 1), DequantizeLinear(b, 1))``;
            ``y = p - (z - 128) · Σb``, cast to int32.
    Needs:  matrices of 8 bits; a single zero point on the left, on the right one for each column at most.
    Keeps:  weights of 8 bits; every bit of sums below 2²⁴.
    Skips:  zero points for each row.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, RULES, self.name(), ctx)
