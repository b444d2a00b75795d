"""FuseNormalizationScale: scale and bias that follow a normalisation become its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.passes.normalization._moments import SINGLES
from graphopt.passes.normalization._vectors import Place, channels, combined, fits, is_filled, last_axes
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Constant, Replacement
from graphopt.rewrite.rule import Guard, Refusal, RightSide, Rule

Vectors = tuple[dict[str, Constant], dict[str, ir.Value | tuple[ir.Value, ...]]]


@dataclass(frozen=True)
class _Kind:
    """One operator.

    Attributes:
        op: its name.
        attributes: as rules write them.
        place: where its vectors lie.
        bias: ``b``, ``b?`` where it may be missing, empty where there is none.
        min_opset: the oldest version that has it.
    """

    op: str
    attributes: str
    place: Callable[[Match], Place | None]
    bias: str
    min_opset: int

    def text(self, output: str, scale: str, bias: str) -> str:
        operands = ", ".join(filter(None, ("x", scale, bias)))
        return f"{output} = {self.op} <{self.attributes}> ({operands})"


_KINDS = (
    _Kind("LayerNormalization", "axis = @axis, epsilon = @e, stash_type = @t", last_axes, "b?", 17),
    _Kind("RMSNormalization", "axis = @axis, epsilon = @e, stash_type = @t", last_axes, "", 23),
    _Kind("InstanceNormalization", "epsilon = @e", channels, "b", 6),
    _Kind("GroupNormalization", "epsilon = @e, num_groups = @groups, stash_type = @t", channels, "b", 21),
)


def _scaled(kind: _Kind, match: Match) -> Vectors | str:
    """Scale and bias times c, or why c is none."""
    place = kind.place(match)
    if place is None:
        return "the size of the normalised axes is unknown"
    scale, bias, factor = match.constant("s"), match.constant("b"), match.constant("c")
    if is_filled(scale, 1.0) and "b" not in match and place.is_vector(match.value("c")):
        return {}, {"scale": match.value("c")}
    if factor is None:
        return ""
    wanted, held = place.vector(factor), fits(scale, place.dims)
    if wanted is None:
        return "the factor varies along other axes than the scale"
    if held is None:
        return "the scale is computed"
    made = {"scale": combined(held, wanted, held)}
    if "b" in match:
        old = fits(bias, place.dims)
        made["bias"] = None if old is None else combined(old, wanted, old)
    return _all(made, "scale or bias would overflow, or the bias is computed")


def _shifted(kind: _Kind, match: Match) -> Vectors | str:
    """The bias plus c, or why c is none."""
    place = kind.place(match)
    if place is None:
        return "the size of the normalised axes is unknown"
    bias, addend = match.constant("b"), match.constant("c")
    keep: dict[str, ir.Value | tuple[ir.Value, ...]] = {"scale": match.value("s")}
    is_zero = "b" not in match or (is_filled(bias, 0.0) and match.value("b").shape is not None)
    if is_zero and place.is_vector(match.value("c")):
        return {}, {**keep, "bias": match.value("c")}
    if addend is None:
        return ""
    wanted = place.vector(addend)
    if wanted is None:
        return "the addend varies along other axes than the bias"
    held = np.zeros_like(wanted) if "b" not in match else fits(bias, place.dims)
    if held is None:
        return "the bias is computed"
    found = _all({"bias": combined(held, wanted, held, add=True)}, "the bias would overflow")
    return found if isinstance(found, str) else (found[0], keep)


def _all(made: dict[str, np.ndarray | None], reason: str) -> Vectors | str:
    found: dict[str, Constant] = {name: array for name, array in made.items() if array is not None}
    return (found, {}) if len(found) == len(made) else reason


_Find = Callable[[_Kind, Match], Vectors | str]


def _guard(kind: _Kind, find: _Find) -> Guard:
    def guard(match: Match) -> str | None:
        found = find(kind, match)
        return found if isinstance(found, str) else None

    return guard


def _after(kind: _Kind, find: _Find) -> RightSide:
    def after(match: Match) -> Replacement:
        found = find(kind, match)
        assert not isinstance(found, str), "the guard has seen to it"
        constants, values = found
        bias = "bias" if "bias" in constants or "bias" in values else ""
        return Replacement(kind.text("y", "scale", bias), constants=constants, values=values)

    return after


def _draw(kind: _Kind, *shapes: tuple[int, ...]) -> Callable[[Draw], None]:
    """Draws x of [N, 4, 3, 6], vectors of the operator, and c of one of ``shapes``."""

    def draw_case(draw: Draw) -> None:
        draw.input("x", "N", 4, 3, 6)
        for name, value in (("axis", -1), ("e", 1e-3), ("t", 1), ("groups", 2)):
            draw.attribute(name, value)
        size = 6 if kind.place is last_axes else 4
        draw.constant("s", draw.choice(np.ones(size).astype(draw.dtype.numpy()), draw.array(size)))
        draw.constant("b", draw.array(size))
        if kind.bias == "b?" and draw.flag():
            draw.omit("b")
        draw.constant("c", draw.array(*draw.choice(*shapes)))

    return draw_case


def _fitting(kind: _Kind) -> tuple[tuple[int, ...], ...]:
    if kind.place is last_axes:
        return ((6,), (1, 6), (1, 1, 1, 6), (1,), ())
    return ((4, 1, 1), (1, 4, 1, 1), (1,), ())


def _rule(kind: _Kind, name: str, op: str, find: _Find) -> Rule:
    return Rule(
        f"{name}-of-{kind.op.removesuffix('Normalization').lower()}",
        before=f"{kind.text('n', 's', kind.bias)}; y = {op} (n, c)",
        after=_after(kind, find),
        guard=_guard(kind, find),
        min_opset=kind.min_opset,
        exact=False,
        dtypes=SINGLES,
        draw=_draw(kind, *_fitting(kind)),
        refusals=(Refusal(_draw(kind, (3, 1)), "along other axes"),),
    )


def _narrow(match: Match) -> str | None:
    """Guards a normalisation in float32 between casts: its scale must be ones, which no type rounds."""
    if match.attr_int("to") != match.value("x").dtype or match.attr_int("t") != ir.DataType.FLOAT:
        return "the casts do not lead back to the type of the operand"
    if match.value("x").dtype not in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16):
        return ""
    return None if is_filled(match.constant("s"), 1.0) else "its scale is applied in float32"


def _narrowed(op: str) -> RightSide:
    def after(match: Match) -> Replacement:
        scale, dtype = match.constant("s"), match.dtype("x")
        assert scale is not None, "the guard has seen to it"
        assert dtype is not None, "the guard has seen to it"
        text = f"y = {op} <axis = @axis, epsilon = @e> (x, scale)"
        return Replacement(text, constants={"scale": scale.astype(dtype.numpy())})

    return after


def _draw_narrow(draw: Draw) -> None:
    draw.input("x", "N", 3, 6)
    for name, value in (("axis", -1), ("e", 1e-3), ("t", 1), ("to", int(draw.dtype))):
        draw.attribute(name, value)
    draw.constant("s", np.ones(6, np.float32))


def _draw_scaled(draw: Draw) -> None:
    _draw_narrow(draw)
    draw.constant("s", draw.array(6, dtype=ir.DataType.FLOAT))


def _cast_rule(kind: _Kind) -> Rule:
    text = f"n = {kind.op} <{kind.attributes}> (w, s)"
    return Rule(
        f"casts-around-{kind.op.removesuffix('Normalization').lower()}",
        before=f"w = Cast <to = 1> (x); {text}; y = Cast <to = @to> (n)",
        after=_narrowed(kind.op),
        guard=_narrow,
        shared=("w",),
        min_opset=kind.min_opset,
        exact=False,
        dtypes=(ir.DataType.FLOAT16,),
        draw=_draw_narrow,
        refusals=(Refusal(_draw_scaled, "in float32"),),
    )


RULES = (
    *(_cast_rule(kind) for kind in _KINDS[:2]),
    *(_rule(kind, "scale", "Mul", _scaled) for kind in _KINDS),
    *(_rule(kind, "bias", "Add", _shifted) for kind in _KINDS if kind.bias),
)


@dataclass(frozen=True)
class FuseNormalizationScale(Pass):
    """Take a scale and a bias that follow a normalisation into it.

    Before: ``LayerNormalization(x, ones)·scale + bias``; the same behind RMSNormalization,
        InstanceNormalization (scale and bias per channel) and GroupNormalization; a normalisation between
        Cast to float32 and Cast back.
    After:  ``LayerNormalization(x, scale, bias)``; the normalisation without casts: it computes in float32.
    Needs:  the size of the axes the scale lies along.
    Keeps:  the element type; products of constants are rounded once.
    Skips:  factors that vary along other axes; scales and biases that are computed, unless they only take
        the place of ones; products that overflow; a result with other readers.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
