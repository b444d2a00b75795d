"""SpellScatterReduction: scattered sums, products and extremes as reductions over what hits each place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Constant, Replacement
from graphopt.rewrite.rule import Refusal, Rule

_MOST = 1 << 24
"""Pairs of an update and a place that may be compared."""

_REDUCTIONS = {
    "add": ("ReduceSum", "Add"),
    "mul": ("ReduceProd", "Mul"),
    "min": ("ReduceMin", "Min"),
    "max": ("ReduceMax", "Max"),
}
"""``reduction`` → what unites updates that hit one place, and what unites them with what is there."""

_TYPES = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.INT32, ir.DataType.INT64})


def _neutral(reduction: str, dtype: ir.DataType) -> float:
    """What changes nothing."""
    if reduction in ("add", "mul"):
        return float(reduction == "mul")
    if dtype.is_floating_point():
        return math.inf if reduction == "min" else -math.inf
    return float(dtype.max if reduction == "min" else dtype.min)


def _refuses(match: Match) -> str | None:
    if match.attr("reduction") not in _REDUCTIONS:
        return ""
    if match.dtype("x") not in _TYPES:
        return "TensorRT does not compute in its element type"
    if any(match.static_shape(name) is None for name in ("x", "i", "u")):
        return "its sizes are not known"
    return None


def _shapes(match: Match) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    found = [match.static_shape(name) for name in ("x", "i", "u")]
    data, indices, updates = (shape if shape is not None else () for shape in found)
    return data, indices, updates


def _refuses_rows(match: Match) -> str | None:
    reason = _refuses(match)
    if reason is not None:
        return reason
    data, indices, updates = _shapes(match)
    places = math.prod(data[: indices[-1]])
    return None if math.prod(updates) * places <= _MOST else "there are too many updates and places"


def _refuses_elements(match: Match) -> str | None:
    reason = _refuses(match)
    axis = match.attr_int("axis")
    if reason is not None or axis is None:
        return reason
    data, indices, _ = _shapes(match)
    at = axis % len(data)
    others = [dim == indices[index] for index, dim in enumerate(data) if index != at]
    if not all(others):
        return "its indices do not cover the other axes"
    return None if math.prod(indices) * data[at] <= _MOST else "there are too many updates and places"


def _reduced(match: Match, axis: int) -> tuple[str, str, dict[str, Constant]]:
    """How updates are united along ``axis``, how with the data, and what that takes."""
    reduction, dtype = match.attr("reduction"), match.dtype("x")
    assert isinstance(reduction, str), "the guard asks for it"
    assert dtype is not None, "the guard asks for it"
    unite, join = _REDUCTIONS[reduction]
    neutral = np.asarray(_neutral(reduction, dtype), dtype.numpy())
    if not dtype.is_floating_point() and reduction in ("min", "max"):
        neutral = np.asarray(dtype.max if reduction == "min" else dtype.min, dtype.numpy())
    constants: dict[str, Constant] = {"neutral": neutral, "over": np.asarray([axis], np.int64)}
    return f"{unite} <keepdims = 0>", join, constants


def _rows(match: Match) -> Replacement:
    """Places are the rows of the data seen as a matrix, indices their numbers."""
    data, indices, updates = _shapes(match)
    depth = indices[-1]
    leading, rest = data[:depth], math.prod(data[depth:])
    count, places = math.prod(indices[:-1]), math.prod(leading)
    unite, join, constants = _reduced(match, 0)
    steps = [math.prod(leading[level + 1 :]) for level in range(depth)]
    constants |= {
        "sizes": np.asarray(leading, np.int64),
        "steps": np.asarray(steps, np.int64),
        "zero": np.asarray(0, np.int64),
        "last": np.asarray([-1], np.int64),
        "column": np.asarray([count, 1, 1], np.int64),
        "numbers": np.arange(places, dtype=np.int64).reshape(1, places, 1),
        "beside": np.asarray([count, 1, rest], np.int64),
        "matrix": np.asarray([places, rest], np.int64),
        "shape": np.asarray(data, np.int64),
    }
    del updates
    text = f"""
        behind = Less (i, zero)
        wrapped = Add (i, sizes)
        positive = Where (behind, wrapped, i)
        scaled = Mul (positive, steps)
        number = ReduceSum <keepdims = 0> (scaled, last)
        places = Reshape (number, column)
        hits = Equal (places, numbers)
        given = Reshape (u, beside)
        counted = Where (hits, given, neutral)
        united = {unite} (counted, over)
        rows = Reshape (x, matrix)
        joined = {join} (rows, united)
        y = Reshape (joined, shape)
    """
    return Replacement(text, constants)


def _elements(match: Match) -> Replacement:
    """Places lie along one axis, which is moved last."""
    data, _, _ = _shapes(match)
    axis = match.attr_int("axis")
    assert axis is not None, "axis has a default"
    at, rank = axis % len(data), len(data)
    unite, join, constants = _reduced(match, rank - 1)
    order = [*(index for index in range(rank) if index != at), at]
    back = [order.index(index) for index in range(rank)]
    constants |= {
        "size": np.asarray(data[at], np.int64),
        "zero": np.asarray(0, np.int64),
        "last": np.asarray([-1], np.int64),
        "numbers": np.arange(data[at], dtype=np.int64),
    }
    if match.dtype("i") == ir.DataType.INT32:
        for name in ("size", "zero", "numbers"):
            constants[name] = np.asarray(constants[name]).astype(np.int32)
    text = f"""
        behind = Less (i, zero)
        wrapped = Add (i, size)
        positive = Where (behind, wrapped, i)
        turned = Transpose <perm = {order}> (positive)
        places = Unsqueeze (turned, last)
        hits = Equal (places, numbers)
        offered = Transpose <perm = {order}> (u)
        given = Unsqueeze (offered, last)
        counted = Where (hits, given, neutral)
        united = {unite} (counted, over)
        before = Transpose <perm = {order}> (x)
        joined = {join} (before, united)
        y = Transpose <perm = {back}> (joined)
    """
    return Replacement(text, constants)


def _draw_rows(draw: Draw) -> None:
    depth = draw.choice(1, 2)
    draw.input("x", 4, 3, 5)
    draw.input("i", 2, 3, depth, dtype=ir.DataType.INT64)[:] = draw.rng.integers(-3, 3, (2, 3, depth))
    draw.input("u", 2, 3, *(4, 3, 5)[depth:])
    draw.attribute("reduction", draw.choice("add", "mul", "min", "max"))


def _draw_elements(draw: Draw) -> None:
    axis = draw.choice(0, 1, -1)
    shape = [4, 3, 5]
    shape[axis] = 2
    draw.input("x", 4, 3, 5)
    kind = draw.choice(ir.DataType.INT64, ir.DataType.INT32)
    draw.input("i", *shape, dtype=kind)[:] = draw.rng.integers(-3, 3, shape)
    draw.input("u", *shape)
    draw.attribute("reduction", draw.choice("add", "mul", "min", "max"))
    draw.attribute("axis", axis)


def _draw_plain(draw: Draw) -> None:
    _draw_rows(draw)
    draw.attribute("reduction", "none")


def _draw_part(draw: Draw) -> None:
    _draw_elements(draw)
    for name in "iu":
        draw.input(name, 2, 2, 2, dtype=ir.DataType.INT64 if name == "i" else None)
    draw.feeds["i"][:] = 0


RULES = (
    Rule(
        "rows",
        before="y = ScatterND <reduction = @reduction> (x, i, u)",
        after=_rows,
        guard=_refuses_rows,
        min_opset=18,
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw_rows,
        refusals=(Refusal(_draw_plain),),
    ),
    Rule(
        "elements",
        before="y = ScatterElements <reduction = @reduction, axis = @axis> (x, i, u)",
        after=_elements,
        guard=_refuses_elements,
        min_opset=18,
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw_elements,
        refusals=(Refusal(_draw_part, "other axes"),),
    ),
)


@dataclass(frozen=True)
class SpellScatterReduction(Pass):
    """Compare every update's place with every place there is, and reduce what hits.

    TensorRT scatters, but does not unite what falls on one place.

    Before: ``y = ScatterND<reduction="add">(x, i, u)``.
    After:  ``y = Add(x, ReduceSum(Where(Equal(i, [0, 1, …]), u, 0)))``, in as many dims as that takes.
    Needs:  all sizes; float32, float16, int32 or int64.
    Keeps:  indices from the end; every bit of extremes (sums and products are united in another order).
    Skips:  more than sixteen million pairs; elements whose indices do not cover the other axes.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
