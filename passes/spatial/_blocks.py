"""Dims of images that are cut into blocks."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from graphopt.ir.dims import same_dim

Dim = int | ir.SymbolicDim
Dims = tuple[Dim, ...]


def blown_up(dim: Dim, factor: int) -> Dim:
    """``dim`` times ``factor``; an unknown dim stays unknown."""
    if isinstance(dim, int):
        return dim * factor
    return ir.SymbolicDim(None) if dim.value is None else dim * factor


def agree(a: Sequence[Dim], b: Sequence[Dim]) -> bool:
    """Whether two shapes of as many elements are certainly equal: one dim follows from the others."""
    open_dims = [(x, y) for x, y in zip(a, b, strict=True) if not same_dim(x, y)]
    return not open_dims or (
        len(open_dims) == 1 and not all(isinstance(dim, int) for pair in open_dims for dim in pair)
    )
