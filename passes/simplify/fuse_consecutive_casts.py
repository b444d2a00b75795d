"""FuseConsecutiveCasts: a cast of a cast that lost nothing."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.dims import FLOATS, INTEGERS
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.rule import Refusal, Rule

_BOOL = ir.DataType.BOOL
_DTYPES = tuple(sorted(FLOATS | INTEGERS | {_BOOL}))
_PRECISION = {
    ir.DataType.BFLOAT16: (8, 128),
    ir.DataType.FLOAT16: (11, 16),
    ir.DataType.FLOAT: (24, 128),
    ir.DataType.DOUBLE: (53, 1024),
}
"""Significant bits, and the exponent that overflows."""


def holds_all(source: ir.DataType, target: ir.DataType) -> bool:
    """Whether every value of ``source`` is a value of ``target``."""
    if source in (target, _BOOL):
        return True
    if target == _BOOL:
        return False
    if source in FLOATS:
        return target in FLOATS and all(
            a <= b for a, b in zip(_PRECISION[source], _PRECISION[target], strict=True)
        )
    bits, signed = source.bitwidth, source.is_signed()
    if target in FLOATS:
        significant, overflow = _PRECISION[target]
        return bits - signed <= significant and bits - signed < overflow
    return (target.is_signed() or not signed) and target.bitwidth - target.is_signed() >= bits - signed


def direct_is_same(source: ir.DataType, middle: ir.DataType, target: ir.DataType) -> bool:
    """Whether source → middle → target gives the bits of source → target for every value.

    The first cast must lose nothing. A float turned into an integer it does not fit is left to the
    hardware, differently for each pair of types; that pair must therefore be the same or unreachable.
    """
    if not holds_all(source, middle):
        return False
    if source == _BOOL or middle == source or target == _BOOL:
        return True
    if middle in FLOATS and target not in FLOATS:
        return source not in FLOATS and holds_all(source, target)
    return True


def _lossless(match: Match) -> str | None:
    source = match.dtype("x")
    middle, target = match.attr_int("a"), match.attr_int("b")
    if source is None or middle is None or target is None:
        return "the element type of its input is unknown"
    types = (source, ir.DataType(middle), ir.DataType(target))
    if any(kind not in _DTYPES for kind in types):
        return f"casts between {', '.join(kind.name for kind in types)} are left alone"
    if direct_is_same(*types):
        return None
    return f"{types[0].name} to {types[1].name} to {types[2].name} is not {types[0].name} to {types[2].name}"


def _draw(draw: Draw) -> None:
    draw.input("x", "N", 7)
    returned = [kind for kind in _DTYPES if kind != ir.DataType.BFLOAT16]  # NumPy has no name for it
    pairs = [(a, b) for a in _DTYPES for b in returned if direct_is_same(draw.dtype, a, b)]
    middle, target = pairs[int(draw.rng.integers(len(pairs)))]
    draw.attribute("a", int(middle))
    draw.attribute("b", int(target))


def _draw_lossy(draw: Draw) -> None:
    _draw(draw)
    pairs = [(a, b) for a in _DTYPES for b in _DTYPES if not direct_is_same(draw.dtype, a, b)]
    middle, target = pairs[int(draw.rng.integers(len(pairs)))] if pairs else (ir.DataType.STRING, _BOOL)
    draw.attribute("a", int(middle))
    draw.attribute("b", int(target))


RULES = (
    Rule(
        "cast-of-cast",
        before="""
            t = Cast <to = @a> (x)
            y = Cast <to = @b> (t)
        """,
        after="y = Cast <to = @b> (x)",
        guard=_lossless,
        shared=("t",),
        dtypes=_DTYPES,
        draw=_draw,
        refusals=(Refusal(_draw_lossy),),
    ),
)


@dataclass(frozen=True)
class FuseConsecutiveCasts(Pass):
    """Skip the first of two casts when it loses nothing.

    Before: ``t = Cast<to=float>(x); y = Cast<to=float16>(t)`` with x of float16.
    After:  ``y = Cast<to=float16>(x)``.
    Needs:  the element type of x.
    Keeps:  the first cast where something else reads it.
    Skips:  a first cast that rounds or wraps, and floats on their way to an integer.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, RULES, self.name(), ctx)
