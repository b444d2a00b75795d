"""Fixtures every test may use."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Zoo:
    """The real models, fetched on first use."""

    @functools.cache  # noqa: B019 - one instance per session
    def __call__(self, name: str) -> Path:
        """The path of model ``name``; skips the test, saying why, when it cannot be had."""
        from benchmarks.zoo.fetch import FetchError, fetch

        try:
            return fetch(name)
        except FetchError as error:
            pytest.skip(f"model {name} is not available: {error}")

    def feeds(self, name: str, seed: int = 0) -> dict[str, npt.NDArray[np.generic]]:
        """Valid inputs for model ``name``, reproducible from ``seed``."""
        from benchmarks.zoo.feeds import feeds

        return feeds(name, seed)


@pytest.fixture(scope="session")
def zoo() -> Zoo:
    """``zoo("ppocr_cls")`` is the model's path; ``zoo.feeds("ppocr_cls", 0)`` its inputs."""
    return Zoo()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the numbers that tests recorded under ``suite: what``, summed over tests and processes."""
    totals: dict[str, int] = {}
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties:
            if ": " in name and isinstance(value, int):
                totals[name] = totals.get(name, 0) + value
    if totals:
        terminalreporter.section("counts")
        for name, value in totals.items():
            terminalreporter.write_line(f"{name:<60} {value:>8,}")
