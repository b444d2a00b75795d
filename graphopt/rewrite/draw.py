"""Drawing cases a rule is proven on: inputs, constants and attributes at random.

A rule's ``draw`` fills a Draw; ``instantiate`` turns one spelling of its left side and that Draw into
a model that can be run before and after the rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

Array = npt.NDArray[np.generic]
Axis = int | str
T = TypeVar("T")


@dataclass
class Draw:
    """One random case under construction.

    Attributes:
        rng: the source of randomness.
        dtype: the element type of this trial, for rules that take several.
        ops: operators of the spelling this trial is about, in its order.
        inputs: shapes of the graph inputs drawn so far, names standing for symbolic dims.
        feeds: their values.
        constants: the constants drawn so far.
        attributes: the attributes drawn so far.
        counts: how many values each ``*xs`` stands for.
        missing: optional inputs left out.
        results: types and shapes of values that no schema tells.
        functions: make the local functions the left side calls.
    """

    rng: np.random.Generator
    dtype: ir.DataType
    ops: tuple[str, ...] = ()
    inputs: dict[str, tuple[Axis, ...]] = field(default_factory=dict)
    feeds: dict[str, Array] = field(default_factory=dict)
    constants: dict[str, Array] = field(default_factory=dict)
    attributes: dict[str, object] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    sizes: dict[str, int] = field(default_factory=dict)
    results: dict[str, tuple[ir.DataType, tuple[Axis, ...]]] = field(default_factory=dict)
    functions: list[Callable[[int], ir.Function]] = field(default_factory=list)

    def dim(self, name: str) -> int:
        """The size this case gives to a dim name: 1 to 5, the same each time."""
        return self.sizes.setdefault(name, int(self.rng.integers(1, 6)))

    def array(self, *shape: Axis, dtype: ir.DataType | None = None) -> Array:
        """Random values of the trial's type: floats around zero with both zeros among them."""
        kind = dtype or self.dtype
        size = tuple(self.dim(axis) if isinstance(axis, str) else axis for axis in shape)
        if kind == ir.DataType.BOOL:
            return self.rng.integers(0, 2, size).astype(bool)
        if not kind.is_floating_point():
            low = 0 if kind.name.startswith("U") else -50
            return self.rng.integers(low, 50, size).astype(kind.numpy())
        values = self.rng.standard_normal(size)
        values = np.where(self.rng.random(size) < 0.1, np.copysign(0.0, values), values)
        return np.asarray(values).astype(kind.numpy())

    def input(self, name: str, *shape: Axis, dtype: ir.DataType | None = None) -> Array:
        """Draw a graph input; dims given by name are symbolic in the model."""
        self.inputs[name] = shape
        self.feeds[name] = self.array(*shape, dtype=dtype)
        return self.feeds[name]

    def variadic(self, name: str, *shapes: Sequence[Axis]) -> None:
        """Draw what ``*name`` stands for: one graph input per shape."""
        self.counts[name] = len(shapes)
        for index, shape in enumerate(shapes):
            self.input(f"{name}_{index}", *shape)

    def constant(self, name: str, value: object, dtype: ir.DataType | None = None) -> Array:
        """Fix a variable to a constant; integers are int64 unless told, floats the trial's type."""
        array = np.asarray(value)
        if dtype is not None:
            array = array.astype(dtype.numpy())
        elif not isinstance(value, np.ndarray):
            array = array.astype(
                np.int64 if array.dtype.kind in "iu" or array.size == 0 else self.dtype.numpy()
            )
        self.constants[name] = array
        return array

    def attribute(self, name: str, value: object) -> None:
        """Fix what ``@name`` stands for; None leaves the attribute out."""
        self.attributes[name] = value

    def omit(self, name: str) -> None:
        """Leave an optional input out."""
        self.missing.add(name)

    def result(self, name: str, *shape: Axis, dtype: ir.DataType | None = None) -> None:
        """Say what a value of the left side is where ONNX does not know: the operator is no standard one."""
        self.results[name] = (dtype or self.dtype, shape)

    def function(self, make: Callable[[int], ir.Function]) -> None:
        """Bring in a local function that the left side calls: ``make`` takes the opset."""
        self.functions.append(make)

    def choice(self, *options: T) -> T:
        """One of ``options``."""
        return options[int(self.rng.integers(len(options)))]

    def flag(self) -> bool:
        """True or False."""
        return bool(self.rng.integers(2))

    def permutation(self, rank: int) -> tuple[int, ...]:
        """A random order of the axes 0 … rank-1."""
        return tuple(int(axis) for axis in self.rng.permutation(rank))
