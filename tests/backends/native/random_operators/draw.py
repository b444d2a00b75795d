"""What random operators are drawn from: choices, sizes, arrays; and what one of them is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import ml_dtypes
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
T = TypeVar("T")

F32 = np.dtype(np.float32)
I64 = np.dtype(np.int64)
BOOL = np.dtype(bool)
BF16 = np.dtype(ml_dtypes.bfloat16)
INTEGERS = tuple(
    np.dtype(name) for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
)
FLOATS = (F32, np.dtype(np.float64), np.dtype(np.float16), BF16)
NUMBERS = (*FLOATS, *INTEGERS)
EVERY = (*NUMBERS, BOOL)

_SIZES = (1, 1, 2, 3, 4, 5, 7, 8, 11, 13, 16, 17, 31, 33, 65)
_MOST = 20_000
"""Elements of an operand: onnx.reference takes its time."""


@dataclass(frozen=True)
class Operand:
    """One input of an operator.

    Attributes:
        array: its contents.
        decides: its contents decide shapes, so it is constant or a small input of fixed shape.
        constant: it can be nothing else.
    """

    array: Array
    decides: bool = False
    constant: bool = False


@dataclass(frozen=True)
class Bound:
    """How far a result may be from the exact one.

    Attributes:
        ulps: of each element, in the result's dtype.
        of_largest: epsilons of the largest element of the result.
        of_magnitude: epsilons of what the operator gives for the absolute values of its operands, which
            for sums of products is the sum of the absolute products.
        absolute: added to everything.
    """

    ulps: float = 0.0
    of_largest: float = 0.0
    of_magnitude: float = 0.0
    absolute: float = 0.0

    @property
    def exact(self) -> bool:
        """Whether the result must be the same to the bit."""
        return self == Bound()


@dataclass(frozen=True)
class Case:
    """One operator with operands.

    Attributes:
        op: of the standard domain.
        operands: None where one is left out.
        attributes: as ``onnx.helper.make_node`` takes them.
        bound: of its results.
        outputs: how many; a 0 among them is one left out.
        opset: of the model around it.
        unordered: results are sets along this axis (an unsorted TopK).
        fixed: no input has dims that are left open.
    """

    op: str
    operands: Sequence[Operand | None]
    attributes: dict[str, Any] = field(default_factory=dict)
    bound: Bound = field(default_factory=Bound)
    outputs: Sequence[int] = (1,)
    opset: int = 23
    unordered: int | None = None
    fixed: bool = False


class Draw:
    """Two streams of random numbers: one for the structure, one for sizes and contents.

    Draws of the same ``seed`` and other ``sizes`` give the same operator for other tensors, as far as its
    attributes do not follow from sizes.
    """

    def __init__(self, seed: int, sizes: int = 0) -> None:
        self.rng = np.random.default_rng([7, seed])
        self.contents = np.random.default_rng([8, seed, sizes])
        self.wild = self.chance(0.15)
        """NaN, infinities, denormals and minus zero among the floats."""
        self.coarse = self.chance(0.2)
        """Halves, so that there are ties."""

    def chance(self, p: float = 0.5) -> bool:
        """True with probability ``p``."""
        return bool(self.rng.random() < p)

    def one_of(self, options: Sequence[T]) -> T:
        """One of them."""
        return options[int(self.rng.integers(len(options)))]

    def number(self, low: int, high: int) -> int:
        """An integer of the structure, ``high`` included."""
        return int(self.rng.integers(low, high + 1))

    def size(self, *, least: int = 0, most: int = 65) -> int:
        """A dim, now and then zero."""
        if least == 0 and self.contents.random() < 0.04:
            return 0
        sizes = [s for s in _SIZES if max(least, 1) <= s <= most] or [least]
        return int(sizes[int(self.contents.integers(len(sizes)))])

    def dims(self, rank: int, *, least: int = 0, budget: int = _MOST) -> tuple[int, ...]:
        """A shape whose elements stay below ``budget``."""
        found = [1] * rank
        left = budget
        for axis in self.contents.permutation(rank):
            found[axis] = self.size(least=least, most=max(1, min(65, left)))
            left //= max(found[axis], 1)
        return tuple(found)

    def rank(self, low: int = 0, high: int = 6) -> int:
        """A rank, small ones more often."""
        options = [r for r in (0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 6) if low <= r <= high]
        return self.one_of(options)

    def axis(self, rank: int) -> int:
        """An axis, counted from either end."""
        return self.number(-rank, rank - 1)

    def floats(self, dims: Sequence[int], dtype: np.dtype[Any] = F32, scale: float = 1.0) -> Array:
        """Normally distributed numbers, with the special ones where the draw is wild."""
        x = self.contents.standard_normal(tuple(dims)) * scale
        if self.coarse:
            x = np.round(x * 2) / 2
        if self.wild and x.size:
            special = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1.0])
            where = self.contents.random(x.shape) < 0.1
            x = np.where(where, self.contents.choice(special, x.shape), x)
        with np.errstate(over="ignore"):
            return np.asarray(x, dtype)

    def tame(self, dims: Sequence[int], dtype: np.dtype[Any] = F32, scale: float = 1.0) -> Array:
        """Floats without special ones."""
        return np.asarray(self.contents.standard_normal(tuple(dims)) * scale, dtype)

    def positive(self, dims: Sequence[int], dtype: np.dtype[Any] = F32) -> Array:
        """Numbers from 0.5 to 2."""
        return np.asarray(self.contents.uniform(0.5, 2.0, tuple(dims)), dtype)

    def integers(self, dims: Sequence[int], low: int, high: int, dtype: np.dtype[Any] = I64) -> Array:
        """Integers, ``high`` included."""
        return np.asarray(self.contents.integers(low, high + 1, tuple(dims)), dtype)

    def numbers(self, dims: Sequence[int], dtype: np.dtype[Any]) -> Array:
        """Contents of any dtype: integers small, or over the whole range."""
        if dtype == BOOL:
            return np.asarray(self.contents.random(tuple(dims)) < 0.5)
        if dtype in INTEGERS:
            info = np.iinfo(dtype)
            if self.contents.random() < 0.3:
                return self.contents.integers(info.min, info.max, tuple(dims), dtype=dtype, endpoint=True)
            return self.integers(dims, max(-9, int(info.min)), 9, dtype)
        return self.floats(dims, dtype)


def data(array: Array) -> Operand:
    """An operand that may be fed, constant or a view of something."""
    return Operand(array)


def deciding(values: Any, dtype: np.dtype[Any] = I64) -> Operand:
    """An operand whose contents decide shapes."""
    return Operand(np.asarray(values, dtype), decides=True)
