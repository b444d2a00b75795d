"""The work of -O2 grows with the size of the model and not with its square: counted, not timed."""

from __future__ import annotations

import cProfile
import pstats
from collections import Counter
from collections.abc import Callable

import onnx
import pytest

from benchmarks.scaling import SHAPES, synthetic
from graphopt.driver.opt import import_model, optimize_model, pipeline
from graphopt.driver.runners import evaluator
from graphopt.rewrite.driver import Driver

SMALL, LARGE = 240, 1200
GROWTH = LARGE / SMALL
FEW_CALLS = 5_000
"""Functions called less often than this take no time whatever their growth."""

Function = tuple[str, str]


@pytest.mark.parametrize("shape", SHAPES)
def test_calls_grow_in_proportion(shape: str, record_property: Callable[[str, object], None]) -> None:
    small, large = (_calls(synthetic(shape, size)) for size in (SMALL, LARGE))
    record_property(f"calls at -O2, {shape} model: {SMALL} nodes", small.total())
    record_property(f"calls at -O2, {shape} model: {LARGE} nodes", large.total())
    assert large.total() <= 1.1 * GROWTH * small.total()
    steep = {
        f"{file}:{name}": (small[file, name], count)
        for (file, name), count in large.items()
        if count > max(FEW_CALLS, 1.6 * GROWTH * small[file, name])
    }
    assert not steep, f"these are called more than in proportion: {steep}"


@pytest.mark.parametrize("shape", SHAPES)
def test_rules_visit_nodes_in_proportion(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = (_visits(synthetic(shape, size), monkeypatch) for size in (SMALL, LARGE))
    assert small > SMALL
    assert large <= 1.1 * GROWTH * small


def _calls(model: onnx.ModelProto) -> Counter[Function]:
    """How often each function is called while the passes run, by file and name."""
    imported = import_model(model)
    with cProfile.Profile() as profile:
        optimize_model(imported, pipeline(), evaluate=evaluator())
    found: Counter[Function] = Counter()
    stats = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    for (file, _, name), (_, count, *_) in stats.items():
        found[file.rpartition("/")[2], name] += count
    return found


def _visits(model: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many nodes the driver of rules takes in hand, over all passes."""
    drivers: list[Driver] = []
    run = Driver.run

    def counting(self: Driver) -> bool:
        drivers.append(self)
        return run(self)

    with monkeypatch.context() as patch:
        patch.setattr(Driver, "run", counting)
        optimize_model(import_model(model), pipeline(), evaluate=evaluator())
    return sum(driver.visits for driver in drivers)
