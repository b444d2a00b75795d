"""RecognizeGru: one step of a GRU, written out gate by gate, is the operator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.passes.recurrent._gates import Array, Gates, affine, gates
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Rule


@dataclass(frozen=True)
class _Half:
    """The three gates of the input, or those of the state: operand, weights and biases by gate."""

    operand: ir.Value
    weights: Array
    biases: Array


def _halves(match: Match) -> tuple[_Half, _Half] | str:
    """The input's half and the state's."""
    shape = match.shape("h1")
    size = shape[1] if shape is not None and len(shape) == 2 else None
    if not isinstance(size, int):
        return "the size of its state is unknown"
    # Which addend of a gate belongs to which half is settled by the candidate, whose halves differ.
    state = gates([match.value("hn")], size)
    entered = gates([match.value("xn")], size)
    if isinstance(state, str) or isinstance(entered, str):
        return state if isinstance(state, str) else str(entered)
    found: list[_Half] = []
    for half in (entered, state):
        made = _half(match, half, size)
        if isinstance(made, str):
            return made
        found.append(made)
    if found[1].operand is not match.value("h"):
        return "its state is not what its gates are computed from"
    return found[0], found[1]


def _half(match: Match, candidate: Gates, size: int) -> _Half | str:
    """Update, reset and candidate from one sum of one product."""
    parts = [candidate]
    for names in (("rx", "rh"), ("zx", "zh")):
        fitting = [
            part
            for name in names
            if isinstance(part := gates([match.value(name)], size), Gates) and part.source is candidate.source
        ]
        if len(fitting) != 1:
            return "its gates are computed apart"
        parts.insert(0, fitting[0])
    total = affine(candidate.source, 3 * size)
    if isinstance(total, str):
        return total
    if len(total.products) != 1 or sorted(part.begins[0] for part in parts) != [0, size, 2 * size]:
        return "its gates are no three slices of one product"
    operand, matrix = total.products[0]
    spans = [slice(part.begins[0], part.begins[0] + size) for part in parts]
    biases = [
        total.bias[span].astype(np.float64) + part.offsets[0] for span, part in zip(spans, parts, strict=True)
    ]
    weights = np.concatenate([matrix[:, span].T for span in spans])
    return _Half(operand, np.ascontiguousarray(weights[None]), np.concatenate(biases))


def _is_cell(match: Match) -> str | None:
    if match.value("h1").dtype == ir.DataType.DOUBLE:
        return "there are no kernels for it in float64"
    found = _halves(match)
    return found if isinstance(found, str) else None


def _step(match: Match) -> Replacement:
    found = _halves(match)
    assert not isinstance(found, str), "the guard let only cells through"
    entered, state = found
    biases = np.concatenate([entered.biases, state.biases])[None].astype(entered.weights.dtype)
    return Replacement(
        """
            xs = Unsqueeze (x, first)
            hs = Unsqueeze (h, first)
            _, hn1 = GRU <hidden_size = @size, linear_before_reset = 1> (xs, w, r, b, "", hs)
            h1 = Squeeze (hn1, first)
        """,
        constants={"w": entered.weights, "r": state.weights, "b": biases, "first": np.zeros(1, np.int64)},
        values={"x": entered.operand},
        attributes={"size": int(state.weights.shape[2])},
    )


_GATES = """
    r1 = Add (rx, rh)
    r = Sigmoid (r1)
    z1 = Add (zx, zh)
    z = Sigmoid (z1)
    n1 = Mul (r, hn)
    n2 = Add (xn, n1)
    n = Tanh (n2)
"""

# The gates are followed to their sums by hand, because there is no end to how they are written: these
# rules are not drawn but tried on spellings, in tests/passes/test_recurrent.py.
_RULES = (
    Rule(
        "cell",
        before=f"{_GATES}; o = Sub (1.0, z); new = Mul (o, n); old = Mul (z, h); h1 = Add (new, old)",
        after=_step,
        guard=_is_cell,
        exact=False,
    ),
    Rule(
        "cell-by-difference",
        before=f"{_GATES}; d = Sub (h, n); part = Mul (z, d); h1 = Add (n, part)",
        after=_step,
        guard=_is_cell,
        exact=False,
    ),
)


@dataclass(frozen=True)
class RecognizeGru(Pass):
    """Name one step of a GRU.

    Before: ``rx, zx, xn = Split(Gemm(x, w)); rh, zh, hn = Split(Gemm(h, r)); z = sigmoid(zx + zh);
            n = tanh(xn + sigmoid(rx + rh)·hn); h1 = (1 - z)·n + z·h``.
    After:  ``_, h1 = GRU<linear_before_reset=1>(x, w, r, b, initial_h=h)``, one step long.
    Needs:  constant weights, and gates that are slices of two products, in any order.
    Keeps:  h1 for whoever reads it; the weights in a new order, which all steps share.
    Skips:  cells that reset the state before the product.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, _RULES, self.name(), ctx)
