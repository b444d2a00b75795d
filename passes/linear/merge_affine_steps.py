"""MergeAffineSteps: constants per channel that follow one another are one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.passes.linear._factors import Array, Vector, fits, is_only_here, keeps_precision, read, rounded
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.constants import constant_tensor
from graphopt.rewrite.dims import FLOATS
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule

_SMALL = 4096
"""Elements: smaller constants may be written a second time where something else reads them too."""


def _refuse(match: Match, *names: str) -> str | None:
    """Single numbers are left alone: they may belong to an activation that is yet to be recognised."""
    tensors = [constant_tensor(match.value(name)) for name in names]
    if any(tensor is None or tensor.dtype not in FLOATS for tensor in tensors):
        return ""
    if all(tensor is not None and tensor.size == 1 for tensor in tensors):
        return ""
    largest = max(tensor.size for tensor in tensors if tensor is not None)
    shapes = [tuple(tensor.shape.numpy()) for tensor in tensors if tensor is not None]
    if np.prod(np.broadcast_shapes(*shapes)) > largest:
        return "together the constants are larger"
    if largest > _SMALL and not all(is_only_here(match.value(name)) for name in names):
        return "a large constant is shared"
    return None


def _read(match: Match, name: str, inverse: str, index: int) -> Vector:
    """The constant ``name`` as what node ``index`` multiplies by or adds."""
    array = read(match.value(name))
    if match.nodes[index].op_type != inverse:
        return array
    with np.errstate(all="ignore"):
        return 1 / array if inverse == "Div" else -array


def _factors(match: Match) -> Vector:
    with np.errstate(all="ignore"):
        return _read(match, "c", "Div", 0) * _read(match, "d", "Div", 1)


def _refuse_factors(match: Match) -> str | None:
    reason = _refuse(match, "c", "d")
    if reason is not None:
        return reason
    return _lost(match, "c", _read(match, "c", "Div", 0), _factors(match))


def _lost(match: Match, name: str, before: Vector, after: Vector) -> str | None:
    """Why ``after`` cannot stand for ``before`` in the constant's type, or None."""
    dtype = ir.DataType(match.dtype(name) or ir.DataType.FLOAT)
    if fits(after, dtype) and keeps_precision(before, after, dtype, ()):
        return None
    return "the product of the constants leaves the range of their type"


def _multiply(match: Match) -> Replacement:
    return Replacement("y = Mul (x, e)", {"e": _rounded(match, _factors(match))})


def _refuse_addends(match: Match) -> str | None:
    reason = _refuse(match, "c", "d")
    if reason is not None:
        return reason
    dtype = ir.DataType(match.dtype("c") or ir.DataType.FLOAT)
    return None if fits(_addends(match), dtype) else "the sum of the constants overflows"


def _addends(match: Match) -> Vector:
    with np.errstate(all="ignore"):
        return _read(match, "c", "Sub", 0) + _read(match, "d", "Sub", 1)


def _add(match: Match) -> Replacement:
    return Replacement("y = Add (x, e)", {"e": _rounded(match, _addends(match))})


def _affine(match: Match) -> tuple[Vector, Vector, Vector]:
    """The factor before, the factor after and the addend after."""
    first, last = _read(match, "c", "Div", 0), _read(match, "e", "Div", 2)
    with np.errstate(all="ignore"):
        return first, first * last, _read(match, "d", "Sub", 1) * last


def _refuse_affine(match: Match) -> str | None:
    for names in (("c", "e"), ("d", "e")):
        reason = _refuse(match, *names)
        if reason is not None:
            return reason
    before, factor, addend = _affine(match)
    reason = _lost(match, "c", before, factor)
    dtype = ir.DataType(match.dtype("c") or ir.DataType.FLOAT)
    return reason if reason is not None or fits(addend, dtype) else "the scaled addend overflows"


def _distribute(match: Match) -> Replacement:
    _, factor, addend = _affine(match)
    constants = {"f": _rounded(match, factor), "g": _rounded(match, addend)}
    return Replacement("t = Mul (x, f); y = Add (t, g)", constants)


def _rounded(match: Match, array: Vector) -> Array:
    return rounded(array, ir.DataType(match.dtype("c") or ir.DataType.FLOAT))


def _draw(draw: Draw) -> None:
    draw.input("x", "N", 4, 3)
    vector = int(draw.rng.integers(3))
    for index, name in enumerate(("c", "d", "e")):
        shapes: tuple[tuple[int, ...], ...] = ((3,), (1, 3)) if index != vector else ((3,), (), (1,), (4, 3))
        shape = draw.choice(*shapes)
        draw.constant(name, np.asarray(draw.rng.uniform(0.5, 2, shape)).astype(draw.dtype.numpy()))


def _draw_scalars(draw: Draw) -> None:
    draw.input("x", "N", 4, 3)
    for name in ("c", "d", "e"):
        draw.constant(name, 2.0)


def _draw_crossed(draw: Draw) -> None:
    _draw(draw)
    draw.constant("c", draw.array(3))
    draw.constant("d", draw.array(4, 1))
    draw.constant("e", draw.array(4, 1))


_REFUSALS = (Refusal(_draw_scalars), Refusal(_draw_crossed, "larger"))

RULES = (
    Rule(
        "factors",
        before="t = Mul (x, c) | Div (x, c); y = Mul (t, d) | Div (t, d)",
        after=_multiply,
        guard=_refuse_factors,
        exact=False,
        draw=_draw,
        refusals=_REFUSALS,
    ),
    Rule(
        "addends",
        before="t = Add (x, c) | Sub (x, c); y = Add (t, d) | Sub (t, d)",
        after=_add,
        guard=_refuse_addends,
        exact=False,
        draw=_draw,
        refusals=_REFUSALS,
    ),
    Rule(
        "factor-addend-factor",
        before="""
            t = Mul (x, c) | Div (x, c)
            s = Add (t, d) | Sub (t, d)
            y = Mul (s, e) | Div (s, e)
        """,
        after=_distribute,
        guard=_refuse_affine,
        exact=False,
        draw=_draw,
        refusals=_REFUSALS,
    ),
)


@dataclass(frozen=True)
class MergeAffineSteps(Pass):
    """Merge constants, at least one of them per channel, that are multiplied or added one after the other.

    Before: ``t = Mul(x, c); s = Add(t, d); y = Mul(s, e)``; also with ``Div`` and ``Sub``.
    After:  ``t = Mul(x, c·e); y = Add(t, d·e)``, computed in float64; two factors or two addends become one.
    Needs:  floating-point constants that are together no larger than the largest of them.
    Keeps:  large constants that something else reads.
    Skips:  single numbers, and products that leave the range of the type.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
