"""What broadcasting makes of shapes, from the operands alone: declared dims of results are not needed."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from graphopt.ir.dims import same_dim
from graphopt.rewrite.match import Dim

Dims = tuple[Dim, ...]


def broadcast(shapes: Sequence[Dims]) -> tuple[Dim | None, ...]:
    """The shape of an elementwise result, None for a dim that cannot be told."""
    rank = max((len(shape) for shape in shapes), default=0)
    return tuple(_joined([s[len(s) - back] for s in shapes if len(s) >= back]) for back in range(rank, 0, -1))


def _joined(dims: Sequence[Dim]) -> Dim | None:
    wide = [dim for dim in dims if dim != 1]
    numbers = [dim for dim in wide if isinstance(dim, int)]
    if numbers:
        return numbers[0]
    if not wide:
        return 1
    return wide[0] if all(same_dim(wide[0], dim) for dim in wide) and same_dim(wide[0], wide[0]) else None


def broadcasts_to(shapes: Sequence[Dims], wanted: Sequence[Dim | None]) -> bool:
    """Whether the operands certainly give a result of shape ``wanted``."""
    found = broadcast(shapes)
    if len(found) != len(wanted):
        return False
    return all(a is not None and b is not None and same_dim(a, b) for a, b in zip(found, wanted, strict=True))


def dims_of(value: ir.Value | None) -> Dims | None:
    """The dims of a value whose rank is known."""
    return None if value is None or value.shape is None else tuple(value.shape)
