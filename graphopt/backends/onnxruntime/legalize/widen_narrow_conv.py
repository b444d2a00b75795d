"""WidenNarrowConv: neighbouring columns of a convolution with few output channels become channels."""

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
from graphopt.rewrite.rule import Refusal, Rule

_LANES = 16
"""Output channels ONNX Runtime's blocked convolution computes at once; fewer leave lanes idle."""

_MOST = 4 * _LANES
_COST = {1: 1.0, 2: 1.5, 3: 2.1, 4: 2.6}
"""Time of so many blocks of channels over one: they share the loads of the input."""

_COLUMNS = 16
"""Fewer columns than this spend their time at the borders."""

_ACTIVATIONS = ("Relu", "Sigmoid", "Tanh", "LeakyRelu", "HardSigmoid")
"""What ONNX Runtime computes inside a convolution: it has to stay next to it."""


@dataclass(frozen=True)
class _Shape:
    """A convolution along its last axis: channels in and out, kernel, stride, padding, columns out."""

    taps: int
    outputs: int
    kernel: int
    stride: int
    columns: int
    spare: int
    """Columns of the padded input that no output reads."""

    def widened(self, count: int) -> int:
        """Kernel columns that cover ``count`` neighbouring outputs."""
        return self.kernel + self.stride * (count - 1)

    def cost(self, count: int) -> float:
        """Kernel columns per output column, weighed by what a pass over them costs."""
        return self.widened(count) / count * _COST[-(-count * self.outputs // _LANES)]

    def best(self) -> int:
        """How many neighbours to compute at once; 1 where that does not pay for putting them in place."""
        counts = [n for n in (2, 4, 8, 16, 32) if n * self.outputs <= _MOST and self.columns >= n * _COLUMNS]
        best = min(counts, key=self.cost, default=1)
        saved = self.taps * (self.kernel - self.cost(best))
        return best if saved >= 4 * self.outputs and self.cost(best) <= 0.75 * self.kernel else 1


def _shape(match: Match) -> _Shape | str:
    w, x = match.static_shape("w"), match.shape("x")
    if x is None or len(x) != 4 or w is None:
        return "it is not over two axes"
    if w[0] > _LANES // 2:
        return ""
    if not isinstance(x[3], int):
        return "the width of its input is open"
    if match.attr_ints("dilations") not in (None, (1, 1)):
        return "its taps lie apart"
    if w[1] >= _LANES and w[1] % 4:
        return f"ONNX Runtime does not compute {w[1]} input channels in blocks"
    pads, strides = match.attr_ints("pads") or (0,) * 4, match.attr_ints("strides") or (1, 1)
    free = x[3] + pads[1] + pads[3] - w[3]
    return _Shape(w[1] * w[2], w[0], w[3], strides[1], free // strides[1] + 1, free % strides[1])


def _narrow(match: Match) -> str | None:
    if not match.is_constant("w") or ("b" in match and not match.is_constant("b")):
        return "its weights are computed"
    shape = _shape(match)
    if isinstance(shape, str):
        return shape
    return None if shape.best() > 1 else "too little work is saved"


def _narrow_alone(match: Match) -> str | None:
    readers = match.value("y").consumers()
    if not match.value("y").is_graph_output() and [r.op_type in _ACTIVATIONS for r in readers] == [True]:
        return ""
    return _narrow(match)


def _widened(match: Match) -> Replacement:
    """Row r of the weights is the kernel moved r strides to the right: a Toeplitz matrix.

    Written from the stored weights, which ONNX Runtime computes once when it opens the model: a row
    padded by one stride more than the widened kernel, repeated and cut up again at the kernel's width.
    """
    shape, w = _shape(match), match.static_shape("w")
    assert not isinstance(shape, str), "the guard let only what fits through"
    assert w is not None, "the guard let only what fits through"
    count = shape.best()
    wide, stride = shape.widened(count), shape.stride
    groups = -(-shape.columns // count)
    pads, strides = list(match.attr_ints("pads") or (0,) * 4), match.attr_ints("strides") or (1, 1)
    missing = groups * count - shape.columns
    # The groups read up to here; outputs beyond the last column are cut off again.
    pads[3] += max(0, missing * stride - shape.spare)
    integers = {
        "padding": [0, 0, 0, 0, 0, 0, 0, wide + stride - w[3]],
        "rows": [*w[:3], 1, wide + stride],
        "repeated": [*w[:3], count, wide + stride],
        "flat": [*w[:3], count * (wide + stride)],
        "start": [0],
        "end": [count * wide],
        "last": [3],
        "cut": [*w[:3], count, wide],
        "kernels": [count * w[0], w[1], w[2], wide],
        "apart": [0, count, w[0], -1, groups],
        "together": [0, 0, 0, groups * count],
        "columns": [shape.columns],
    }
    constants: dict[str, Constant] = {name: np.asarray(value, np.int64) for name, value in integers.items()}
    bias = ""
    if "b" in match:
        constants["biases"] = np.tile(np.asarray(match.constant("b")), count)
        bias = ", biases"
    activation = match.root.op_type if match.root.op_type != "Conv" else ""
    text = f"""
        padded = Pad (w, padding)
        single = Reshape (padded, rows)
        several = Expand (single, repeated)
        line = Reshape (several, flat)
        used = Slice (line, start, end, last)
        moved = Reshape (used, cut)
        first = Transpose <perm = [3, 0, 1, 2, 4]> (moved)
        v = Reshape (first, kernels)
        c = Conv <pads = @padding, strides = @steps> (x, v{bias})
        a = {f"{activation} <**of_y> (c)" if activation else "c"}
        p = Reshape (a, apart)
        q = Transpose <perm = [0, 2, 3, 4, 1]> (p)
        {"y = Reshape (q, together)" if not missing else "r = Reshape (q, together)"}
        {"y = Slice (r, start, columns, last)" if missing else ""}
    """
    steps = (strides[0], stride * count)
    return Replacement(text, constants=constants, attributes={"padding": tuple(pads), "steps": steps})


def _draw(draw: Draw) -> None:
    inputs, outputs, kernel = draw.choice((1, 1, 9), (8, 1, 5), (8, 2, 5), (16, 8, 9))
    stride = draw.choice(1, 2, 3)
    draw.input("x", "N", inputs, "H", 80 * stride + int(draw.choice(0, 1, 5)))
    draw.constant("w", draw.rng.normal(0, 0.1, (outputs, inputs, 1, kernel)).astype(np.float32))
    draw.constant("b", draw.array(outputs))
    if draw.flag():
        draw.omit("b")
    draw.attribute("pads", draw.choice((0, 0, 0, 0), (1, 2, 0, 1)))
    draw.attribute("strides", (draw.choice(1, 2), stride))
    draw.attribute("dilations", draw.choice((1, 1), None))
    draw.attribute("kernel", draw.choice((1, kernel), None))
    draw.attribute("of_y", {})


def _draw_wide(draw: Draw) -> None:
    _draw(draw)
    draw.input("x", "N", 3, "H", 64)
    draw.constant("w", draw.array(16, 3, 1, 5))
    draw.omit("b")


def _draw_small(draw: Draw) -> None:
    _draw(draw)
    draw.input("x", "N", 64, "H", 64)
    draw.constant("w", draw.array(3, 64, 1, 1))
    draw.attribute("kernel", None)
    draw.omit("b")


_CONV = "Conv <dilations = @dilations, kernel_shape = @kernel, pads = @pads, strides = @strides> (x, w, b?)"
_ACTIVATION = " | ".join(f"{op} <**of_y> (c)" for op in _ACTIVATIONS)
_REFUSALS = (Refusal(_draw_wide), Refusal(_draw_small, because="too little work"))

RULES = (
    Rule(
        "conv-and-activation",
        before=f"c = {_CONV}; y = {_ACTIVATION}",
        after=_widened,
        guard=_narrow,
        types={"x": "float32"},
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw,
        refusals=_REFUSALS,
    ),
    Rule(
        "conv",
        before=f"y = {_CONV}",
        after=_widened,
        guard=_narrow_alone,
        types={"x": "float32"},
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw,
        refusals=_REFUSALS,
    ),
)


@dataclass(frozen=True)
class WidenNarrowConv(Pass):
    """Compute neighbouring columns of a convolution with few output channels as channels of one.

    ONNX Runtime 1.31 computes output channels in blocks of 16, idle or not. A convolution with one
    output channel, kernel 5x5 and stride 1 does a sixteenth of the work of one with 8 channels, kernel
    5x12 and stride 8 that yields 8 neighbouring columns each, and takes 2.7 times as long.

    Before: ``y = Conv<strides=[1, s]>(x, w, b)``, w of shape [O, C, K, L].
    After:  ``y = columns of channels(Conv<strides=[1, n·s]>(x, v, b repeated))``, v of shape
            [n·O, C, K, L + (n-1)·s]: w, moved by s columns from one repetition to the next.
    Needs:  constant weights, float32, the width of the input.
    Keeps:  the size of the model: v is computed from w when the session opens; an activation that
            ONNX Runtime fuses stays next to the convolution.
    Skips:  groups, dilations, more than 8 output channels, little work, computed weights. Inputs that
            are infinite spread NaN as far as the widened kernel reaches.
    """

    backend: ClassVar[str] = "onnxruntime"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
