"""What every named operator computes, written down a second time in NumPy, and operands to try it on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]
Float = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Formula:
    """One operator.

    Attributes:
        compute: the outputs from the inputs, floating-point ones in double precision.
        shapes: of the inputs.
        indices: which inputs are int64 indices below their bound; the others are floating-point.
        small: which inputs are small numbers of an integer type.
        attributes: other values than the defaults, handed to ``compute`` by name.
    """

    compute: Callable[..., Sequence[Float]]
    shapes: tuple[tuple[int, ...], ...]
    indices: Mapping[int, int] = field(default_factory=dict)
    attributes: Mapping[str, int | float] = field(default_factory=dict)
    small: Mapping[int, npt.DTypeLike] = field(default_factory=dict)

    def draw(self, seed: int, dtype: npt.DTypeLike) -> list[Array]:
        """Operands of the right shapes and types."""
        rng = np.random.default_rng(seed)
        return [
            rng.integers(0, self.indices[index], shape)
            if index in self.indices
            else rng.integers(0, 10, shape).astype(self.small[index])
            if index in self.small
            else rng.standard_normal(shape).astype(dtype)
            for index, shape in enumerate(self.shapes)
        ]


def _sigmoid(x: Float) -> Float:
    return 1 / (1 + np.exp(-x))


def _layer_norm(x: Float, scale: Float, bias: Float, epsilon: float) -> Float:
    centred = x - x.mean(-1, keepdims=True)
    normal: Float = centred / np.sqrt((centred * centred).mean(-1, keepdims=True) + epsilon)
    return normal * scale + bias


def _rms_norm(x: Float, scale: Float, epsilon: float) -> Float:
    normal: Float = x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon)
    return normal * scale


def _skip_layer_norm(x: Float, skip: Float, scale: Float, bias: Float, epsilon: float) -> list[Float]:
    return [_layer_norm(x + skip, scale, bias, epsilon), x + skip]


def _skip_rms_norm(x: Float, skip: Float, scale: Float, epsilon: float) -> list[Float]:
    return [_rms_norm(x + skip, scale, epsilon), x + skip]


def _softmax(x: Float) -> Float:
    powers = np.exp(x - x.max(-1, keepdims=True))
    shares: Float = powers / powers.sum(-1, keepdims=True)
    return shares


def _embed(
    words: Ids,
    positions: Ids,
    segments: Ids,
    word_table: Float,
    position_table: Float,
    segment_table: Float,
    scale: Float,
    bias: Float,
    epsilon: float,
) -> list[Float]:
    total = word_table[words] + position_table[positions] + segment_table[segments]
    return [_layer_norm(total, scale, bias, epsilon)]


def _integer_product(
    a: Float, b: Float, a_scale: Float, b_scale: Float, a_zero: Float, b_zero: Float
) -> list[Float]:
    exact = (a.astype(np.float64) - a_zero) @ (b.astype(np.float64) - b_zero)
    return [exact * (a_scale * b_scale)]


def _biased_integer_product(*operands: Float) -> list[Float]:
    return [_integer_product(*operands[:-1])[0] + operands[-1]]


def _integer_conv(
    x: Float,
    w: Float,
    x_scale: Float,
    w_scale: Float,
    x_zero: Float,
    w_zero: Float,
    dilations: tuple[int, ...],
    group: int,
    pads: tuple[int, ...],
    strides: tuple[int, ...],
) -> list[Float]:
    """One group, one step at a time."""
    assert (tuple(dilations), int(group)) == ((1, 1), 1)
    image, kernel = x.astype(np.float64) - x_zero, w.astype(np.float64) - w_zero
    top, left, bottom, right = pads
    padded = np.pad(image, ((0, 0), (0, 0), (top, bottom), (left, right)))
    rows = (padded.shape[2] - w.shape[2]) // strides[0] + 1
    columns = (padded.shape[3] - w.shape[3]) // strides[1] + 1
    sums = np.zeros((len(x), len(w), rows, columns))
    for row, column in np.ndindex(rows, columns):
        top, left = row * strides[0], column * strides[1]
        patch = padded[:, :, top : top + w.shape[2], left : left + w.shape[3]]
        sums[:, :, row, column] = np.einsum("nchw,ochw->no", patch, kernel)
    return [sums * (x_scale * w_scale)]


_QUANTISED: Mapping[int, npt.DTypeLike] = {0: np.uint8, 1: np.int8, 4: np.uint8, 5: np.int8}


FORMULAS = {
    "Silu": Formula(lambda x: [x * _sigmoid(x)], ((2, 7),)),
    "QuickGelu": Formula(lambda x, alpha: [x * _sigmoid(alpha * x)], ((2, 7),), attributes={"alpha": 1.5}),
    "SkipLayerNormalization": Formula(
        _skip_layer_norm, ((2, 3, 8), (2, 3, 8), (8,), (8,)), attributes={"epsilon": 1e-3}
    ),
    "SkipRMSNormalization": Formula(
        _skip_rms_norm, ((2, 3, 8), (2, 3, 8), (8,)), attributes={"epsilon": 1e-3}
    ),
    "EmbedLayerNormalization": Formula(
        _embed,
        ((2, 3), (1, 3), (2, 3), (11, 8), (5, 8), (2, 8), (8,), (8,)),
        indices={0: 11, 1: 5, 2: 2},
        attributes={"epsilon": 1e-3},
    ),
    "MaskedSoftmax": Formula(
        lambda x, mask, fill: [_softmax(np.where(mask, x, np.asarray(fill)))],
        ((2, 3, 5), (3, 5)),
        attributes={"fill": -2.5},
        small={1: np.bool_},
    ),
    "MaskedFillSoftmax": Formula(
        lambda x, mask, fill: [_softmax(np.where(mask, np.asarray(fill), x))],
        ((2, 3, 5), (2, 1, 5)),
        attributes={"fill": -2.5},
        small={1: np.bool_},
    ),
    "MatMulIntegerToFloat": Formula(
        _integer_product, ((2, 3, 4), (4, 5), (), (5,), (), ()), small=_QUANTISED
    ),
    "BiasMatMulIntegerToFloat": Formula(
        _biased_integer_product, ((2, 3, 4), (4, 5), (), (5,), (), (), (5,)), small=_QUANTISED
    ),
    "ConvIntegerToFloat": Formula(
        _integer_conv,
        ((2, 3, 6, 7), (4, 3, 3, 2), (), (4, 1, 1), (), ()),
        attributes={"dilations": (1, 1), "group": 1, "pads": (1, 0, 2, 1), "strides": (2, 1)},
        small=_QUANTISED,
    ),
}
