"""What a pattern was bound to, as guards and right sides see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.rewrite.constants import constant_array, constant_tensor

Dim = int | ir.SymbolicDim
Binding = ir.Value | tuple[ir.Value, ...] | None


@dataclass(frozen=True)
class Match:
    """One place in a graph where a pattern holds.

    Attributes:
        root: the node matching started at.
        nodes: every matched node once, in the pattern's order.
        values: what each name of the pattern stands for: a value, a tuple for ``*xs``, None for a
            missing optional input.
        attributes: what each ``@name`` stands for as a plain Python value (None when the attribute
            is absent and has no default), and for ``**attrs`` a tuple of attributes.
        opset: the version of the standard operators at this place.
        dims: what each dim name of the rule's ``shapes`` stands for.
    """

    root: ir.Node
    nodes: tuple[ir.Node, ...]
    values: Mapping[str, Binding]
    attributes: Mapping[str, object]
    opset: int
    dims: Mapping[str, Dim] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return self.values.get(name) is not None

    def value(self, name: str) -> ir.Value:
        """The value bound to ``name``; KeyError when it is unbound, optional and missing, or a tuple."""
        found = self.values.get(name)
        if not isinstance(found, ir.Value):
            raise KeyError(f"{name!r} is not bound to one value in this match")
        return found

    def all(self, name: str) -> tuple[ir.Value, ...]:
        """The values bound to ``*name``."""
        found = self.values.get(name)
        if not isinstance(found, tuple):
            raise KeyError(f"{name!r} is not bound to a list of values in this match")
        return found

    def constant(self, name: str) -> npt.NDArray[np.generic] | None:
        """The elements of ``name`` when it is a constant, else None."""
        found = self.values.get(name)
        return constant_array(found) if isinstance(found, ir.Value) else None

    def is_constant(self, name: str) -> bool:
        """Whether ``name`` is a constant, without reading it."""
        found = self.values.get(name)
        return isinstance(found, ir.Value) and constant_tensor(found) is not None

    def ints(self, name: str) -> tuple[int, ...] | None:
        """The elements of a constant integer tensor (shapes, axes, starts), else None."""
        array = self.constant(name)
        if array is None or not np.issubdtype(array.dtype, np.integer):
            return None
        return tuple(int(element) for element in array.ravel())

    def attr(self, name: str) -> object:
        """What ``@name`` is bound to; None when absent without a default or not in this spelling."""
        return self.attributes.get(name)

    def attr_int(self, name: str) -> int | None:
        """``@name`` as an integer, or None."""
        found = self.attributes.get(name)
        return found if isinstance(found, int) else None

    def attr_ints(self, name: str) -> tuple[int, ...] | None:
        """``@name`` as integers, or None."""
        found = self.attributes.get(name)
        return tuple(int(item) for item in found) if isinstance(found, (tuple, list)) else None

    def dtype(self, name: str) -> ir.DataType | None:
        """Element type of ``name`` where known."""
        return self.value(name).dtype

    def shape(self, name: str) -> tuple[Dim, ...] | None:
        """Dims of ``name`` where the rank is known."""
        shape = self.value(name).shape
        return None if shape is None else tuple(shape)

    def rank(self, name: str) -> int | None:
        """Rank of ``name`` where known."""
        shape = self.value(name).shape
        return None if shape is None else len(shape)

    def static_shape(self, name: str) -> tuple[int, ...] | None:
        """Dims of ``name`` when every one is a number."""
        shape = self.shape(name)
        if shape is None:
            return None
        return (
            tuple(d for d in shape if isinstance(d, int)) if all(isinstance(d, int) for d in shape) else None
        )


@dataclass(frozen=True)
class Miss:
    """Why a pattern does not hold at a node.

    Attributes:
        node: the node the deepest attempt stumbled over.
        reason: one sentence; empty when nobody needs to know.
        score: how many parts (nodes and literals) of the pattern were there.
        parts: how many the pattern has.
    """

    node: ir.Node
    reason: str
    score: int
    parts: int

    @property
    def progress(self) -> tuple[float, int]:
        """How far the pattern got, for comparing spellings: a verdict on a whole match beats any other."""
        return min(self.score / self.parts, 1.0), self.score

    @property
    def is_near(self) -> bool:
        """Whether enough of the pattern was there for the reason to be worth telling."""
        return bool(self.reason) and 2 * self.score > self.parts
