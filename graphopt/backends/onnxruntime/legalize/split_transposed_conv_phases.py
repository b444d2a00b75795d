"""SplitTransposedConvPhases: an enlarging convolution is one plain convolution per phase of its output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Axis, Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule

_CHANNELS = 16
"""Fewer channels than one block holds leave convolutions slower than the transposed one."""

_PIXELS = 256
"""With a smaller input the matrix product of the transposed convolution is as good."""


@dataclass(frozen=True)
class _Phase:
    """The outputs at positions r, r + s, r + 2s… of one axis as a convolution.

    Attributes:
        taps: the positions of the kernel that reach them, in the order a plain convolution reads them.
        before: padding at the start.
        after: padding at the end.
    """

    taps: tuple[int, ...]
    before: int
    after: int


def _phases(kernel: int, stride: int, pads: tuple[int, int], output_padding: int) -> list[_Phase] | None:
    """The phases of one axis, or None where they differ in size or would crop.

    ``y[s·q + r] = Σ_j x[q + d - j] · w[c + s·j]`` with ``d, c = divmod(r + pad, s)``.
    """
    growth, rest = divmod(kernel - stride - sum(pads) + output_padding, stride)
    found: list[_Phase] = []
    for phase in range(stride):
        shift, first = divmod(phase + pads[0], stride)
        taps = tuple(reversed(range(first, kernel, stride)))
        before, after = len(taps) - 1 - shift, growth + shift
        if rest or not taps or before < 0 or after < 0:
            return None
        found.append(_Phase(taps, before, after))
    return found


def _both(match: Match) -> tuple[list[_Phase], list[_Phase]] | str:
    """The phases of the rows and of the columns, or why there are none worth having."""
    weight = match.static_shape("w")
    if weight is None or len(weight) != 4:
        return "it is no convolution of images"
    strides, pads = match.attr_ints("strides") or (1, 1), match.attr_ints("pads") or (0, 0, 0, 0)
    output_padding = match.attr_ints("op") or (0, 0)
    dilations = match.attr_ints("dilations") or (1, 1)
    if match.attr("auto") != "NOTSET" or match.attr("shape") is not None or dilations != (1, 1):
        return "its padding is not spelled out, or it is dilated"
    if match.attr_int("group") != 1:
        return "it has groups"
    if any(size <= stride for size, stride in zip(weight[2:], strides, strict=True)) or max(strides) == 1:
        return "its windows do not overlap in the output"
    rows = _phases(weight[2], strides[0], (pads[0], pads[2]), output_padding[0])
    columns = _phases(weight[3], strides[1], (pads[1], pads[3]), output_padding[1])
    if rows is None or columns is None:
        return "its phases differ in size"
    return rows, columns


def _refuse(match: Match, channels: int, pixels: int) -> str | None:
    if not match.is_constant("w") or match.dtype("w") != ir.DataType.FLOAT:
        return ""
    found = _both(match)
    if isinstance(found, str):
        return found
    if len(match.value("w").uses()) != 1:
        return "its weight is shared"
    weight, image = match.static_shape("w"), match.shape("x")
    if weight is None or min(weight[:2]) < channels:
        return "it has too few channels"
    if image is None or len(image) != 4 or not any(isinstance(dim, int) for dim in image[2:]):
        return "neither the height nor the width of its input is known"
    height, width = image[2:]
    if isinstance(height, int) and isinstance(width, int) and height * width < pixels:
        return "its input is too small"
    return None


def _split(match: Match) -> Replacement:
    """The phases as convolutions; their results, between one another in each row, then row by row."""
    found = _both(match)
    image = match.shape("x")
    assert not isinstance(found, str), "the guard asked for it"
    assert image is not None
    rows, columns = found
    activation = next((node.op_type for node in match.nodes if node.op_type != "ConvTranspose"), None)
    lines: list[str] = []
    constants: dict[str, npt.NDArray[np.generic]] = {
        "last": np.asarray([4], np.int64),
        "merged": np.asarray([0, 0, 0, -1], np.int64),
        "whole": _whole(image, rows, columns),
    }
    attributes: dict[str, tuple[int, ...]] = {}
    constants |= {f"j{j}": np.asarray(column.taps, np.int64) for j, column in enumerate(columns)}
    for i, row in enumerate(rows):
        constants[f"i{i}"] = np.asarray(row.taps, np.int64)
        lines.append(f"h{i} = Gather <axis = 2> (w, i{i})")
        for j, column in enumerate(columns):
            name = f"{i}{j}"
            lines.append(f"g{name} = Gather <axis = 3> (h{i}, j{j})")
            lines.append(f"w{name} = Transpose <perm = [1, 0, 2, 3]> (g{name})")
            attributes[f"k{name}"] = (len(row.taps), len(column.taps))
            attributes[f"p{name}"] = (row.before, column.before, row.after, column.after)
            lines.append(f"c{name} = Conv <kernel_shape = @k{name}, pads = @p{name}> (x, w{name}, b?)")
            lines.append(f"a{name} = {activation} (c{name})" if activation else f"a{name} = c{name}")
            lines.append(f"u{name} = Unsqueeze (a{name}, last)")
        beside = ", ".join(f"u{i}{j}" for j in range(len(columns)))
        lines.append(f"s{i} = Concat <axis = 4> ({beside})")
        lines.append(f"r{i} = Reshape (s{i}, merged)")
    below = ", ".join(f"r{i}" for i in range(len(rows)))
    lines.append(f"z = Concat <axis = 3> ({below}); y = Reshape (z, whole)")
    return Replacement("\n".join(lines), constants, attributes)


def _whole(
    image: tuple[int | ir.SymbolicDim, ...], rows: list[_Phase], columns: list[_Phase]
) -> npt.NDArray[np.int64]:
    """The target of the last Reshape: one side by number, the other worked out."""
    sizes: list[int | None] = []
    for dim, phases in zip(image[2:], (rows, columns), strict=True):
        grown = phases[0].before + phases[0].after - len(phases[0].taps) + 1
        sizes.append(len(phases) * (dim + grown) if isinstance(dim, int) else None)
    height, width = sizes
    if width is not None:
        return np.asarray([0, 0, -1, width], np.int64)
    assert height is not None, "the guard asked for one of them"
    return np.asarray([0, 0, height, -1], np.int64)


def _draw(draw: Draw) -> None:
    draw.sizes.update(N=2, H=16, W=17)
    shapes: tuple[tuple[Axis, Axis], ...] = ((16, 17), (16, "W"), ("H", 16))
    draw.input("x", "N", 16, *draw.choice(*shapes))
    kernel, pads, extra = draw.choice(
        ((4, 4), (1, 1, 1, 1), (0, 0)), ((3, 4), (1, 1, 1, 1), (1, 0)), ((3, 5), (1, 2, 0, 2), (0, 1))
    )
    draw.constant("w", draw.array(16, 16, *kernel))
    _attributes(draw, strides=(2, 2), pads=pads, op=extra)
    if draw.flag():
        draw.constant("b", draw.array(16))
    else:
        draw.omit("b")


def _attributes(draw: Draw, **given: object) -> None:
    defaults: Mapping[str, object] = {
        "auto": "NOTSET",
        "group": 1,
        "dilations": (1, 1),
        "shape": None,
        "kernel": None,
    }
    for name, value in {**defaults, **given}.items():
        draw.attribute(name, value)


def _draw_apart(draw: Draw) -> None:
    _draw(draw)
    draw.constant("w", draw.array(16, 16, 2, 2))
    _attributes(draw, strides=(2, 2), pads=None, op=None)


def _draw_uneven(draw: Draw) -> None:
    _draw(draw)
    draw.constant("w", draw.array(16, 16, 3, 3))
    _attributes(draw, strides=(2, 2), pads=(1, 1, 1, 1), op=None)


def _draw_narrow(draw: Draw) -> None:
    _draw(draw)
    draw.constant("w", draw.array(16, 3, 4, 4))
    _attributes(draw, strides=(2, 2), pads=(1, 1, 1, 1), op=None)
    draw.constants.pop("b", None)
    draw.omit("b")


_CONV = (
    "ConvTranspose <auto_pad = @auto, group = @group, dilations = @dilations, kernel_shape = @kernel,"
    " output_padding = @op, output_shape = @shape, pads = @pads, strides = @strides> (x, w, b?)"
)
_REFUSALS = (
    Refusal(_draw_apart, "do not overlap"),
    Refusal(_draw_uneven, "differ in size"),
    Refusal(_draw_narrow, "too few channels"),
)


def _rules(channels: int, pixels: int) -> tuple[Rule, ...]:
    def guard(match: Match) -> str | None:
        return _refuse(match, channels, pixels)

    def guard_alone(match: Match) -> str | None:
        return "" if _is_rectified(match) else guard(match)

    return tuple(
        Rule(
            name,
            before=before,
            after=_split,
            guard=check,
            exact=False,
            dtypes=(ir.DataType.FLOAT,),
            draw=_draw,
            refusals=_REFUSALS,
        )
        for name, before, check in (
            ("phases-of-rectified", f"t = {_CONV}; y = Relu (t)", guard),
            ("phases", f"y = {_CONV}", guard_alone),
        )
    )


def _is_rectified(match: Match) -> bool:
    """Whether the other rule takes it, together with the Relu behind it."""
    value = match.value("y")
    uses = list(value.uses())
    return len(uses) == 1 and uses[0].node.op_type == "Relu" and not value.is_graph_output()


RULES = _rules(_CHANNELS, _PIXELS)


@dataclass(frozen=True)
class SplitTransposedConvPhases(Pass):
    """Compute a ConvTranspose whose windows overlap as one Conv for each phase of its stride.

    ONNX Runtime multiplies matrices and adds the windows up element by element; its convolutions do the
    same sums in registers, with the Relu behind them, and only the phases are left to be interleaved.

    Before: ``y = Relu(ConvTranspose<strides=[2, 2], pads=[1, 1, 1, 1]>(x, w, b))`` with a 4x4 kernel.
    After:  four ``Relu(Conv(x, w_ij, b))`` with 2x2 kernels, joined by Concat and Reshape.
    Needs:  a constant weight in float32, the height or the width of the input, phases of one size.
    Keeps:  the elements of the weight: each is in one phase.
    Skips:  kernels no larger than the stride, fewer than ``channels`` channels, images of fewer than
            ``pixels`` pixels, groups, dilations, shared weights.
    """

    backend: ClassVar[str] = "onnxruntime"

    channels: int = _CHANNELS
    pixels: int = _PIXELS

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, _rules(self.channels, self.pixels), self.name(), ctx)
