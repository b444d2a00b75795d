"""Robust statistics of times: medians, percentiles and ratios, each with an interval.

Every function is pure; what is random (the bootstrap) is seeded. Times may be in any unit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Samples = Sequence[float] | Sequence[int] | npt.NDArray[np.generic]

CONFIDENCE = 0.95
RESAMPLES = 2000
_CHUNK = 2_000_000  # elements drawn at a time, so that long samples need no gigabytes


@dataclass(frozen=True)
class Interval:
    """An estimate and where it lies with 95 % confidence.

    Attributes:
        value: the estimate.
        low: lower end.
        high: upper end.
        n: how many observations it rests on.
    """

    value: float
    low: float
    high: float
    n: int

    def to_json(self) -> dict[str, Any]:
        """The record as plain JSON types."""
        return asdict(self)


@dataclass(frozen=True)
class Percentile:
    """A percentile of a sample, with a distribution-free interval.

    Attributes:
        percent: which one, 0 to 100.
        value: the sample's percentile.
        low: lower end of the 95 % interval, None when the sample is too small to have one.
        high: upper end, likewise: 99 % of 100 samples says nothing about how bad the rest can be.
        n: size of the sample.
    """

    percent: float
    value: float
    low: float | None
    high: float | None
    n: int

    def to_json(self) -> dict[str, Any]:
        """The record as plain JSON types."""
        return asdict(self)


@dataclass(frozen=True)
class Summary:
    """A sample of times in a few robust numbers, in the unit of the sample.

    Attributes:
        median: the middle.
        mad: median absolute deviation from it, unscaled.
        minimum: the smallest.
        mean: the average, which is what throughput follows.
        n: size of the sample.
    """

    median: float
    mad: float
    minimum: float
    mean: float
    n: int

    @property
    def spread(self) -> float:
        """Median absolute deviation as a fraction of the median."""
        return self.mad / self.median if self.median else 0.0

    def to_json(self) -> dict[str, Any]:
        """The record as plain JSON types."""
        return {**asdict(self), "spread": self.spread}


def summarize(samples: Samples) -> Summary:
    """Median, MAD, minimum and mean of a sample; raises ValueError when it is empty."""
    values = _floats(samples)
    return Summary(
        median=float(np.median(values)),
        mad=mad(values),
        minimum=float(values.min()),
        mean=float(values.mean()),
        n=values.size,
    )


def mad(samples: Samples) -> float:
    """Median absolute deviation from the median, unscaled."""
    values = _floats(samples)
    return float(np.median(np.abs(values - np.median(values))))


def percentile(samples: Samples, percent: float) -> Percentile:
    """One percentile with an interval from order statistics.

    The number of samples below the true percentile is binomial whatever the distribution is, so two
    order statistics enclose it with at least 95 % (David and Nagaraja, *Order Statistics*, 7.1).
    This takes the samples as independent; drift during the run makes the interval too narrow.

    Args:
        samples: times, at least one.
        percent: 0 < percent < 100.

    Raises:
        ValueError: the sample is empty or ``percent`` is out of range.
    """
    if not 0 < percent < 100:
        raise ValueError(f"a percentile lies between 0 and 100, not at {percent}")
    values = np.sort(_floats(samples))
    below = _binomial_cdf(values.size, percent / 100)
    tail = (1 - CONFIDENCE) / 2
    # Ranks count from 1: P(X_(l) > q) = P(B <= l - 1) and P(X_(u) <= q) = P(B >= u), B binomial.
    low_rank = int(np.searchsorted(below, tail, side="right"))
    high_rank = int(np.searchsorted(below, 1 - tail, side="left")) + 1
    return Percentile(
        percent=percent,
        value=float(np.percentile(values, percent)),
        low=float(values[low_rank - 1]) if low_rank >= 1 else None,
        high=float(values[high_rank - 1]) if high_rank <= values.size else None,
        n=values.size,
    )


def median_interval(values: Samples, *, seed: int = 0) -> Interval:
    """The median of independent values with a percentile-bootstrap interval."""
    array = _floats(values)
    return _interval(float(np.median(array)), _bootstrap(array, np.median, seed), array.size)


def mean_interval(values: Samples, *, seed: int = 0) -> Interval:
    """The mean of independent values with a percentile-bootstrap interval."""
    array = _floats(values)
    return _interval(float(array.mean()), _bootstrap(array, np.mean, seed), array.size)


def geometric_mean(ratios: Samples, *, seed: int = 0) -> Interval:
    """The geometric mean of positive ratios with a bootstrap interval over them.

    The interval answers "what if the models had been others of their kind", not "how well was each
    measured".

    Raises:
        ValueError: there are none, or one is not positive.
    """
    array = _floats(ratios)
    if not (array > 0).all():
        raise ValueError("a geometric mean needs positive ratios")
    logs = mean_interval(np.log(array), seed=seed)
    return Interval(math.exp(logs.value), math.exp(logs.low), math.exp(logs.high), logs.n)


def paired_ratio(
    baseline: Samples, engine: Samples, *, groups: Sequence[int] | None = None, seed: int = 0
) -> Interval:
    """How many times faster ``engine`` is than ``baseline``: the median of round-by-round ratios.

    Args:
        baseline: one time per round (the median of a block).
        engine: one time per round, of the same rounds: what slows a whole round cancels.
        groups: how many rounds each launch of the processes had. Rounds of one launch share what the
            launch fixed for good (placement in memory), so launches are drawn first and then rounds
            within them (Kalibera and Jones, *Rigorous benchmarking in reasonable time*, 2013).
        seed: of the bootstrap.

    Raises:
        ValueError: the two are empty or of different length, a time is not positive, or the groups
            do not add up.
    """
    over, under = _floats(baseline), _floats(engine)
    if over.size != under.size:
        raise ValueError(f"{over.size} rounds of one and {under.size} of the other cannot be paired")
    if not ((over > 0).all() and (under > 0).all()):
        raise ValueError("a time is not positive")
    ratios = over / under
    if groups is None or len(groups) < 2:
        return median_interval(ratios, seed=seed)
    if sum(groups) != ratios.size or min(groups) < 1:
        raise ValueError(f"groups of {list(groups)} rounds do not add up to {ratios.size}")
    return _interval(float(np.median(ratios)), _bootstrap_groups(ratios, groups, seed), ratios.size)


def _floats(samples: Samples) -> Floats:
    values = np.asarray(samples, dtype=np.float64).ravel()
    if values.size == 0:
        raise ValueError("no samples")
    return values


def _bootstrap(values: Floats, statistic: Callable[..., Any], seed: int) -> Floats:
    """``[RESAMPLES]`` values of ``statistic`` over samples drawn with replacement."""
    rng = np.random.default_rng(seed)
    rows = max(1, min(RESAMPLES, _CHUNK // values.size))
    drawn: list[Floats] = []
    for begin in range(0, RESAMPLES, rows):
        picks = rng.integers(0, values.size, (min(rows, RESAMPLES - begin), values.size))
        drawn.append(np.asarray(statistic(values[picks], axis=1), dtype=np.float64))
    return np.concatenate(drawn)


def _bootstrap_groups(values: Floats, groups: Sequence[int], seed: int) -> Floats:
    """``[RESAMPLES]`` medians over groups drawn with replacement, then members drawn within each."""
    rng = np.random.default_rng(seed)
    sizes = np.asarray(groups)
    starts = np.cumsum(sizes) - sizes
    chosen = rng.integers(0, sizes.size, (RESAMPLES, sizes.size, 1))
    members = -(-values.size // sizes.size)
    inside = rng.random((RESAMPLES, sizes.size, members)) * sizes[chosen]
    picks = starts[chosen] + inside.astype(np.intp)
    drawn: Floats = np.median(values[picks].reshape(RESAMPLES, -1), axis=1)
    return drawn


def _interval(value: float, drawn: Floats, n: int) -> Interval:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Interval(value, float(low), float(high), n)


def _binomial_cdf(n: int, p: float) -> Floats:
    """``P(B <= k)`` for k = 0…n of a binomial B(n, p), summed from logarithms so that no term underflows."""
    k = np.arange(n + 1, dtype=np.float64)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    log_pmf = (
        log_factorial[n] - log_factorial - log_factorial[::-1] + k * math.log(p) + (n - k) * math.log1p(-p)
    )
    cdf: Floats = np.minimum(np.cumsum(np.exp(log_pmf)), 1.0)
    return cdf
