"""Random operators and networks compute what ONNX says, whatever stands around them; more under `make soak`.

Each is made from a seed: operands constant, fed or views of something fed, sizes fixed or open, results read
again or not. It runs at every level, with one to three threads and, where it can, for two sets of shapes
through one plan; results do not depend on threads or on what ran before. They are held against onnx.reference
in float64 and ONNX Runtime, and must be what one of the two says.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

import pytest

from tests.backends.native.random_operators.examine import (
    OPERATORS,
    Outcome,
    examine_network,
    examine_operator,
)

SEEDS = 6
NETWORKS = 40
SOAK_SEEDS = 150
SOAK_NETWORKS = 1000
SHARDS = 4
FIRST_SOAK_SEED = int(os.environ.get("GRAPHOPT_SOAK_SEED", "600000"))
"""Another number gives other models."""

Record = Callable[[str, object], None]


@pytest.mark.parametrize("op", sorted(OPERATORS))
def test_operator(op: str, record_property: Record) -> None:
    _judge([examine_operator(op, seed) for seed in range(SEEDS)], record_property)


@pytest.mark.parametrize("shard", range(SHARDS))
def test_networks(shard: int, record_property: Record) -> None:
    _judge([examine_network(seed) for seed in range(shard, NETWORKS, SHARDS)], record_property)


@pytest.mark.soak
@pytest.mark.parametrize("op", sorted(OPERATORS))
def test_operator_often(op: str, record_property: Record) -> None:
    seeds = range(FIRST_SOAK_SEED, FIRST_SOAK_SEED + SOAK_SEEDS)
    _judge([examine_operator(op, seed) for seed in seeds], record_property)


@pytest.mark.soak
@pytest.mark.parametrize("shard", range(SHARDS))
def test_many_networks(shard: int, record_property: Record) -> None:
    seeds = range(FIRST_SOAK_SEED + shard, FIRST_SOAK_SEED + SOAK_NETWORKS, SHARDS)
    _judge([examine_network(seed) for seed in seeds], record_property)


def _judge(outcomes: Iterable[Outcome], record: Record) -> None:
    found = list(outcomes)
    checked = sum(outcome.checked for outcome in found)
    complaints = [text for outcome in found for text in outcome.complaints]
    record("native, random: claimed", sum(outcome.claimed for outcome in found))
    record("native, random: checked", checked)
    record("native, random: wrong", sum(bool(outcome.complaints) for outcome in found))
    assert checked >= len(found) / 2, f"only {checked} of {len(found)} were claimed and have an oracle"
    assert not complaints, "\n".join(complaints)
