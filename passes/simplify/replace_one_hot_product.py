"""ReplaceOneHotProduct: a product with rows of an identity matrix picks rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule

_FEWEST = 16
"""Rows below which a product is as cheap as a look-up, and one more row is much."""


def _table(match: Match) -> str | None:
    """Why ``w`` cannot become a table with a row of zeros behind it."""
    w = match.constant("w")
    if w is None or w.ndim != 2:
        return "its second factor is no constant matrix"
    if len(w) < _FEWEST:
        return ""
    if len(match.value("w").uses()) != 1:
        return "its table is used elsewhere too"
    return None if np.isfinite(w).all() else "its table holds infinities, which count in every row"


def _compared(match: Match) -> str | None:
    counted, shape, w = match.ints("n"), match.shape("i"), match.static_shape("w")
    if counted is None or shape is None or w is None:
        return ""
    if counted != tuple(range(w[0])) or shape[-1:] != (1,) or (match.rank("n") or 0) > len(shape):
        return "it is not compared with 0, 1, 2, … along the last axis"
    return _table(match)


def _hot(match: Match) -> str | None:
    values, depth = match.constant("v"), match.ints("n")
    if values is None or depth is None:
        return "its depth or its values are computed"
    if values.tolist() != [0, 1] or match.attr_int("axis") not in (-1, match.rank("i")):
        return "its values are not 0 and 1 along the last axis"
    return _table(match)


def _looked_up(match: Match, index: str) -> Replacement:
    """Everything that is no row, -1 and the number of rows among it, finds the zeros at the end."""
    w, kind = match.constant("w"), match.dtype("i")
    assert w is not None, "the guard let only constants through"
    assert kind is not None, "a rule's types are known"
    limits = {"first": -1, "last": len(w), "zero": 0}
    return Replacement(
        f"{index}; k = Clip (j, first, last); y = Gather (table, k)",
        constants={
            "table": np.concatenate([w, np.zeros_like(w[:1])]),
            "axes": np.asarray([-1], np.int64),
            **{name: np.asarray(number, kind.numpy()) for name, number in limits.items()},
        },
    )


def _from_compared(match: Match) -> Replacement:
    return _looked_up(match, "j = Squeeze (i, axes)")


def _from_hot(match: Match) -> Replacement:
    """OneHot counts negative indices from the end."""
    return _looked_up(match, "low = Less (i, zero); r = Add (i, last); j = Where (low, r, i)")


def _draw(draw: Draw) -> None:
    kind = draw.choice(ir.DataType.INT32, ir.DataType.INT64) if "Equal" in draw.ops else ir.DataType.INT64
    rows = draw.choice(17, 20)
    draw.input("i", *(("N", 3, 1) if "Equal" in draw.ops else ("N", 3)), dtype=kind)
    draw.feeds["i"] = draw.rng.integers(-25, 25, draw.feeds["i"].shape).astype(kind.numpy())
    draw.constant("n", np.arange(rows, dtype=kind.numpy()) if "Equal" in draw.ops else np.int64(rows))
    draw.constant("v", [0.0, 1.0])
    draw.constant("w", draw.array(rows, 4))
    draw.attribute("to", int(draw.dtype))
    draw.attribute("axis", draw.choice(-1, 2))
    draw.attribute("attrs", {})


def _draw_few(draw: Draw) -> None:
    _draw(draw)
    draw.constant("n", np.arange(4, dtype=draw.feeds["i"].dtype) if "Equal" in draw.ops else np.int64(4))
    draw.constant("w", draw.array(4, 4))


def _draw_shifted(draw: Draw) -> None:
    _draw(draw)
    draw.constant("n", np.arange(1, len(draw.constants["w"]) + 1, dtype=draw.feeds["i"].dtype))


def _draw_on_off(draw: Draw) -> None:
    _draw(draw)
    draw.constant("v", [0.0, 2.0])


RULES = (
    Rule(
        "compared-with-a-range",
        before="h = Equal (i, n); f = Cast <to = @to, **attrs> (h); y = MatMul (f, w)",
        after=_from_compared,
        guard=_compared,
        types={"i": "integer", "n": "integer", "w": "float"},
        exact=False,
        draw=_draw,
        refusals=(Refusal(_draw_few), Refusal(_draw_shifted, because="0, 1, 2")),
    ),
    Rule(
        "one-hot",
        before="f = OneHot <axis = @axis> (i, n, v); y = MatMul (f, w)",
        after=_from_hot,
        guard=_hot,
        types={"i": "integer", "w": "float"},
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw,
        refusals=(Refusal(_draw_few), Refusal(_draw_on_off, because="not 0 and 1")),
    ),
)


@dataclass(frozen=True)
class ReplaceOneHotProduct(Pass):
    """Look rows up instead of multiplying a matrix by rows with a single one.

    Before: ``h = Equal(i, [0, 1, 2, …]); y = MatMul(Cast(h), w)``, or OneHot in place of Equal and Cast.
    After:  ``y = Gather(w with a row of zeros behind it, Clip(Squeeze(i), -1, rows))``.
    Needs:  a constant matrix of finite numbers; integers.
    Keeps:  rows of zeros for indices out of range.
    Skips:  fewer than 16 rows; matrices with other uses.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
