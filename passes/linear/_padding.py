"""Constant zero padding before an operator that can pad by itself."""

from __future__ import annotations

from graphopt.rewrite.match import Match

SPATIAL_FROM = 2
"""The first axis a convolution or a pool can pad."""


def amounts(match: Match, rank: int) -> tuple[tuple[int, ...], tuple[int, ...]] | str:
    """Padding at the start and at the end of each spatial axis, or why the Pad cannot be taken over.

    The rule binds the inputs of Pad as pads and axes.
    """
    pads = match.ints("pads")
    if pads is None:
        return "the padding is computed"
    axes: tuple[int, ...] | None = tuple(range(rank))
    if "axes" in match:
        axes = match.ints("axes")
    if axes is None or len(pads) != 2 * len(axes):
        return "the axes of the padding are computed"
    starts, ends = [0] * rank, [0] * rank
    for index, axis in enumerate(axes):
        starts[axis], ends[axis] = pads[index], pads[index + len(axes)]
    if min(*starts, *ends) < 0:
        return "it crops"
    if any(starts[:SPATIAL_FROM]) or any(ends[:SPATIAL_FROM]):
        return "it pads the batch or the channels"
    return tuple(starts[SPATIAL_FROM:]), tuple(ends[SPATIAL_FROM:])


def fill(match: Match) -> float | None:
    """What the Pad fills with (its input value, 0 where it has none); None when that is computed."""
    if "value" not in match:
        return 0.0
    array = match.constant("value")
    return None if array is None else float(array.reshape(-1)[0])


def merged(match: Match, rank: int) -> tuple[int, ...] | str:
    """The pads of the operator with those of the Pad, or why they do not add up.

    The rule binds the operator's auto_pad as ``@auto`` and its pads as ``@own``.
    """
    found = amounts(match, rank)
    if isinstance(found, str):
        return found
    auto = match.attr("auto")
    if auto not in ("NOTSET", "VALID"):
        return f"the operator pads by itself, auto_pad={auto}"
    own = match.attr_ints("own") if auto == "NOTSET" else None
    own = own or (0,) * 2 * (rank - SPATIAL_FROM)
    starts, ends = found
    return tuple(a + b for a, b in zip(own, (*starts, *ends), strict=True))
