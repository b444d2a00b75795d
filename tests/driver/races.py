"""Races with a known outcome: what a compile ships is tested without a clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

from graphopt.driver.compilation.fast import INPUT, Race
from graphopt.measure.process import Startup
from graphopt.measure.records import Block, Comparison, Conditions, Measured

if TYPE_CHECKING:
    from graphopt.driver.compilation.candidate import Candidate

ROUNDS = 10


def pretend(monkeypatch: pytest.MonkeyPatch, milliseconds: Mapping[str, float]) -> list[list[str]]:
    """Let every race find these times, 1 ms where a name is not given; the names raced, race by race."""
    seen: list[list[str]] = []

    def run(self: Race, candidates: Mapping[str, Candidate]) -> Comparison:
        del self
        seen.append(list(candidates))
        return _comparison({name: milliseconds.get(name, 1.0) for name in (INPUT, *candidates)})

    monkeypatch.setattr(Race, "run", run)
    return seen


def _comparison(milliseconds: Mapping[str, float]) -> Comparison:
    found = tuple(_measured(name, time) for name, time in milliseconds.items())
    conditions = Conditions(
        machine="pretended",
        threads=1,
        cores=1,
        load_before=(0.0, 0.0, 0.0),
        load_after=(0.0, 0.0, 0.0),
        date="2026-01-01T00:00:00+00:00",
        seconds=1.0,
        budget_seconds=1.0,
        rounds=ROUNDS,
        launches=1,
        block_calls=dict.fromkeys(milliseconds, 1),
        seed=0,
        stopped_by="budget",
    )
    return Comparison(INPUT, found, _measured(INPUT, milliseconds[INPUT]), {}, conditions)


def _measured(name: str, milliseconds: float) -> Measured:
    sample = round(milliseconds * 1e6)
    return Measured(name, (Startup(0.0, 0.0, 0.0, 0),), 0, (Block(sample, (sample,)),) * ROUNDS)
