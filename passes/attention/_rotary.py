"""What the passes about rotary embeddings ask of slices and of the tables of cosines and sines."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.passes.attention import _scores
from graphopt.rewrite.constants import constant_array
from graphopt.rewrite.dims import same_dim
from graphopt.rewrite.match import Match

Order = Callable[[npt.NDArray[np.generic]], tuple[npt.NDArray[np.generic], npt.NDArray[np.generic]]]

_ELEMENTWISE = frozenset(
    {"Cos", "Sin", "Cast", "Mul", "Div", "Neg", "Identity", "Unsqueeze", "Squeeze", "Expand"}
)
"""Steps after which two equal halves are still equal: none of them mixes or adds features."""

_NOT_HALVES = "the features are not split in two halves"

_STEPS = 12
"""How far back a table is followed."""

_LARGEST = 1 << 24
"""Elements: a larger table is not read."""


def takes(match: Match, x: str, start: str, end: str, axes: str, steps: str) -> tuple[int, int, int] | None:
    """First, end and step of a Slice of the last axis of ``x``, or None when it is something else."""
    shape = match.shape(x)
    size = shape[-1] if shape else None
    bounds = [match.ints(start), match.ints(end), match.ints(axes)]
    step = match.ints(steps) if steps in match else (1,)
    if shape is None or not isinstance(size, int) or step is None or len(step) != 1:
        return None
    if any(bound is None or len(bound) != 1 for bound in bounds):
        return None
    first, last, axis = (bound[0] for bound in bounds if bound is not None)
    if axis not in (-1, len(shape) - 1):
        return None
    first, last, by = slice(first, last, step[0]).indices(size)
    return first, last, by


def halves(match: Match, source: str, width: int | None) -> int | str:
    """How many features ``lo`` and ``hi`` are the two halves of, or why they are not.

    Args:
        match: where ``lo`` and ``hi`` are taken from ``source`` by Slice or by Split.
        source: what they are parts of.
        width: how many they must be; None where the parts themselves tell.
    """
    shape = match.shape(source)
    size = shape[-1] if shape else None
    if shape is None or not isinstance(size, int):
        return "the number of features is unknown"
    if "ls" not in match:
        sizes = match.ints("sizes") if "sizes" in match else (size // 2,) * 2
        split = match.attr_int("split") in (-1, len(shape) - 1) and sizes == (size // 2,) * 2
        return size if split and size % 2 == 0 and width in (None, size) else _NOT_HALVES
    low, high = takes(match, source, "ls", "le", "la", "lt"), takes(match, source, "hs", "he", "ha", "ht")
    found = 0 if high is None else high[1]
    fits = found > 0 and low == (0, found // 2, 1) and high == (found // 2, found, 1)
    return found if fits and found % 2 == 0 and width in (None, found) else _NOT_HALVES


def pairs(match: Match, source: str, width: int | None) -> int | str:
    """How many features ``lo`` and ``hi`` are the even and the odd ones of; see ``halves``."""
    shape = match.shape(source)
    size = shape[-1] if shape else None
    if not isinstance(size, int):
        return "the number of features is unknown"
    low, high = takes(match, source, "ls", "le", "la", "lt"), takes(match, source, "hs", "he", "ha", "ht")
    found = 0 if high is None else high[1]
    even = low is not None and low[0] == 0 and low[2] == 2 and low[1] in (found, found - 1)
    odd = high is not None and high[0] == 1 and high[2] == 2
    fits = found > 0 and even and odd and found % 2 == 0 and width in (None, found)
    return found if fits else "the features are not split in even and odd ones"


def tables(match: Match, width: int) -> str | None:
    """Why ``c`` and ``s`` are not cosines and sines per position for x, or None.

    Args:
        match: where ``x`` has four dims and ``c`` and ``s`` are what its features are multiplied by.
        width: how many features the tables must have.
    """
    x, c, s = match.shape("x"), match.shape("c"), match.shape("s")
    if x is None or len(x) != 4:
        return "it does not have four dims"
    if c is None or s is None or len(c) != 4 or len(s) != 4:
        return "the tables do not have four dims"
    if c[-1] != width or s[-1] != width:
        return "the tables do not have a column for each feature"
    if is_positions_first(match):
        c, s, x = (c[0], c[2], c[1], c[3]), (s[0], s[2], s[1], s[3]), (x[0], x[2], x[1], x[3])
    if c[1] != 1 or s[1] != 1:
        return "the tables differ from head to head"
    if any(table[2] == 1 and x[2] != 1 for table in (c, s)) or not same_dim(c[2], s[2]):
        return "the tables do not have a row for each position"
    reason: str | None = _scores.takes(match, "x", "c", "s")
    return reason


def is_positions_first(match: Match) -> bool:
    """Whether heads are the third dim: tables of [B, S, 1, D]."""
    x, c = match.shape("x"), match.shape("c")
    return x is not None and c is not None and len(c) == 4 and c[2] == 1 and c[1] != 1


def repeats(value: ir.Value, interleaved: bool) -> bool:
    """Whether the two halves (the even and the odd features) of ``value`` hold the same numbers."""
    current: ir.Value | None = value
    for _ in range(_STEPS):
        if current is None:
            return False
        array = constant_array(current) if _is_readable(current) else None
        if array is not None:
            return _same(array, interleaved)
        node = current.producer()
        if node is None or node.domain != "":
            return False
        if node.op_type == "Concat" and not interleaved:
            rank = 0 if current.shape is None else len(current.shape)
            last = node.attributes.get_int("axis", 0) in (-1, rank - 1)
            return last and len(node.inputs) == 2 and node.inputs[0] is node.inputs[1]
        if node.op_type == "Reshape" and interleaved:
            return _is_doubled(node)
        if not _keeps_features(node):
            return False
        current = _followed(node)
    return False


def _is_readable(value: ir.Value) -> bool:
    tensor = value.const_value
    return tensor is None or tensor.size <= _LARGEST


def _same(array: npt.NDArray[np.generic], interleaved: bool) -> bool:
    if array.ndim == 0 or array.shape[-1] % 2:
        return array.size == 1
    half = array.shape[-1] // 2
    first, second = (
        (array[..., ::2], array[..., 1::2]) if interleaved else (array[..., :half], array[..., half:])
    )
    return bool(np.array_equal(first, second))


def _keeps_features(node: ir.Node) -> bool:
    """Whether ``node`` leaves the last dim of what is followed through it where it is."""
    if node.op_type == "Gather":
        return node.attributes.get_int("axis", 0) == 0 and constant_array(node.inputs[0]) is not None
    if node.op_type in ("Unsqueeze", "Squeeze", "Expand"):
        before, after = node.inputs[0], node.outputs[0]
        if before is None or not before.shape or not after.shape:
            return False
        return same_dim(before.shape[-1], after.shape[-1])
    return node.op_type in _ELEMENTWISE


def _followed(node: ir.Node) -> ir.Value | None:
    """The operand whose features the result has: of a product, the one that is no single number."""
    if node.op_type not in ("Mul", "Div"):
        return node.inputs[0]
    numbers = [constant_array(value) for value in node.inputs]
    for number, other in zip(numbers, reversed(node.inputs), strict=True):
        if number is not None and number.size == 1:
            return other
    return None


def _is_doubled(node: ir.Node) -> bool:
    """Whether a Reshape merges copies that stand beside each other: each feature twice in a row."""
    copies, merged = node.inputs[0], node.outputs[0]
    made = None if copies is None else copies.producer()
    if copies is None or made is None or made.domain != "" or copies.shape is None or merged.shape is None:
        return False
    count, pairs_of = merged.shape[-1], copies.shape[-2] if len(copies.shape) > 1 else None
    if copies.shape[-1] != 2 or not isinstance(pairs_of, int) or count != 2 * pairs_of:
        return False
    if made.op_type == "Concat":
        last = made.attributes.get_int("axis", 0) in (-1, len(copies.shape) - 1)
        return last and len(made.inputs) == 2 and made.inputs[0] is made.inputs[1]
    source = made.inputs[0] if made.op_type in ("Expand", "Tile") else None
    if source is None or source.shape is None or len(source.shape) != len(copies.shape):
        return False
    return source.shape[-1] == 1
