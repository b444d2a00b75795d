"""SpellDft: discrete Fourier transforms as products with a constant matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.backends.tensorrt.legalize._widened import is_float, narrow, result, widen
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Constant, Replacement
from graphopt.rewrite.rule import Refusal, Rule

_MOST = 1 << 22
"""Elements of a matrix that may be written down: 16 MiB, a real signal of two thousand samples."""


@dataclass(frozen=True)
class _Transform:
    """One transform of known sizes.

    Attributes:
        axis: of the signal, from the front.
        size: samples along it.
        parts: 1 for real numbers, 2 for complex ones.
        length: samples the transform takes: more are dropped, fewer filled up with zeros.
        inverse: whether it goes back.
        onesided: whether of a real signal's symmetric transform one half is kept.
    """

    axis: int
    size: int
    parts: int
    length: int
    inverse: bool
    onesided: bool

    @property
    def bins(self) -> int:
        """Elements along the axis of the result."""
        return self.length // 2 + 1 if self.onesided and not self.inverse else self.length

    @property
    def parts_after(self) -> int:
        """1 where the result is real."""
        return 1 if self.onesided and self.inverse else 2

    def matrix(self) -> npt.NDArray[np.float32]:
        """What each part of each sample adds to each part of each bin: [size·parts, bins·parts_after]."""
        units = np.zeros((self.size * self.parts, self.size), np.complex128)
        for part, unit in enumerate((1, 1j)[: self.parts]):
            units[part :: self.parts] = unit * np.eye(self.size)
        if self.parts_after == 1:
            return np.asarray(np.fft.irfft(units, self.length), np.float32)
        done = np.fft.ifft(units, self.length) if self.inverse else np.fft.fft(units, self.length)
        kept = done[:, : self.bins]
        return np.stack([kept.real, kept.imag], axis=-1).reshape(len(units), -1).astype(np.float32)


def _transform(match: Match) -> _Transform | str:
    """The transform, or why its sizes are not known."""
    shape = match.shape("x")
    if shape is None or not is_float(match, "x"):
        return "its rank is not known or it is not in floats"
    axis = match.ints("axis") if "axis" in match else (-2,)
    if not axis or shape[-1] not in (1, 2):
        return "its axis is not known, or whether it is complex"
    at = axis[0] % len(shape)
    size, parts = shape[at], shape[-1]
    if not isinstance(size, int) or not isinstance(parts, int) or at == len(shape) - 1:
        return "the length of the signal is not known"
    inverse, onesided = match.attr_int("inverse") == 1, match.attr_int("onesided") == 1
    lengths = (
        match.ints("length") if "length" in match else (2 * (size - 1) if inverse and onesided else size,)
    )
    if not lengths or (inverse and onesided and parts == 1):
        return "the length of the transform is computed"
    return _Transform(at, size, parts, lengths[0], inverse, onesided)


def _refuses(match: Match) -> str | None:
    found = _transform(match)
    if isinstance(found, str):
        return found
    elements = found.size * found.parts * found.bins * found.parts_after
    return None if elements <= _MOST else "its matrix would be too large"


def _spelled(match: Match) -> Replacement:
    found, shape = _transform(match), match.shape("x")
    assert isinstance(found, _Transform), "the guard asks for it"
    assert shape is not None, "the guard asks for it"
    rank = len(shape)
    others = [axis for axis in range(rank - 1) if axis != found.axis]
    order = [*others, found.axis, rank - 1]
    after = result(match, "x")
    moved = order != list(range(rank))
    constants: dict[str, Constant] = {
        "matrix": found.matrix(),
        "flat": np.asarray([0] * (rank - 2) + [found.size * found.parts], np.int64),
        "apart": np.asarray([0] * (rank - 2) + [found.bins, found.parts_after], np.int64),
    }
    lines = [widen(match, "x"), f"last = Transpose <perm = {order}> (wide)" if moved else "last = wide"]
    lines.append("samples = Reshape (last, flat); sums = MatMul (samples, matrix)")
    if moved:
        back = [order.index(axis) for axis in range(rank)]
        lines.append(f"bins = Reshape (sums, apart); {after} = Transpose <perm = {back}> (bins)")
    else:
        lines.append(f"{after} = Reshape (sums, apart)")
    lines.append(narrow(match, "x"))
    return Replacement("\n".join(lines), constants)


def _draw(draw: Draw) -> None:
    inverse, onesided = draw.choice((0, 0), (1, 0), (0, 1))
    parts = 1 if onesided else draw.choice(1, 2)
    axis = draw.choice(-2, 1)
    draw.input("x", "N", 8, 6, parts)
    draw.constant("axis", axis)
    draw.constant("length", draw.choice(4, 8, 11))
    for name in ("axis", "length"):
        if draw.flag():
            draw.omit(name)
    draw.attribute("inverse", inverse)
    draw.attribute("onesided", onesided)


def _draw_unknown(draw: Draw) -> None:
    _draw(draw)
    draw.input("x", 2, "L", "L", 1)


RULES = (
    Rule(
        "dft-of-known-length",
        before="y = DFT <inverse = @inverse, onesided = @onesided> (x, length?, axis?)",
        after=_spelled,
        guard=_refuses,
        min_opset=20,
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw,
        refusals=(Refusal(_draw_unknown, "length of the signal"),),
    ),
)


@dataclass(frozen=True)
class SpellDft(Pass):
    """Multiply a signal of known length by the matrix of its Fourier transform.

    TensorRT has no layer for it. The matrix takes more operations than a fast transform, on the units that
    do them fastest.

    Before: ``y = DFT<onesided=1>(x)`` of 512 samples.
    After:  ``y = Reshape(MatMul(Reshape(x, [0, 512]), matrix), [0, 257, 2])``.
    Needs:  the sizes of the signal and of the transform; floats, which are summed in float32.
    Keeps:  the axis, by transposing around it; zeros filled in, samples dropped.
    Skips:  matrices of more than four million elements.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, RULES, self.name(), ctx)
