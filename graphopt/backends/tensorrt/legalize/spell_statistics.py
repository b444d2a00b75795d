"""SpellStatistics: normalisations that also return what they normalise by, or compute it from the batch."""

from __future__ import annotations

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
from graphopt.rewrite.rule import Rule

_WIDE = frozenset({ir.DataType.FLOAT, ir.DataType.DOUBLE})
"""Element types whose statistics need no wider type."""


def _refuses_layer(match: Match) -> str | None:
    rank, axis = match.rank("x"), match.attr_int("axis")
    if rank is None or axis is None or match.dtype("x") is None:
        return "the rank or type of what is normalised is not known"
    if not any(match.value(name).uses() or match.value(name).is_graph_output() for name in ("mean", "inv")):
        return ""
    return None


def _layer(match: Match) -> Replacement:
    """The operator computes its first result as before; the statistics are computed beside it, in float32."""
    rank, axis = match.rank("x"), match.attr_int("axis")
    assert rank is not None, "the guard asks for it"
    assert axis is not None, "axis has a default"
    eps = match.attr("e")
    assert isinstance(eps, float), "epsilon has a default"
    wide = match.dtype("x") in _WIDE
    dtype = match.dtype("x") if wide else ir.DataType.FLOAT
    assert dtype is not None, "the guard asks for it"
    text = f"""
        y = LayerNormalization <axis = @axis, epsilon = @e, stash_type = @stash> (x, s, b?)
        wide = {"x" if wide else "Cast <to = 1> (x)"}
        average = ReduceMean (wide, axes)
        part = Sub (wide, average)
        square = Mul (part, part)
        spread = ReduceMean (square, axes)
        safe = Add (spread, eps)
        root = Sqrt (safe)
        mean = average
        inv = Reciprocal (root)
    """
    axes = np.arange(axis % rank, rank, dtype=np.int64)
    return Replacement(text, {"axes": axes, "eps": np.asarray(eps, dtype.numpy())})


def _refuses_batch(match: Match) -> str | None:
    if match.rank("x") is None or match.dtype("x") not in _WIDE:
        return "the rank of what is normalised is not known, or it is not in float32"
    return None


def _batch(match: Match) -> Replacement:
    rank, dtype = match.rank("x"), match.dtype("x")
    eps, momentum = match.attr("e"), match.attr("m")
    assert rank is not None, "the guard asks for it"
    assert dtype is not None, "the guard asks for it"
    assert isinstance(eps, float), "epsilon has a default"
    assert isinstance(momentum, float), "momentum has a default"
    text = """
        average = ReduceMean (x, axes)
        part = Sub (x, average)
        square = Mul (part, part)
        spread = ReduceMean (square, axes)
        safe = Add (spread, eps)
        root = Sqrt (safe)
        unit = Div (part, root)
        factor = Reshape (s, per_channel)
        offset = Reshape (b, per_channel)
        scaled = Mul (unit, factor)
        y = Add (scaled, offset)
        average1 = Reshape (average, flat)
        spread1 = Reshape (spread, flat)
        old_mean = Mul (m, kept)
        new_mean = Mul (average1, taken)
        old_var = Mul (v, kept)
        new_var = Mul (spread1, taken)
    """
    if "rm" in match.values:
        text += "rm = Add (old_mean, new_mean); rv = Add (old_var, new_var)"
    else:
        text = text[: text.index("average1 =")]
    constants: dict[str, Constant] = {
        "axes": np.asarray([0, *range(2, rank)], np.int64),
        "per_channel": np.asarray([1, -1] + [1] * (rank - 2), np.int64),
        "eps": np.asarray(eps, dtype.numpy()),
    }
    if "rm" in match.values:
        constants["flat"] = np.asarray([-1], np.int64)
        constants["kept"] = np.asarray(momentum, dtype.numpy())
        constants["taken"] = np.asarray(1.0 - momentum, dtype.numpy())
    return Replacement(text, constants)


def _draw_layer(draw: Draw) -> None:
    axis = draw.choice(-1, 1, 0)
    shape = (2, 3, 4)
    draw.input("x", *shape)
    draw.input("s", *shape[axis:])
    draw.input("b", *shape[axis:])
    draw.attribute("axis", axis)
    draw.attribute("e", draw.choice(1e-5, 1e-2))
    draw.attribute("stash", 1)
    if draw.flag():
        draw.omit("b")


RULES = (
    Rule(
        "layer-statistics",
        before="""
            y, mean, inv = LayerNormalization <axis = @axis, epsilon = @e, stash_type = @stash> (x, s, b?)
        """,
        after=_layer,
        guard=_refuses_layer,
        min_opset=18,
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw_layer,
    ),
)


def _trained(name: str, results: str) -> Rule:
    return Rule(
        name,
        before=f"""
            {results} = BatchNormalization <training_mode = 1, epsilon = @e, momentum = @m> (x, s, b, m, v)
        """,
        after=_batch,
        guard=_refuses_batch,
        min_opset=18,
        exact=False,
    )


_TRAINED = (_trained("batch-statistics", "y"), _trained("running-statistics", "y, rm, rv"))
"""Apart from the others: ONNX's inference wants all results, ONNX Runtime mixes some up with its inputs."""


@dataclass(frozen=True)
class SpellStatistics(Pass):
    """Compute means and variances by reductions where a normalisation returns them or takes the batch's.

    TensorRT's LayerNormalization has one result, and its BatchNormalization no training mode.

    Before: ``y, mean, inv = LayerNormalization(x, s, b)``;
            ``y, rm, rv = BatchNormalization<training_mode=1>(x, s, b, m, v)``.
    After:  ``y = LayerNormalization(x, s, b)`` beside ``mean = ReduceMean(x)`` and
            ``inv = Reciprocal(Sqrt(ReduceMean((x - mean)²) + ε))``; for the other the same, and its sums.
    Needs:  rank and element type.
    Keeps:  the operator for the result it has.
    Skips:  batch statistics in float16.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, (*RULES, *_TRAINED), self.name(), ctx)
