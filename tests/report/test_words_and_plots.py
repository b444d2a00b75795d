"""Numbers in words, and plots."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphopt.report import plots, words
from tests.analyses.graphs import unhurried


@pytest.mark.parametrize(
    ("word", "value", "text"),
    [
        (words.scaled, 0, "0"), (words.scaled, 999, "999"), (words.scaled, 4.108e9, "4.11 G"),
        (words.size, 45_200_000, "45.2 MB"), (words.size, 12, "12 B"), (words.count, 2103, "2,103"),
        (words.seconds, 0.00132, "1.32 ms"), (words.seconds, 12.34, "12.3 s"),
        (words.seconds, 5e-7, "500 ns"),
        (words.seconds, 0, "0 s"), (words.ratio, 1.3149, "1.31x"), (words.ratio, 12.34, "12.3x"),
        (words.small, None, "inf"), (words.small, 3.1e-6, "3.1e-06"),
    ],
)  # fmt: skip
def test_words(word: object, value: float | None, text: str) -> None:
    assert word(value) == text  # type: ignore[operator]


@unhurried
@given(st.floats(-1e18, 1e18))
def test_any_number_is_short(value: float) -> None:
    for word in (words.scaled, words.size, words.seconds):
        assert len(word(value)) <= 24
        assert "e+" not in word(value)


@pytest.mark.parametrize(
    ("before", "after", "text"), [(100, 88, "-12 %"), (100, 103.4, "+3.4 %"), (5, 5, "±0"), (0, 3, "new")]
)
def test_change(before: float, after: float, text: str) -> None:
    assert words.change(before, after) == text


@pytest.mark.parametrize(
    ("low", "median", "high", "verdict"),
    [
        (1.1, 1.2, 1.3, "faster"),
        (0.7, 0.8, 0.9, "slower"),
        (0.99, 1.0, 1.01, "same"),
        (1.001, 1.005, 1.01, "same"),
    ],
)
def test_verdict_of_a_ratio(low: float, median: float, high: float, verdict: str) -> None:
    assert words.speed_verdict({"low": low, "median": median, "high": high, "noise": 0.02}) == verdict


seconds = st.lists(st.floats(1e-9, 1e3), min_size=1, max_size=50)


@unhurried
@given(
    st.dictionaries(st.text(st.characters(codec="utf-8", categories=("L", "P", "S"))), seconds, max_size=4)
)
def test_time_plots_are_valid_svg(samples: dict[str, list[float]]) -> None:
    svg = plots.times(samples)
    if samples:
        root = ET.fromstring(svg)
        assert len([e for e in root.iter("text") if e.get("class") == "name"]) == len(samples)


@unhurried
@given(st.floats(0.01, 100), st.floats(0, 1), st.floats(0, 1))
def test_interval_plots_are_valid_svg(median: float, below: float, above: float) -> None:
    ratio = {"median": median, "low": median * (1 - below), "high": median * (1 + above), "noise": 0.01}
    ET.fromstring(plots.intervals([('a "name" <b>', ratio)]))


def test_equal_times_have_an_axis() -> None:
    assert "<svg" in plots.times({"a": [0.001, 0.001]})
    assert plots.times({}) == plots.intervals([]) == ""
