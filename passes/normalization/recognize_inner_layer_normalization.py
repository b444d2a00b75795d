"""RecognizeInnerLayerNormalization: mean and variance over an inner axis as LayerNormalization."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.passes.normalization._moments import (
    CENTRED,
    LARGEST,
    QUOTIENT,
    SINGLES,
    UNCENTRED,
    draw_moments,
    epsilon_miss,
    filled,
    number,
)
from graphopt.passes.normalization._vectors import Place
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.constants import constant_array
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule


def _place(match: Match) -> Place | str:
    """Where the one axis is, or why there is none before the last."""
    shape, axes = match.shape("x"), {match.ints("axes_m"), match.ints("axes_v")}
    if shape is None or None in axes:
        return ""
    found = {tuple(sorted(axis % len(shape) for axis in each)) for each in axes if each is not None}
    only = next(iter(found))
    if len(found) != 1 or len(only) != 1 or not 0 < only[0] < len(shape) - 1:
        return ""
    size = shape[only[0]]
    if not isinstance(size, int):
        return "the size of the normalised axis is unknown"
    if size > LARGEST:
        return f"a scale of {size} ones would have to be stored"
    return Place(len(shape), only[0], (size,))


def _guard(match: Match) -> str | None:
    place = _place(match)
    if isinstance(place, str):
        return place
    if match.dtype("x") not in SINGLES:
        return "LayerNormalization computes in float32"
    for name in filter(match.__contains__, ("gamma", "beta")):
        array = match.constant(name)
        if array is None or place.vector(array) is None:
            return "scale or bias does not lie along the normalised axis"
    if _goes_on(match, place):
        return ""  # the spelling with what follows comes next
    return epsilon_miss(match)


def _goes_on(match: Match, place: Place) -> bool:
    """Whether the only reader of y applies a scale or a bias that another spelling takes in."""
    y = match.value("y")
    readers = [use.node for use in y.uses()]
    if y.is_graph_output() or len(readers) != 1 or "beta" in match:
        return False
    wanted = ("Add",) if "gamma" in match else ("Add", "Mul")
    if readers[0].domain != "" or readers[0].op_type not in wanted:
        return False
    arrays = [constant_array(value) for value in readers[0].inputs if value is not y]
    return any(array is not None and place.vector(array) is not None for array in arrays)


def _after(match: Match) -> Replacement:
    place = _place(match)
    assert isinstance(place, Place), "the guard has seen to it"
    others = [axis for axis in range(place.rank) if axis != place.first]
    to_last = (*others, place.first)
    constants = {"scale": filled(place.dims, 1.0, match.dtype("x"))}
    for name, source in (("scale", "gamma"), ("bias", "beta")):
        array = match.constant(source)
        vector = None if array is None else place.vector(array)
        if vector is not None:
            constants[name] = vector
    return Replacement(
        f"""
            t = Transpose <perm = @to_last> (x)
            l = LayerNormalization <epsilon = @epsilon> (t, {", ".join(constants)})
            y = Transpose <perm = @back> (l)
        """,
        constants=constants,
        attributes={
            "to_last": to_last,
            "back": tuple(int(axis) for axis in np.argsort(to_last)),
            "epsilon": number(match, "epsilon") or 0.0,
        },
    )


def _draw(draw: Draw) -> None:
    draw_moments(draw, *draw.choice((("N", 6, 3), (1,)), (("N", 6, 2, 3), (1,)), (("N", 2, 6, 3), (2,))))
    rank, axis = len(draw.inputs["x"]), int(draw.constants["axes_m"][0])
    shape = [1] * (rank - axis % rank)
    shape[0] = 6
    for name in ("gamma", "beta"):
        draw.constant(name, draw.array(*draw.choice(tuple(shape), (1,))))


def _draw_last(draw: Draw) -> None:
    draw_moments(draw, ("N", 3, 6), (2,))
    for name in ("gamma", "beta"):
        draw.constant(name, draw.array(6))


def _draw_open(draw: Draw) -> None:
    draw_moments(draw, ("N", "C", 6), (1,))
    for name in ("gamma", "beta"):
        draw.constant(name, draw.array(1))


def _rule(name: str, variance: str, end: str) -> Rule:
    return Rule(
        name,
        before=f"{variance}; {end}",
        after=_after,
        guard=_guard,
        min_opset=18,
        exact=False,
        dtypes=SINGLES,
        draw=_draw,
        refusals=(Refusal(_draw_last), Refusal(_draw_open, "is unknown")),
    )


def _simplified(text: str) -> str:
    """The spelling that simplifying leads to: squares as products, one over z as its reciprocal."""
    return text.replace(" | Pow (d, 2.0)", "").replace(" | Div (1.0, q)", "")


_QUOTIENTS = {
    "quotient": QUOTIENT.replace("n =", "y ="),
    "scaled": f"{QUOTIENT}; y = Mul (n, gamma)",
    "shifted": f"{QUOTIENT}; y = Add (n, beta)",
    "scaled-and-shifted": f"{QUOTIENT}; k = Mul (n, gamma); y = Add (k, beta)",
}
_SCALE_FIRST = {
    "scale-first": "g = Mul (r, gamma); y = Mul (d, g)",
    "scale-first-shifted": "g = Mul (r, gamma); k = Mul (d, g); y = Add (k, beta)",
}

RULES = (
    *(_rule(name, _simplified(CENTRED), end) for name, end in (_QUOTIENTS | _SCALE_FIRST).items()),
    *(_rule(f"uncentred-{name}", _simplified(UNCENTRED), end) for name, end in _SCALE_FIRST.items()),
)


@dataclass(frozen=True)
class RecognizeInnerLayerNormalization(Pass):
    """Recognise normalisation over one inner axis as LayerNormalization of the transposed operand.

    Before: ``d = x - mean(x, 1); d/√(mean(d², 1) + ε)·scale + bias`` over the channels of an image.
    After:  ``Transpose(LayerNormalization(Transpose(x), scale, bias))``: one pass over the data in place of
        eight; a transposition that follows cancels.
    Needs:  opset 18; the size of the axis; the spellings of ``simplify-powers`` and ``simplify-division``.
    Keeps:  the element type; the sums are taken in float32 and centred, so errors become no larger.
    Skips:  float64; several axes; a scale along another axis; inner values with other readers.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
