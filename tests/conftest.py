"""Fixtures every test may use."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import onnx_ir as ir

    from graphopt.pipeline.context import PassContext
    from graphopt.pipeline.records import Effect

_GRAPHS_CHANGED = "graphs changed: "


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


@pytest.fixture(scope="session")
def _changed_graphs() -> Counter[str]:
    """How many graphs each pass has changed in this process so far."""
    from graphopt.pipeline.manager import PassManager

    changed: Counter[str] = Counter()
    run = PassManager.run

    def counting(self: PassManager, model: ir.Model, ctx: PassContext) -> list[Effect]:
        effects = run(self, model, ctx)
        changed.update({effect.pass_text.partition("{")[0] for effect in effects if effect.modified})
        return effects

    PassManager.run = counting  # type: ignore[method-assign]
    return changed


@pytest.fixture(autouse=True)
def _record_changed_graphs(
    _changed_graphs: Counter[str], record_property: Callable[[str, object], None]
) -> Iterator[None]:
    """Record the graphs that each pass changed in one test; the summary adds them up."""
    before = _changed_graphs.copy()
    yield
    for name, count in (_changed_graphs - before).items():
        record_property(f"{_GRAPHS_CHANGED}{name}", count)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the numbers that tests recorded under ``suite: what``, summed over tests and processes."""
    totals: dict[str, int] = {}
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    # The report on a test's end carries what the test and its fixtures recorded.
    for report in (r for r in reports if getattr(r, "when", "") == "teardown"):
        for name, value in report.user_properties:
            if ": " in name and isinstance(value, int):
                totals[name] = totals.get(name, 0) + value
    if totals:
        terminalreporter.section("counts")
        for name, value in sorted(totals.items()):
            terminalreporter.write_line(f"{name:<64} {value:>8,}")
