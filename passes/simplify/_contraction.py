"""A product of two operands, summed over shared indices, as one MatMul: which form needs the least moving.

MatMul multiplies ``[G…, R, K]`` by ``[G…, K, S]``. K are the summed indices; R is one index (or several that
become one) of the left operand, S of the right one, and all others go into G, where MatMul broadcasts. Every
choice of operand order, R, S and order of K is a form; the one with the fewest transpositions is taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from graphopt.passes.simplify._equation import Labels
from graphopt.rewrite.match import Dim

Sizes = Mapping[str, Dim]

SWAP, TRANSPOSE, RESHAPE, UNSQUEEZE, SMALL_PRODUCTS = 2.0, 3.0, 0.5, 0.25, 0.3
"""What a step counts. A matrix product can exchange the last two axes of an operand by itself."""


@dataclass(frozen=True)
class Side:
    """How one operand is brought into the form MatMul reads.

    Attributes:
        order: its indices after the transposition.
        groups: the same, with those in one tuple that become one axis.
        swap: whether the last two groups are exchanged afterwards.
        missing: axes of size 1 to insert in the end.
        is_padded: whether one of them stands for the index the operand does not have alone.
    """

    order: Labels
    groups: tuple[Labels, ...]
    swap: bool
    missing: tuple[int, ...]
    is_padded: bool


@dataclass(frozen=True)
class Form:
    """One way to write the contraction.

    Attributes:
        exchanged: whether the second operand stands on the left.
        left: what is done to the left operand.
        right: what is done to the right operand.
        groups: the axes of the product, in order, without those that are dropped.
        dropped: the axes of size 1 among all axes of the product.
        cost: what moving the data counts.
    """

    exchanged: bool
    left: Side
    right: Side
    groups: tuple[Labels, ...]
    dropped: tuple[int, ...]
    cost: float

    @property
    def order(self) -> Labels:
        """The indices of the product."""
        return tuple(label for group in self.groups for label in group)


def best_form(terms: Sequence[Labels], output: Labels, sizes: Sequence[Sizes]) -> Form | None:
    """The cheapest form, or None where every one needs a size that is not known.

    Args:
        terms: the indices of both operands; every index is in the other operand or in the result.
        output: the indices of the result.
        sizes: of each operand, and of the result.
    """
    forms = [
        form
        for exchanged in (False, True)
        for form in _forms(terms[exchanged], terms[not exchanged], output, sizes, exchanged)
    ]
    return min(forms, key=lambda form: form.cost, default=None)


def _forms(
    left: Labels, right: Labels, output: Labels, sizes: Sequence[Sizes], exchanged: bool
) -> Iterator[Form]:
    summed = [label for label in left if label in right and label not in output]
    orders = dict.fromkeys((tuple(summed), tuple(label for label in right if label in summed)))
    for row in _runs(output, set(left) - set(right)):
        for column in _runs(output, set(right) - set(left)):
            outer = tuple(label for label in output if label not in row + column)
            for inner in orders:
                a = _side(left, outer, row, inner, sizes[exchanged], is_right=False)
                b = _side(right, outer, column, inner, sizes[not exchanged], is_right=True)
                groups = (*((label,) for label in outer), *(group for group in (row, column) if group))
                cost = _result_cost(groups, output, sizes[2])
                if a is None or b is None or cost is None:
                    continue
                dropped = _dropped(len(outer), row, a[0].is_padded, b[0].is_padded)
                cost += a[1] + b[1] + UNSQUEEZE * bool(dropped) + _product_cost(outer, left, right)
                yield Form(exchanged, a[0], b[0], groups, dropped, cost)


def _dropped(outer: int, row: Labels, left_is_padded: bool, right_is_padded: bool) -> tuple[int, ...]:
    """The axes of the product that only stand for an index an operand does not have."""
    after_row = outer + (bool(row) or left_is_padded)
    return (outer,) * left_is_padded + (after_row,) * right_is_padded


def _runs(output: Labels, free: set[str]) -> list[Labels]:
    """The runs of neighbours in the result that are all of one operand alone; () where it has none."""
    found: list[Labels] = []
    for start in range(len(output)):
        for end in range(start + 1, len(output) + 1):
            if not set(output[start:end]) <= free:
                break
            found.append(output[start:end])
    return found or [()]


def _side(
    labels: Labels, outer: Labels, own: Labels, inner: Labels, sizes: Sizes, is_right: bool
) -> tuple[Side, float] | None:
    """The cheapest way to bring an operand into its form, with what it counts."""
    lead = tuple(label for label in outer if label in labels)
    # Broadcasting supplies axes of 1 in front, and the product with a vector the axis it lacks.
    first = next((index for index, label in enumerate(outer) if label in labels), len(outer))
    missing = [index - first for index in range(first, len(outer)) if outer[index] not in labels]
    is_padded = bool(lead) and not own
    if is_padded:
        missing.append(len(outer) - first + is_right)
    found: list[tuple[Side, float]] = []
    ends = ((inner, own), (own, inner)) if is_right else ((own, inner), (inner, own))
    for swap, end in enumerate(ends[: 1 + bool(own)]):
        order = lead + end[0] + end[1]
        groups = (*((label,) for label in lead), *(group for group in end if group))
        if reshape_target(order, groups, sizes) is None:
            continue
        cost = move_cost(labels, order, sizes) + swap * SWAP
        cost += RESHAPE * (len(groups) != len(order)) + UNSQUEEZE * bool(missing)
        found.append((Side(order, groups, bool(swap), tuple(missing), is_padded), cost))
    return min(found, key=lambda pair: pair[1], default=None)


def _result_cost(groups: tuple[Labels, ...], output: Labels, sizes: Sizes) -> float | None:
    order = tuple(label for group in groups for label in group)
    if split_target(groups, sizes) is None:
        return None
    is_split = any(len(group) > 1 for group in groups)
    return (TRANSPOSE if order != output else 0.0) + RESHAPE * is_split


def _product_cost(outer: Labels, left: Labels, right: Labels) -> float:
    """Products over axes of one operand alone are many small ones; of the left one beside a matrix, one."""
    shared = any(label in left and label in right for label in outer)
    alone = [label for label in outer if (label in left) != (label in right)]
    if not shared and all(label in left for label in alone):
        return 0.0
    return SMALL_PRODUCTS * len(alone)


def move_cost(labels: Labels, order: Labels, sizes: Sizes) -> float:
    """What transposing ``labels`` into ``order`` counts; axes of 1 move for nothing."""
    before = [label for label in labels if sizes[label] != 1]
    after = [label for label in order if sizes[label] != 1]
    if before == after:
        return 0.0 if labels == order else RESHAPE
    return SWAP if before[:-2] == after[:-2] and len(before) >= 2 else TRANSPOSE


def reshape_target(order: Labels, groups: Sequence[Labels], sizes: Sizes) -> tuple[int, ...] | None:
    """The target that merges ``order`` into ``groups``; None where it cannot be told."""
    target: list[int] = []
    for index, group in enumerate(groups):
        known = [size for label in group if isinstance(size := sizes[label], int)]
        if len(known) == len(group):
            target.append(math.prod(known))
        else:
            target.append(0 if group == order[index : index + 1] else -1)
    return _possible(target)


def split_target(groups: Sequence[Labels], sizes: Sizes) -> tuple[int, ...] | None:
    """The target that takes ``groups`` apart again; None where it cannot be told."""
    target: list[int] = []
    for index, group in enumerate(groups):
        for label in group:
            size = sizes[label]
            kept = len(target) == index and len(group) == 1
            target.append(size if isinstance(size, int) else 0 if kept else -1)
    return _possible(target)


def _possible(target: list[int]) -> tuple[int, ...] | None:
    """A Reshape infers one dim, and none where a dim it copies may be zero."""
    if target.count(-1) > 1 or (-1 in target and 0 in target):
        return None
    return tuple(target)
