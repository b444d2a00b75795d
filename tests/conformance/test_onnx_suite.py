"""Every case of onnx.backend.test that ONNX Runtime alone passes, passes through graphopt at -O2."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conformance.suite import SHARDS, CountingBackend, OrtBackend, cases, run_shard


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the suite itself
@pytest.mark.parametrize("shard", range(SHARDS))
def test_graphopt_passes_what_onnxruntime_passes(
    shard: int, record_property: Callable[[str, object], None]
) -> None:
    CountingBackend.counts.clear()
    CountingBackend.changed.clear()
    CountingBackend.dropped.clear()
    alone = run_shard(OrtBackend, shard)
    through = run_shard(CountingBackend, shard)
    counts = {
        "cases": len(cases(OrtBackend)[shard::SHARDS]),
        "passed by ONNX Runtime alone": len(alone.passed),
        "passed through graphopt": len(through.passed),
        "graphs optimised": CountingBackend.counts["graphs"],
        "of them changed by a pass": CountingBackend.counts["changed"],
        "of them changed beyond canonical form": CountingBackend.counts["beyond"],
        "of them with a pass left out": len(CountingBackend.dropped),
    }
    for name, count in counts.items():
        record_property(f"onnx.backend.test: {name}", count)  # summed and printed by tests/conftest.py
    for name, count in sorted(CountingBackend.changed.items()):
        record_property(f"onnx.backend.test: changed by {name}", count)
    lost = {name: through.reasons.get(name, "?") for name in sorted(alone.passed - through.passed)}
    assert not lost, f"{len(lost)} cases lost:\n" + "\n".join(f"{n}: {why}" for n, why in lost.items())
    assert alone.passed
    assert not CountingBackend.dropped
