"""The noise floor of a model: what one rounding error in every weight and input does to each output.

Source of the method: DESIGN, section Equality; it is a Monte-Carlo form of backward error analysis.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from graphopt.equality.arrays import Array, Bools
from graphopt.equality.compare import comparable, mismatches, size, spread
from graphopt.equality.tolerance import BIMODAL, PEAK_EPS, RMS_EPS, WEAK_FLOOR, eps, is_float


@dataclass
class OutputFloor:
    """The noise of one output, gathered run by run.

    ``F`` and ``R`` pool every jittered run of every feed. For outputs that are not floating-point
    the noise is which elements flip (``flips``, per feed) and how large a share of them does.
    ``quantised`` says that the model rounds its activations to integers on the way, ``precision`` that
    the noise is that of a lower precision than the output's own.
    """

    dtype: np.dtype[np.generic]
    quantised: bool = False
    precision: np.dtype[np.generic] | None = None
    peak: float = 0.0
    rms: float = 0.0
    maxima: dict[int, list[float]] = field(default_factory=dict)
    deviations: list[float] = field(default_factory=list)
    flips: dict[int, Bools] = field(default_factory=dict)
    flip_rate: float = 0.0
    shape_moves: bool = False
    _weak: list[str] = field(default_factory=list)

    @property
    def is_float(self) -> bool:
        """Whether the output is of a floating-point dtype."""
        return is_float(self.dtype)

    @property
    def F(self) -> float:  # noqa: N802 - the design's name
        """``max(max|yₖ - y|, 2ε·max|y|)``."""
        return max([*self._all_maxima(), PEAK_EPS * self._eps * self.peak])

    @property
    def R(self) -> float:  # noqa: N802 - the design's name
        """``max(rms(yₖ - y), ε·rms(y))``."""
        return max([*self.deviations, RMS_EPS * self._eps * self.rms])

    def reference(self, y: Array) -> None:
        """Take the original's output for one feed."""
        if self.is_float:
            magnitude = size(y)
            self.peak = max(self.peak, magnitude.peak)
            self.rms = max(self.rms, magnitude.rms)

    def jittered(self, feed: int, y: Array, moved: Array) -> None:
        """Take the jittered original's output ``moved`` for feed number ``feed``."""
        if comparable(y, moved):
            self.shape_moves = True
            return
        if not self.is_float:
            self._flip(feed, mismatches(y, moved))
            return
        difference = spread(y, moved)
        self.maxima.setdefault(feed, []).append(difference.max_abs)
        self.deviations.append(difference.rms)
        if difference.moved is not None:
            self._flip(feed, difference.moved)

    @property
    def _eps(self) -> float:
        return max(eps(self.dtype), 0.0 if self.precision is None else eps(self.precision))

    def _all_maxima(self) -> list[float]:
        return [value for runs in self.maxima.values() for value in runs]

    def _flip(self, feed: int, flipped: Bools) -> None:
        if not flipped.any():
            return
        self.flip_rate = max(self.flip_rate, float(np.mean(flipped)))
        seen = self.flips.get(feed)
        self.flips[feed] = flipped if seen is None else seen | flipped

    def remark(self, reason: str) -> None:
        """Add a reason why the check of this output is weak."""
        if reason not in self._weak:
            self._weak.append(reason)

    def at(self, precision: np.dtype[np.generic]) -> OutputFloor:
        """A floor for the same output at a lower precision, without any noise yet."""
        return OutputFloor(self.dtype, self.quantised, precision, self.peak, self.rms, _weak=[*self._weak])

    def weaknesses(self) -> tuple[str, ...]:
        """Why a real difference in this output might pass; empty when the check is strong."""
        reasons = list(self._weak)
        if self.shape_moves:
            reasons.append("its shape depends on rounding")
        if self.is_float and self.maxima:
            reasons += self._noise_weaknesses()
        if self.flips and not self.is_float:
            reasons.append(f"rounding errors flip up to {self.flip_rate:.2%} of its elements")
        return tuple(reasons)

    def _noise_weaknesses(self) -> list[str]:
        noisiest = max(self.maxima.values(), key=max)
        unit = PEAK_EPS * self._eps * self.peak
        smallest, largest = max(unit, min(noisiest)), max(noisiest)
        if self.quantised and largest > BIMODAL * unit:
            return ["rounding errors flip quantised values, so the noise is bimodal and its floor is high"]
        if largest > 0 == self.peak:
            return ["it is zero everywhere, and one rounding error moves it"]
        if largest > BIMODAL * smallest and largest > WEAK_FLOOR * self.peak:
            return [f"the noise is bimodal: some rounding errors move it by {largest / self.peak:.1%}"]
        if largest > WEAK_FLOOR * self.peak:
            return [f"one rounding error moves it by {largest / self.peak:.1%} of its range"]
        return []
