"""SpellQuantizedSteps: quantised steps other than products are computed in floats between quantisers."""

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
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule

_BYTES = (ir.DataType.INT8, ir.DataType.UINT8)

_IN = "x = DequantizeLinear (q, xs, xz?)"


def _quantised(match: Match) -> str:
    """The last step: without a zero point the result would be uint8, whatever it was."""
    if "yz" in match:
        return "y = QuantizeLinear (t, ys, yz)"
    kind = match.dtype("q")
    return f"y = QuantizeLinear <output_dtype = {int(kind or ir.DataType.UINT8)}> (t, ys)"


def _sigmoid(match: Match) -> str:
    return f"{_IN}; t = Sigmoid (x); {_quantised(match)}"


def _leaky_relu(match: Match) -> str:
    return f"{_IN}; t = LeakyRelu <alpha = @alpha> (x); {_quantised(match)}"


def _softmax(match: Match) -> str:
    return f"{_IN}; t = Softmax <axis = @axis> (x); {_quantised(match)}"


def _refuses_softmax(match: Match) -> str | None:
    rank, axis = match.rank("q"), match.attr_int("axis")
    if rank is None or axis is None:
        return "its rank is unknown"
    old = (match.attr_int("since") or 0) < 13
    return "it runs along all axes from one on" if old and axis % rank != rank - 1 else None


def _refuses_layout(match: Match) -> str | None:
    return "its channels are last" if match.attr_int("last") else None


def _global_pool(match: Match) -> str:
    return f"{_IN}; t = GlobalAveragePool (x); {_quantised(match)}"


def _pool(match: Match) -> str:
    return f"{_IN}; t = AveragePool <**attrs> (x); {_quantised(match)}"


def _refuses_concat(match: Match) -> str | None:
    return None if len(match.all("xs")) % 3 == 0 else "an operand lacks its scale"


def _concat(match: Match) -> Replacement:
    triples = match.all("xs")
    lines, names, values = [], [], {}
    for index in range(0, len(triples), 3):
        names.append(f"x{index}")
        for part, value in zip("qsz", triples[index : index + 3], strict=True):
            values[f"{part}{index}"] = value
        lines.append(f"x{index} = DequantizeLinear (q{index}, s{index}, z{index})")
    lines += [f"t = Concat <axis = @axis> ({', '.join(names)})", "y = QuantizeLinear (t, ys, yz)"]
    return Replacement("\n".join(lines), values=values)


def _draw_bytes(draw: Draw, name: str, kind: ir.DataType, *shape: int) -> None:
    draw.input(name, *shape, dtype=kind)
    draw.feeds[name] = draw.rng.integers(0, 256, shape).astype(np.uint8).view(kind.numpy())


def _draw(draw: Draw, *shape: int) -> ir.DataType:
    """Scales that leave no result on the edge between two numbers."""
    kind = draw.choice(*_BYTES)
    _draw_bytes(draw, "q", kind, *shape)
    for scale, size in (("xs", 0.25), ("rs", 0.5), ("ys", 0.7301)):
        draw.constant(scale, size, dtype=ir.DataType.FLOAT)
    for zero in ("xz", "rz", "yz"):
        draw.constant(zero, int(draw.rng.integers(0, 9)), dtype=kind)
    draw.result("y", *shape, dtype=kind)
    return kind


def _draw_quantizer(draw: Draw) -> None:
    kind = _draw(draw, 2, 3, 4)
    draw.input("x", 2, 3, 4)
    draw.attribute("attrs", {})
    draw.result("y", 2, 3, 4, dtype=kind if draw.ops[0] == "QuantizeLinear" else ir.DataType.FLOAT)


def _draw_step(draw: Draw) -> None:
    _draw(draw, 2, 3, 4, 4)
    draw.attribute("alpha", 0.5)
    if draw.ops[0] in ("QLinearSigmoid", "QLinearSoftmax"):
        draw.constant("ys", 1 / 256, dtype=ir.DataType.FLOAT)
    draw.attribute("axis", -1)
    draw.attribute("since", 13)


def _draw_softmax_old(draw: Draw) -> None:
    _draw_step(draw)
    draw.attribute("axis", 1)
    draw.attribute("since", 11)


def _draw_pool(draw: Draw) -> None:
    kind = _draw(draw, 1, 3, 4, 4)
    draw.attribute("last", 0)
    is_global = "QLinearGlobalAveragePool" in draw.ops
    draw.attribute("attrs", {} if is_global else {"kernel_shape": (2, 2)})
    draw.result("y", 1, 3, *((1, 1) if is_global else (3, 3)), dtype=kind)


def _draw_channels_last(draw: Draw) -> None:
    _draw_pool(draw)
    draw.attribute("last", 1)


def _draw_concat(draw: Draw) -> None:
    kind = _draw(draw, 2, 3)
    draw.inputs.pop("q")
    draw.counts["xs"] = 6
    for index, (scale, zero) in enumerate((("xs", "xz"), ("rs", "rz"))):
        _draw_bytes(draw, f"xs_{3 * index}", kind, 2, 3)
        draw.constant(f"xs_{3 * index + 1}", draw.constants[scale])
        draw.constant(f"xs_{3 * index + 2}", draw.constants[zero])
    draw.attribute("axis", 1)
    draw.result("y", 2, 6, dtype=kind)


_FLOAT = (ir.DataType.FLOAT,)

RULES = (
    Rule(
        "quantize",
        before="y = com.microsoft.QuantizeLinear <**attrs> (x, ys, yz?)",
        after="y = QuantizeLinear <**attrs> (x, ys, yz?)",
        min_opset=21,
        dtypes=_FLOAT,
        draw=_draw_quantizer,
    ),
    Rule(
        "dequantize",
        before="y = com.microsoft.DequantizeLinear <**attrs> (q, xs, xz?)",
        after="y = DequantizeLinear <**attrs> (q, xs, xz?)",
        min_opset=21,
        dtypes=_FLOAT,
        draw=_draw_quantizer,
    ),
    Rule(
        "sigmoid",
        before="y = com.microsoft.QLinearSigmoid (q, xs, xz?, ys, yz?)",
        after=_sigmoid,
        dtypes=_FLOAT,
        draw=_draw_step,
    ),
    Rule(
        "leaky-relu",
        before="y = com.microsoft.QLinearLeakyRelu <alpha = @alpha> (q, xs, xz?, ys, yz?)",
        after=_leaky_relu,
        dtypes=_FLOAT,
        draw=_draw_step,
    ),
    Rule(
        "softmax",
        before="y = com.microsoft.QLinearSoftmax <axis = @axis, opset = @since> (q, xs, xz?, ys, yz)",
        after=_softmax,
        guard=_refuses_softmax,
        dtypes=_FLOAT,
        draw=_draw_step,
        refusals=(Refusal(_draw_softmax_old, because="all axes"),),
    ),
    Rule(
        "global-pool",
        before="y = com.microsoft.QLinearGlobalAveragePool <channels_last = @last> (q, xs, xz, ys, yz)",
        after=_global_pool,
        guard=_refuses_layout,
        dtypes=_FLOAT,
        draw=_draw_pool,
        refusals=(Refusal(_draw_channels_last, because="last"),),
    ),
    Rule(
        "pool",
        before="""
            y = com.microsoft.QLinearAveragePool <channels_last = @last, **attrs> (q, xs, xz?, ys, yz?)
        """,
        after=_pool,
        guard=_refuses_layout,
        dtypes=_FLOAT,
        draw=_draw_pool,
        refusals=(Refusal(_draw_channels_last, because="last"),),
    ),
    Rule(
        "concat",
        before="y = com.microsoft.QLinearConcat <axis = @axis> (ys, yz, *xs)",
        after=_concat,
        guard=_refuses_concat,
        dtypes=_FLOAT,
        draw=_draw_concat,
    ),
)


@dataclass(frozen=True)
class SpellQuantizedSteps(Pass):
    """Compute the quantised steps of ONNX Runtime (QLinearSigmoid, QLinearConcat, …) in floats.

    Before: ``y = com.microsoft.QLinearSigmoid(q, s, z, u, v)``.
    After:  ``y = QuantizeLinear(Sigmoid(DequantizeLinear(q, s, z)), u, v)``.
    Needs:  a Softmax along its last axis; channels behind the batch.
    Keeps:  every number but those on the edge between two, which ONNX Runtime's tables may round otherwise.
    Skips:  channels last; a Softmax of the old kind along several axes.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
