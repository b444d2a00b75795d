"""Reading an Einsum equation: which axis of which operand is which index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

Labels = tuple[str, ...]


@dataclass(frozen=True)
class Equation:
    """An equation with one name per axis.

    Attributes:
        terms: the indices of each operand; those an ellipsis stands for are ``.0``, ``.1``, … from the right.
        output: the indices of the result.
    """

    terms: tuple[Labels, ...]
    output: Labels


def read_equation(text: str, ranks: Sequence[int]) -> Equation | str:
    """The equation for operands of these ranks, or why it is left alone."""
    left, arrow, right = text.replace(" ", "").partition("->")
    written = left.split(",")
    if len(written) != len(ranks):
        return f"the equation has {len(written)} terms for {len(ranks)} operands"
    terms: list[Labels] = []
    for term, rank in zip(written, ranks, strict=True):
        labels = _labels(term, rank)
        if labels is None:
            return f"the term {term!r} does not fit an operand of rank {rank}"
        if len(set(labels)) < len(labels):
            return f"the term {term!r} takes a diagonal"
        terms.append(labels)
    dots = _widest(terms)
    output = _labels(right, len(right.replace("...", "")) + len(dots)) if arrow else _implicit(terms, dots)
    if output is None or len(set(output)) < len(output) or not set(output) <= set().union(*terms):
        return f"the result {right!r} is none of the known forms"
    if not set(dots) <= set(output):
        return "the axes of the ellipsis are summed"
    return Equation(tuple(terms), output)


def _labels(term: str, rank: int) -> Labels | None:
    """One index per axis; an ellipsis stands for the axes that are not written."""
    head, dots, tail = term.partition("...")
    if not (head + tail).isalpha() and head + tail:
        return None
    hidden = rank - len(head) - len(tail)
    if hidden < 0 or (hidden and not dots):
        return None
    return (*head, *(f".{index}" for index in reversed(range(hidden))), *tail)


def _widest(terms: Sequence[Labels]) -> Labels:
    """The axes of the longest ellipsis."""
    return max((tuple(label for label in term if label[0] == ".") for term in terms), key=len, default=())


def _implicit(terms: Sequence[Labels], dots: Labels) -> Labels:
    """The result where none is written: the ellipsis, then the indices that are there once, sorted."""
    count = Counter(label for term in terms for label in term if label[0] != ".")
    return (*dots, *sorted(label for label, times in count.items() if times == 1))
