"""SimplifyReductions: sums that are means, reductions of nothing, and reductions in two steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.constants import constant_tensor, equals
from graphopt.rewrite.dims import FLOATS
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule

_MIN_OPSET = 18
"""From here on axes are an input."""

_PLAIN = ("ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum")
"""Reductions of one element that give the element."""

_NESTED = ("ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum")


def _axes(match: Match, name: str = "axes") -> tuple[int, ...] | None:
    """The axes that are reduced, from the front; None where they are none or not known."""
    axes, rank = match.ints(name), match.rank("x")
    if not axes or rank is None:
        return None
    return tuple(sorted(axis % rank for axis in axes))


def _sizes(match: Match) -> list[int] | None:
    """How many elements each reduced axis has."""
    axes, shape = _axes(match), match.shape("x")
    if axes is None or shape is None:
        return None
    sizes = [size for axis in axes if isinstance(size := shape[axis], int)]
    return sizes if len(sizes) == len(axes) else None


def _is_mean(match: Match) -> str | None:
    """Whether the factor is one over the number of elements that are summed."""
    sizes, tensor = _sizes(match), constant_tensor(match.value("c"))
    if tensor is None or tensor.size != 1 or tensor.dtype not in FLOATS:
        return ""
    if len(tensor.shape) > (match.rank("s") or 0):
        return ""
    if sizes is None or 0 in sizes:
        return "how many elements it sums is not known"
    count = math.prod(sizes)
    factor = float(np.asarray(tensor.numpy()).astype(np.float64).ravel()[0])
    expected = count if match.root.op_type == "Div" else 1 / count
    return None if equals(expected, factor, tensor.dtype) else ""


def _is_over_ones(match: Match) -> str | None:
    sizes = _sizes(match)
    return None if sizes is not None and all(size == 1 for size in sizes) else ""


def _dropped(match: Match) -> Replacement:
    axes = _axes(match)
    assert axes is not None, "the guard lets only known axes through"
    if match.attr_int("k"):
        return Replacement("y = x")
    return Replacement("y = Squeeze (x, a)", constants={"a": np.asarray(axes, np.int64)})


def _are_both_known(match: Match) -> str | None:
    return None if _axes(match) is not None and _axes(match, "more") is not None else ""


def _joined(op_type: str) -> Callable[[Match], Replacement]:
    def replacement(match: Match) -> Replacement:
        first, second = _axes(match) or (), _axes(match, "more") or ()
        axes = np.asarray(sorted({*first, *second}), np.int64)
        return Replacement(f"y = {op_type} (x, a)", constants={"a": axes})

    return replacement


def _are_the_same(match: Match) -> str | None:
    axes = _axes(match)
    return None if axes is not None and axes == _axes(match, "more") else ""


def _draw(draw: Draw) -> None:
    draw.input("x", "N", 3, 4)
    draw.attribute("k", draw.choice(0, 1))
    draw.attribute("n", draw.choice(0, 1))


def _draw_mean(draw: Draw) -> None:
    _draw(draw)
    axes, count = draw.choice(([1], 3), ([-1], 4), ([1, 2], 12))
    draw.constant("axes", axes)
    number = count if draw.ops[1] == "Div" else 1 / count
    draw.constant("c", np.full(draw.choice((), (1,)), number).astype(draw.dtype.numpy()))


def _draw_other_count(draw: Draw) -> None:
    _draw_mean(draw)
    draw.constant("c", np.asarray(7.0).astype(draw.dtype.numpy()))


def _draw_symbolic(draw: Draw) -> None:
    _draw_mean(draw)
    draw.constant("axes", [0])


def _draw_ones(draw: Draw) -> None:
    draw.input("x", "N", 1, 4, 1)
    draw.constant("axes", draw.choice([1], [-1, 1], [3]))
    draw.attribute("k", draw.choice(0, 1))
    draw.attribute("n", draw.choice(0, 1))


def _draw_more(draw: Draw) -> None:
    _draw_ones(draw)
    draw.constant("axes", draw.choice([0], [2], [1, 2]))


def _draw_twice(draw: Draw) -> None:
    _draw(draw)
    draw.constant("axes", draw.choice([1], [-1], [0, 1]))
    draw.constant("more", draw.choice([2], [1], [0]))


def _draw_squeezed(draw: Draw) -> None:
    _draw(draw)
    draw.constant("axes", draw.choice([1], [-1], [1, 2]))
    draw.constant("more", [int(axis) % 3 for axis in draw.constants["axes"]])


def _draw_half(draw: Draw) -> None:
    _draw(draw)
    draw.constant("axes", [1, 2])
    draw.constant("more", [1])


RULES = (
    Rule(
        "mean",
        before="""
            s = ReduceSum <keepdims = @k, noop_with_empty_axes = @n> (x, axes)
            y = Mul (s, c) | Div (s, c)
        """,
        after="y = ReduceMean <keepdims = @k> (x, axes)",
        guard=_is_mean,
        min_opset=_MIN_OPSET,
        exact=False,
        draw=_draw_mean,
        refusals=(Refusal(_draw_other_count), Refusal(_draw_symbolic, "how many elements")),
    ),
    *(
        Rule(
            f"{op_type[6:].lower()}-of-one",
            before=f"y = {op_type} <keepdims = @k, noop_with_empty_axes = @n> (x, axes)",
            after=_dropped,
            guard=_is_over_ones,
            min_opset=_MIN_OPSET,
            exact=False,
            draw=_draw_ones,
            refusals=(Refusal(_draw_more),),
        )
        for op_type in _PLAIN
    ),
    *(
        Rule(
            f"{op_type[6:].lower()}-twice",
            before=f"t = {op_type} (x, axes); y = {op_type} (t, more)",
            after=_joined(op_type),
            guard=_are_both_known,
            min_opset=_MIN_OPSET,
            exact=False,
            draw=_draw_twice,
        )
        for op_type in _NESTED
    ),
    *(
        Rule(
            f"squeezed-{op_type[6:].lower()}",
            before=f"t = {op_type} <noop_with_empty_axes = @n> (x, axes); y = Squeeze (t, more)",
            after=f"y = {op_type} <keepdims = 0, noop_with_empty_axes = @n> (x, axes)",
            guard=_are_the_same,
            min_opset=_MIN_OPSET,
            draw=_draw_squeezed,
            refusals=(Refusal(_draw_half),),
        )
        for op_type in _NESTED
    ),
)


@dataclass(frozen=True)
class SimplifyReductions(Pass):
    """Write a scaled sum as a mean, two reductions as one, and drop reductions of single elements.

    Before: ``s = ReduceSum(x, [1]); y = Mul(s, 1/512)`` with 512 elements along axis 1.
    After:  ``y = ReduceMean(x, [1])``.
    Needs:  constant axes, and sizes of the reduced axes for the mean and for single elements.
    Keeps:  whether reduced axes stay with size 1.
    Skips:  inner values with other readers, and sums over an unknown number of elements.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
