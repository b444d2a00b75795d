"""Random models compile for NVIDIA GPUs: equal, whatever TensorRT refuses of them; more under `make soak`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import onnx
import onnx.printer
import pytest

import graphopt
from benchmarks.cuda_share import ENGINE, PRECISIONS, share_of
from graphopt.errors import GraphoptError
from graphopt.report.record import CompileReport
from tests.property.check import Subject
from tests.property.generate import Random, random_model

SHARD = 10
SHARDS = 2
SOAK_SHARD = 100
SOAK_SHARDS = 8
FIRST_SEED = 400_000
FIRST_SOAK_SEED = int(os.environ.get("GRAPHOPT_SOAK_SEED", "500000"))

Record = Callable[[str, object], None]


@pytest.mark.parametrize("shard", range(SHARDS))
def test_random_models(shard: int, tmp_path: Path, record_property: Record) -> None:
    first = FIRST_SEED + shard * SHARD
    _examine(range(first, first + SHARD), tmp_path, record_property)


@pytest.mark.soak
@pytest.mark.parametrize("shard", range(SOAK_SHARDS))
def test_many_random_models(shard: int, tmp_path: Path, record_property: Record) -> None:
    first = FIRST_SOAK_SEED + shard * SOAK_SHARD
    _examine(range(first, first + SOAK_SHARD), tmp_path, record_property)


def _examine(seeds: range, folder: Path, record: Record) -> None:
    counts: Counter[str] = Counter()
    failures: list[str] = []
    for seed in seeds:
        case = random_model(seed)
        if Subject.prepare(case.model, case.feeds[:1]) is None:
            continue
        precision = PRECISIONS[seed % len(PRECISIONS)]
        problem = _problem(case, precision, folder / "m.gopt", counts)
        if problem:
            text = onnx.printer.to_text(case.model)
            failures.append(f"seed {seed} {precision}: {problem}\n{text}")
    for name, count in counts.items():
        record(f"cuda: random graphs: {name}", count)
    assert counts["compiled"]
    assert not failures, f"{len(failures)} of {len(seeds)} fail:\n" + "\n".join(failures)


def _problem(case: Random, precision: str, output: Path, counts: Counter[str]) -> str:
    """What does not hold of one compile; empty when all does."""
    feeds = case.feeds[0]
    try:
        result = graphopt.compile(
            case.model,
            output=output,
            target="cuda:sm_86",
            precision=precision,
            shapes={name: array.shape for name, array in feeds.items()},
            inputs=feeds,
            measure=False,
        )
    except GraphoptError as error:
        return f"{type(error).__name__}: {error}"
    where = share_of(result)
    counts["compiled"] += 1
    counts["with an engine"] += where.engines > 0
    counts["nodes in engines"] += where.nodes.get(ENGINE, 0)
    counts["nodes elsewhere"] += len(where.refused)
    return _complaint(result.report)


def _complaint(report: CompileReport) -> str:
    if report.equality is None or not report.equality["equal"]:
        return "not equal" if report.equality is None else str(report.equality["sentence"])
    return "; ".join(f"dropped {drop.pass_text}: {drop.reason}" for drop in report.dropped)
