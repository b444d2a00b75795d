"""Hundreds of random models through the pipelines and through single passes; thousands under `make soak`.

Every model is made from a seed. A failure says the seed, what does not hold, the pass that is to blame
and a minimal model that still fails, as ONNX text.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import onnx
import onnx.printer
import pytest

from graphopt.passes import ALL_PASSES
from graphopt.passes.levels import LEVELS
from graphopt.passes.precision import PRECISION_PASSES
from graphopt.pipeline.records import Effect
from tests.property.check import Failure, Subject
from tests.property.generate import Random, random_model
from tests.property.shrink import Feeds, shrink

SHARD = 30
SHARDS = 8
SOAK_SHARD = 250
SOAK_SHARDS = 16
FIRST_SOAK_SEED = int(os.environ.get("GRAPHOPT_SOAK_SEED", "100000"))
"""Another number gives other models."""

DEFAULT = LEVELS[2]
OTHERS = tuple(dict.fromkeys(text for text in LEVELS if text != DEFAULT))
SINGLES = 4
"""Passes that each model sees alone, after the canonical ones."""

Plan = Callable[[int], Sequence[tuple[str, str]]]
"""Seed → pipelines to run, each with what may change nothing afterwards (empty: the same again)."""

Record = Callable[[str, object], None]


def whole_pipelines(seed: int) -> Sequence[tuple[str, str]]:
    """The default level, and one of the others now and then."""
    return [(DEFAULT, ""), (OTHERS[seed // 4 % len(OTHERS)], "")][: 1 + (seed % 4 == 0)]


def single_passes(seed: int) -> Sequence[tuple[str, str]]:
    """A few passes, each alone on a canonical model: it must have done all it can."""
    # A lower precision is another answer by intent: tests/passes/test_precision_types.py has its graphs.
    names = [cls.name() for cls in ALL_PASSES if cls not in PRECISION_PASSES]
    rng = np.random.default_rng(seed)
    return [(f"canonical,{name}", str(name)) for name in rng.choice(names, SINGLES, replace=False)]


@pytest.mark.parametrize("shard", range(SHARDS))
def test_pipelines(shard: int, record_property: Record) -> None:
    _examine(range(shard * SHARD, (shard + 1) * SHARD), whole_pipelines, record_property)


@pytest.mark.parametrize("shard", range(SHARDS // 2))
def test_single_passes(shard: int, record_property: Record) -> None:
    first = 50_000 + shard * SHARD
    _examine(range(first, first + SHARD), single_passes, record_property)


@pytest.mark.soak
@pytest.mark.parametrize("shard", range(SOAK_SHARDS))
def test_many_pipelines(shard: int, record_property: Record) -> None:
    first = FIRST_SOAK_SEED + shard * SOAK_SHARD
    _examine(range(first, first + SOAK_SHARD), whole_pipelines, record_property)


@pytest.mark.soak
@pytest.mark.parametrize("shard", range(SOAK_SHARDS))
def test_many_single_passes(shard: int, record_property: Record) -> None:
    first = FIRST_SOAK_SEED + 50_000 + shard * SOAK_SHARD
    _examine(range(first, first + SOAK_SHARD), single_passes, record_property)


def _examine(seeds: range, plan: Plan, record: Record) -> None:
    ran, effects = 0, Counter[str]()
    failures: list[tuple[Random, Failure]] = []
    for seed in seeds:
        case = random_model(seed)
        subject = Subject.prepare(case.model, case.feeds)
        if subject is None:
            continue
        ran += 1
        for passes, again in plan(seed):
            found = subject.examine(passes, again=again)
            if found is not None:
                failures.append((case, found))
                break
        effects.update(_names(subject.effects))
    record("random graphs: examined", ran)
    record("random graphs: failed", len(failures))
    for name, count in sorted(effects.items()):
        record(f"random graphs: changed by {name}", count)
    assert ran > 0.9 * len(seeds), f"ONNX Runtime runs only {ran} of {len(seeds)} of these models"
    assert not failures, explain(failures)


def _names(effects: Sequence[Effect]) -> set[str]:
    return {effect.pass_text for effect in effects if effect.modified}


def explain(failures: Sequence[tuple[Random, Failure]]) -> str:
    """Every failing seed, and a minimal model for the first."""
    case, failure = failures[0]
    lines = [f"{len(failures)} models fail:"]
    lines += [f"  seed {c.seed}: {f.kind}: {f.message} (passes {f.pipeline})" for c, f in failures]

    def fails(model: onnx.ModelProto, feeds: Feeds) -> bool:
        subject = Subject.prepare(model, feeds)
        found = subject.examine(failure.pipeline, again=failure.again) if subject is not None else None
        return found is not None and found.kind == failure.kind

    piece = shrink(case.model, case.feeds, fails)
    lines += [f"the smallest model that fails like seed {case.seed}:", onnx.printer.to_text(piece.model)]
    shapes = [{name: list(array.shape) for name, array in feed.items()} for feed in piece.feeds]
    return "\n".join([*lines, f"with inputs of shapes {shapes}"])
