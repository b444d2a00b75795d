"""RecognizeLstm: one step of an LSTM, written out gate by gate, is the operator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.passes.recurrent._gates import Affine, Array, Gates, affine, gates
from graphopt.passes.recurrent._states import recurrent_first
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Rule

_ORDER = ("i", "o", "f", "g")
"""Input, output and forget gate, then the candidate, as ONNX orders them."""


@dataclass(frozen=True)
class _Cell:
    """What a step computes from: input and state, and their weights in ONNX's order of gates."""

    x: ir.Value
    h: ir.Value
    w: Array
    r: Array
    bias: Array


def _cell(match: Match) -> _Cell | str:
    size = _size(match)
    if size is None:
        return "the size of its state is unknown"
    found = gates([match.value(name) for name in _ORDER], size)
    if isinstance(found, str):
        return found
    if sorted(found.begins) != [0, size, 2 * size, 3 * size]:
        return "its gates overlap"
    total = affine(found.source, 4 * size)
    if isinstance(total, str):
        return total
    pair = recurrent_first(total.products, size, match.value("c"))
    if pair is None:
        return "it has no product of its state"
    (h, r), (x, w) = pair
    return _Cell(x, h, _ordered(found, w), _ordered(found, r), _biases(found, total))


def _size(match: Match) -> int | None:
    shape = match.shape("c1")
    last = shape[1] if shape is not None and len(shape) == 2 else None
    return last if isinstance(last, int) else None


def _ordered(found: Gates, matrix: Array) -> Array:
    """Columns by gate as rows by gate, for one direction."""
    rows = [matrix[:, begin : begin + found.size].T for begin in found.begins]
    return np.ascontiguousarray(np.concatenate(rows)[None])


def _biases(found: Gates, total: Affine) -> Array:
    """Biases of the input's products; those of the state's are zero."""
    parts = [
        total.bias[begin : begin + found.size].astype(np.float64) + offset
        for begin, offset in zip(found.begins, found.offsets, strict=True)
    ]
    whole = np.concatenate([*parts, *(np.zeros_like(part) for part in parts)])
    return whole[None].astype(total.bias.dtype)


def _is_cell(match: Match) -> str | None:
    if match.value("h1").dtype == ir.DataType.DOUBLE:
        return "there are no kernels for it in float64"
    found = _cell(match)
    return found if isinstance(found, str) else None


def _step(match: Match) -> Replacement:
    cell = _cell(match)
    assert not isinstance(cell, str), "the guard let only cells through"
    return Replacement(
        """
            xs = Unsqueeze (x, first)
            hs = Unsqueeze (h, first)
            cs = Unsqueeze (c, first)
            _, hn, cn = LSTM <hidden_size = @size> (xs, w, r, b, "", hs, cs)
            h1 = Squeeze (hn, first)
            c1 = Squeeze (cn, first)
        """,
        constants={"w": cell.w, "r": cell.r, "b": cell.bias, "first": np.zeros(1, np.int64)},
        values={"x": cell.x, "h": cell.h},
        attributes={"size": int(cell.r.shape[2])},
    )


# The gates are followed to their sum by hand, because there is no end to how it is written: these rules
# are not drawn but tried on spellings, in tests/passes/test_recurrent.py.
_RULES = (
    Rule(
        "cell",
        before="""
            (i, f, g, o, c) => (h1, c1) {
                forget = Sigmoid (f)
                enter = Sigmoid (i)
                new = Tanh (g)
                kept = Mul (forget, c)
                added = Mul (enter, new)
                c1 = Add (kept, added)
                shown = Tanh (c1)
                leave = Sigmoid (o)
                h1 = Mul (leave, shown)
            }
        """,
        after=_step,
        guard=_is_cell,
        exact=False,
    ),
)


@dataclass(frozen=True)
class RecognizeLstm(Pass):
    """Name one step of an LSTM.

    Before: ``i, f, g, o = Split(Gemm(x, w) + Gemm(h, r)); c1 = sigmoid(f)·c + sigmoid(i)·tanh(g);
            h1 = sigmoid(o)·tanh(c1)``.
    After:  ``_, h1, c1 = LSTM(x, w, r, b, initial_h=h, initial_c=c)``, one step long.
    Needs:  constant weights, and gates that are slices of one sum, in any order.
    Keeps:  h1 and c1 for whoever reads them; the weights in a new order, which all steps share.
    Skips:  cells with peepholes, projections or other activations.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, _RULES, self.name(), ctx)
