"""How much of each element every element of a resized axis takes: the weights of ONNX's Resize."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Weights = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Axis:
    """One axis of a Resize.

    Attributes:
        size: elements before.
        resized: elements after.
        scale: of the axis, as given or as sizes say.
        ends: first and last of the region of interest, as shares of the axis.
    """

    size: int
    resized: int
    scale: float
    ends: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True)
class Sampling:
    """The attributes of a Resize that weights depend on.

    Attributes:
        mode: ``linear`` or ``cubic``.
        coordinates: ``coordinate_transformation_mode``.
        antialias: whether neighbours are spread when the axis shrinks.
        exclude_outside: whether what lies beyond the ends weighs nothing, instead of repeating them.
        cubic: ``cubic_coeff_a``.
    """

    mode: str
    coordinates: str
    antialias: bool
    exclude_outside: bool
    cubic: float

    def position(self, axis: Axis, index: int) -> float:
        """Where element ``index`` of the resized axis lies on the one before."""
        last, last_after = axis.size - 1, axis.resized - 1
        centre = (index + 0.5) / axis.scale - 0.5
        if self.coordinates == "half_pixel_symmetric":
            adjusted = axis.resized / (axis.scale * axis.size)
            return axis.size / 2 * (1 - adjusted) + centre
        if self.coordinates == "pytorch_half_pixel":
            return centre if axis.resized > 1 else 0.0
        if self.coordinates == "align_corners":
            return index * last / last_after if last_after else 0.0
        if self.coordinates == "asymmetric":
            return index / axis.scale
        if self.coordinates == "tf_crop_and_resize":
            first, end = axis.ends
            step = (end - first) * last / last_after if last_after else 0.0
            return first * last + index * step if last_after else 0.5 * (first + end) * last
        return centre

    def kernel(self, distance: Weights) -> Weights:
        """Weight of elements at ``distance`` from a position."""
        x = np.abs(distance)
        if self.mode == "linear":
            return np.asarray(np.clip(1 - x, 0, None), np.float64)
        a = self.cubic
        near = ((a + 2) * x - (a + 3)) * x * x + 1
        far = ((x - 5) * x + 8) * a * x - 4 * a
        return np.asarray(np.where(x <= 1, near, np.where(x < 2, far, 0.0)), np.float64)

    def weights(self, axis: Axis) -> Weights:
        """[resized, size]: every row sums to 1, or to 0 outside the region of interest."""
        reach = 1 if self.mode == "linear" else 2
        shrink = min(axis.scale, 1.0) if self.antialias else 1.0
        found = np.zeros((axis.resized, axis.size))
        for index in range(axis.resized):
            at = self.position(axis, index)
            if self.coordinates == "tf_crop_and_resize" and not 0 <= at <= axis.size - 1:
                continue
            if self.mode == "linear" and not self.antialias:
                at = min(max(at, 0.0), axis.size - 1.0)
            first = math.floor(at - reach / shrink) + 1
            near = np.arange(first, math.ceil(at + reach / shrink), dtype=np.int64)
            shares = self.kernel(np.asarray((near - at) * shrink, np.float64))
            inside = (near >= 0) & (near < axis.size)
            if self.exclude_outside:
                near, shares = near[inside], shares[inside]
            np.add.at(found[index], np.clip(near, 0, axis.size - 1), shares / shares.sum())
        return found
