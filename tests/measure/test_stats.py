"""Statistics against distributions whose truth is known."""

import math

import numpy as np
import pytest

from graphopt.measure import stats


def test_summary_of_a_known_sample():
    summary = stats.summarize([1, 2, 3, 4, 100])
    assert (summary.median, summary.mad, summary.minimum, summary.mean, summary.n) == (3, 1, 1, 22, 5)
    assert summary.spread == pytest.approx(1 / 3)


def test_an_empty_sample_is_refused():
    for function in (stats.summarize, stats.mad, stats.median_interval, stats.geometric_mean):
        with pytest.raises(ValueError, match="no samples"):
            function([])


@pytest.mark.parametrize("percent", [50, 90, 95, 99])
def test_percentile_intervals_cover_the_truth_as_often_as_they_say(percent):
    rng = np.random.default_rng(percent)
    truth = -math.log(1 - percent / 100)  # of the exponential distribution
    trials, covered = 400, 0
    for _ in range(trials):
        found = stats.percentile(rng.exponential(size=600), percent)
        covered += found.low <= truth <= found.high
    # At least 95 %; three standard errors below it would be a wrong interval and not bad luck.
    assert covered / trials >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / trials)


def test_percentile_interval_against_the_binomial_table():
    # n = 20, median: the classic ranks are the 6th and the 15th (coverage 95.86 %).
    found = stats.percentile(range(1, 21), 50)
    assert (found.low, found.high) == (6, 15)


def test_a_small_sample_does_not_bound_a_high_percentile():
    found = stats.percentile(range(100), 99)
    assert found.high is None
    assert found.low is not None
    assert stats.percentile(range(368), 99).high == 367  # 0.99 ** 368 < 2.5 % < 0.99 ** 367
    assert stats.percentile(range(367), 99).high is None


def test_one_sample_has_a_value_and_no_interval():
    found = stats.percentile([7.0], 95)
    assert (found.value, found.low, found.high, found.n) == (7.0, None, None, 1)


@pytest.mark.parametrize("percent", [0, 100, -1])
def test_a_percentile_out_of_range_is_refused(percent):
    with pytest.raises(ValueError, match="between 0 and 100"):
        stats.percentile([1.0], percent)


def test_large_samples_do_not_underflow():
    found = stats.percentile(np.arange(200_000), 99)
    assert found.low < 198_000 < found.high
    assert found.high - found.low < 400


def test_the_bootstrap_covers_the_median_ratio():
    rng = np.random.default_rng(3)
    covered = 0
    for trial in range(200):
        base = rng.lognormal(0.0, 0.05, 40)
        engine = rng.lognormal(0.0, 0.05, 40) / 1.3
        found = stats.paired_ratio(base, engine, seed=trial)
        covered += found.low <= 1.3 <= found.high
    assert covered / 200 >= 0.88  # a percentile bootstrap of 40 values is a little narrow


def test_pairing_cancels_what_slows_a_whole_round():
    rng = np.random.default_rng(5)
    weather = np.exp(np.cumsum(rng.normal(0, 0.3, 50)))  # the machine drifts by orders of magnitude
    found = stats.paired_ratio(2.0 * weather, 1.0 * weather)
    assert (found.low, found.value, found.high) == (2.0, 2.0, 2.0)


def test_launches_widen_the_interval_when_they_disagree():
    rng = np.random.default_rng(7)
    rounds = np.concatenate([bias * rng.lognormal(0, 0.01, 30) for bias in (0.97, 1.0, 1.04)])
    ones = np.ones(90)
    alone = stats.paired_ratio(rounds, ones)
    grouped = stats.paired_ratio(rounds, ones, groups=[30, 30, 30])
    assert grouped.value == alone.value
    assert grouped.low < 0.98 < alone.low
    assert alone.high < 1.03 < grouped.high


def test_launches_that_agree_change_little():
    rounds = np.random.default_rng(8).lognormal(0, 0.02, 100)
    alone = stats.paired_ratio(rounds, np.ones(100))
    grouped = stats.paired_ratio(rounds, np.ones(100), groups=[33, 27, 40])
    assert (grouped.high - grouped.low) < 2 * (alone.high - alone.low)


def test_intervals_over_launches_cover_the_truth():
    rng = np.random.default_rng(9)
    covered = 0
    for trial in range(200):
        biases = np.repeat(rng.lognormal(0, 0.015, 5), 12)
        found = stats.paired_ratio(
            biases * rng.lognormal(0, 0.01, 60), np.ones(60), groups=[12] * 5, seed=trial
        )
        covered += found.low <= 1 <= found.high
    assert covered / 200 >= 0.80  # five launches are few, and still far better than taking rounds as equals


def test_pairing_refuses_what_cannot_be_paired():
    with pytest.raises(ValueError, match="cannot be paired"):
        stats.paired_ratio([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="not positive"):
        stats.paired_ratio([1.0, 0.0], [1.0, 1.0])
    with pytest.raises(ValueError, match="do not add up"):
        stats.paired_ratio([1.0, 1.0], [1.0, 1.0], groups=[1, 2])


def test_intervals_are_the_same_twice_and_differ_by_seed():
    values = np.random.default_rng(0).normal(10, 1, 30)
    assert stats.median_interval(values, seed=1) == stats.median_interval(values, seed=1)
    assert stats.mean_interval(values, seed=1) != stats.mean_interval(values, seed=2)


def test_chunks_of_the_bootstrap_reach_the_number_of_resamples():
    found = stats.median_interval(np.random.default_rng(0).normal(10, 1, 20_001))
    assert found.low < found.value < found.high
    assert found.high - found.low < 0.1


def test_geometric_mean():
    found = stats.geometric_mean([2.0, 0.5, 1.0])
    assert found.value == pytest.approx(1.0)
    assert found.low < 1 < found.high
    assert stats.geometric_mean([1.5] * 4) == stats.Interval(
        pytest.approx(1.5), pytest.approx(1.5), pytest.approx(1.5), 4
    )
    with pytest.raises(ValueError, match="positive"):
        stats.geometric_mean([1.0, -1.0])
