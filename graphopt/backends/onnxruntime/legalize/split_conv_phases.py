"""SplitConvPhases: with few output channels, a convolution computes neighbouring pixels as channels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from itertools import product
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

_ACTIVATIONS = ("Relu", "Sigmoid", "Tanh", "HardSwish")
"""ONNX Runtime applies them to the blocked layout, so they belong before the shuffle."""

_BLOCK = 16
"""Output channels of one block of ONNX Runtime's blocked layout on AVX-512; fewer are padded with zeros."""

_NARROW_BLOCK = 8
"""The same everywhere else."""

_EFFICIENCY = (0.6, 0.8, 0.9, 1.0)
"""Of the direct convolution, relative to its best, by the number of blocks it computes at a time."""

_SHUFFLE = 250
"""What Reshape, Transpose, Reshape cost per output element, in multiply-adds of the convolution."""

_GAIN = 1.2
"""How many times cheaper the estimate must be."""

_SPLITS = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class _Axis:
    """One spatial axis of a convolution.

    Attributes:
        size: of the input; None when symbolic.
        kernel: extent of the kernel.
        stride: between outputs.
        begin: padding before.
        end: padding after.
    """

    size: int | None
    kernel: int
    stride: int
    begin: int
    end: int

    @property
    def outputs(self) -> int | None:
        """Outputs along the axis; None when symbolic."""
        if self.size is None:
            return None
        return (self.size + self.begin + self.end - self.kernel) // self.stride + 1

    def widened(self, phases: int) -> int:
        """Extent of the kernel that computes ``phases`` neighbouring outputs."""
        return self.kernel + self.stride * (phases - 1)

    def end_for(self, phases: int) -> int:
        """Padding after, with which there is a whole number of steps of ``phases`` outputs."""
        if phases == 1 or self.size is None or self.outputs is None:
            return self.end
        steps = -(-self.outputs // phases)
        needed = self.stride * phases * (steps - 1) + self.widened(phases)
        return max(0, needed - self.size - self.begin)


@dataclass(frozen=True)
class _Conv:
    """What the estimate and the rewrite need to know of a convolution.

    Attributes:
        channels: of the output.
        inputs: channels of the input.
        block: output channels of one block.
        height: first spatial axis.
        width: second spatial axis.
    """

    channels: int
    inputs: int
    block: int
    height: _Axis
    width: _Axis

    def cost(self, rows: int = 1, columns: int = 1) -> float:
        """Multiply-adds per output element at full efficiency, the shuffle included."""
        pixels = rows * columns
        blocks = -(-self.channels * pixels // self.block)
        taps = self.inputs * self.height.widened(rows) * self.width.widened(columns)
        efficiency = _EFFICIENCY[min(blocks, len(_EFFICIENCY)) - 1]
        spent = blocks * self.block * taps / (self.channels * pixels) / efficiency
        return spent + (_SHUFFLE if pixels > 1 else 0)

    def best(self) -> tuple[int, int]:
        """Rows and columns of the pixels to compute at a time; (1, 1) when nothing is gained."""
        choices = [
            (rows, columns)
            for rows, columns in product(_splits(self.height), _splits(self.width))
            if self.channels * rows * columns <= self.block * len(_EFFICIENCY)
        ]
        found = min(choices, key=lambda split: self.cost(*split), default=(1, 1))
        return found if self.cost() >= _GAIN * self.cost(*found) else (1, 1)


def _splits(axis: _Axis) -> tuple[int, ...]:
    outputs = axis.outputs
    return (1,) if outputs is None else tuple(split for split in _SPLITS if split <= max(1, outputs))


def _read(match: Match, block: int) -> _Conv | str:
    """The convolution of a match, or why it is none to be split."""
    weight, shape = match.value("w"), match.shape("x")
    if not match.is_constant("w") or weight.shape is None or len(weight.shape) != 4 or shape is None:
        return "its weight is computed or not two-dimensional"
    if "b" in match and not match.is_constant("b"):
        return "its bias is computed"
    given = {attr.name: attr for attr in match.nodes[0].attributes.values()}
    if "group" in given and given["group"].as_int() != 1:
        return "it is grouped"
    if "dilations" in given and any(d != 1 for d in given["dilations"].as_ints()):
        return "it is dilated"
    if "auto_pad" in given and given["auto_pad"].as_string() not in ("NOTSET", "VALID"):
        return "its padding is left to the runtime"
    channels, inputs, *kernel = (dim for dim in weight.shape if isinstance(dim, int))
    if inputs >= block and inputs % 4:
        return f"ONNX Runtime does not compute {inputs} input channels in blocks"
    strides = given["strides"].as_ints() if "strides" in given else (1, 1)
    pads = given["pads"].as_ints() if "pads" in given else (0, 0, 0, 0)
    axes = [
        _Axis(dim if isinstance(dim, int) else None, kernel[i], strides[i], pads[i], pads[i + 2])
        for i, dim in enumerate(shape[2:])
    ]
    return _Conv(channels, inputs, block, *axes)


def _guard(block: int, match: Match) -> str | None:
    conv = _read(match, block)
    if isinstance(conv, str):
        return conv
    last = match.root
    readers = tuple(last.outputs[0].consumers())
    if last.op_type == "Conv" and len(readers) == 1 and readers[0].op_type in _ACTIVATIONS:
        return ""  # taken together with its activation
    return None if conv.best() != (1, 1) else ""


def _split(block: int, match: Match) -> Replacement:
    conv = _read(match, block)
    assert isinstance(conv, _Conv), "the guard let only those through"
    rows, columns = conv.best()
    alone = match.root.op_type == "Conv"
    repeated, shuffled = _repeat(conv, rows, columns, "b" in match), _shuffle(conv, rows, columns)
    operands = "x, v, c" if "b" in match else "x, v"
    wide = f"{'a' if alone else 't'} = Conv <strides = @strides, pads = @pads> ({operands})"
    activation = "" if alone else f"a = {match.root.op_type} (t)"
    height, width = conv.height, conv.width
    attributes = {
        "strides": (height.stride * rows, width.stride * columns),
        "pads": (height.begin, width.begin, height.end_for(rows), width.end_for(columns)),
    }
    text = "\n".join((repeated.text, wide, activation, shuffled.text))
    return Replacement(text, {**repeated.constants, **shuffled.constants}, attributes)


def _repeat(conv: _Conv, rows: int, columns: int, biased: bool) -> Replacement:
    """The weight v and the bias c of all phases, computed from those of one; phases before channels."""
    text, constants = [], {}
    for index, (row, column) in enumerate(product(range(rows), range(columns))):
        down, right = row * conv.height.stride, column * conv.width.stride
        up = (rows - 1) * conv.height.stride - down
        left = (columns - 1) * conv.width.stride - right
        constants[f"p{index}"] = np.asarray([0, 0, down, right, 0, 0, up, left], np.int64)
        text.append(f"w{index} = Pad (w, p{index})")
    text.append(f"v = Concat <axis = 0> ({', '.join(f'w{i}' for i in range(rows * columns))})")
    if biased:
        text.append(f"c = Concat <axis = 0> ({', '.join(['b'] * rows * columns)})")
    return Replacement("\n".join(text), constants=constants)


def _shuffle(conv: _Conv, rows: int, columns: int) -> Replacement:
    """From phases as channels in a to pixels in y: columns, then rows, move by one axis each.

    ONNX Runtime copies whole runs for that; one Transpose of six axes goes element by element.
    """
    sizes = (conv.height.outputs, rows), (conv.width.outputs, columns)
    steps = [-1 if size is None else -(-size // phases) for size, phases in sizes]
    whole = [-1 if size is None else step * phases for (size, phases), step in zip(sizes, steps, strict=True)]
    cut = [
        (axis + 2, size)
        for axis, ((size, _), full) in enumerate(zip(sizes, whole, strict=True))
        if size not in (None, full)
    ]
    text, last, targets = [], "a", {}
    if columns > 1:
        targets["apart"] = [0, *((rows,) if rows > 1 else ()), columns, -1]
        perm = "0, 1, 3, 2" if rows > 1 else "0, 2, 1"
        text += ["r = Reshape (a, apart)", f"s = Transpose <perm = [{perm}]> (r)"]
        last = "s"
    if rows > 1:
        targets["lines"] = [0, rows, conv.channels * steps[0], whole[1]]
        text += [f"l = Reshape ({last}, lines)", "m = Transpose <perm = [0, 2, 1, 3]> (l)"]
        last = "m"
    targets["together"] = [0, conv.channels, *whole]
    text.append(f"{'u' if cut else 'y'} = Reshape ({last}, together)")
    if cut:
        targets["from"], targets["to"] = [0] * len(cut), [size for _, size in cut if size is not None]
        targets["along"] = [axis for axis, _ in cut]
        text.append("y = Slice (u, from, to, along)")
    constants = {name: np.asarray(value, np.int64) for name, value in targets.items()}
    return Replacement("\n".join(text), constants)


def _draw_conv(draw: Draw, channels: int, height: int | str, width: int) -> None:
    kernel = draw.choice((3, 21), (7, 5), (1, 33))
    stride = draw.choice(1, 1, 2)
    draw.input("x", "N", 8, height, width)
    # Sums of about 1: what rounding does to them shows in the activations as little as in real models.
    scale = draw.dtype.numpy().type(1 / math.sqrt(8 * math.prod(kernel)))
    draw.constant("w", draw.array(channels, 8, *kernel) * scale)
    if draw.flag():
        draw.constant("b", draw.array(channels))
    else:
        draw.omit("b")
    pads = tuple(int(p) for p in draw.rng.integers(0, 3, 4))
    draw.attribute("attrs", {"strides": (1, stride), "pads": pads})


def _draw(draw: Draw) -> None:
    _draw_conv(draw, draw.choice(1, 3, 8), draw.choice(9, 12), draw.choice(40, 47))


def _draw_many_channels(draw: Draw) -> None:
    _draw_conv(draw, 64, 9, 40)


def _draw_computed_weight(draw: Draw) -> None:
    _draw(draw)
    draw.input("w", *draw.constants.pop("w").shape)


def _rule(block: int) -> Rule:
    return Rule(
        "few-output-channels",
        before=f"""
            t = Conv <**attrs> (x, w, b?)
            y = {" | ".join(f"{op} (t)" for op in _ACTIVATIONS)} | t
        """,
        after=partial(_split, block),
        guard=partial(_guard, block),
        types={"x": "T", "w": "T"},
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw,
        refusals=(Refusal(_draw_many_channels), Refusal(_draw_computed_weight, "weight is computed")),
    )


RULES = (_rule(_BLOCK),)
_NARROW_RULES = (_rule(_NARROW_BLOCK),)


@dataclass(frozen=True)
class SplitConvPhases(Pass):
    """Let a convolution with few output channels compute several neighbouring pixels as channels.

    ONNX Runtime's direct convolution works on blocks of 16 output channels: with 8 half of the work
    is on zeros, with 1 nearly all of it, and one block at a time fills half of the multipliers. The
    weight is repeated with shifted zeros around it; the products that are not multiplied by these
    zeros are summed in the same order as before.

    Before: ``y = Relu(Conv(x [1,8,172,264], w [8,8,3,39], b))``.
    After:  ``t = Relu(Conv(x, w' [32,8,3,42], b') {strides=[1,4]})``, then Reshape, Transpose, Reshape.
    Needs:  a constant weight; a known size along the axes that are split.
    Keeps:  the stored weight: the repeated one is computed from it when the session is made.
    Skips:  dilated, grouped and one-dimensional convolutions; where an estimate sees little to gain.
    """

    backend: ClassVar[str] = "onnxruntime"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere, with the block of the target's instruction set."""
        wide = ctx.target is None or ctx.target.isa.startswith("avx512")
        return apply(model, RULES if wide else _NARROW_RULES, self.name(), ctx)
