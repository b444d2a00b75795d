"""Every case of onnx.backend.test whose operators the native core claims passes on it, at every level."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from graphopt.backends.native.module import import_kernels
from tests.backends.native.operator_suite import NativeBackend
from tests.conformance.suite import SHARDS, cases, run_shard


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the suite itself
@pytest.mark.parametrize("shard", range(SHARDS))
def test_what_is_claimed_passes(shard: int, record_property: Callable[[str, object], None]) -> None:
    failed: dict[str, str] = {}
    for isa in import_kernels().supported_isas():
        NativeBackend.isa, NativeBackend.claimed = isa, 0
        outcomes = run_shard(NativeBackend, shard)
        failed |= {f"{name} on {isa}": reason for name, reason in outcomes.reasons.items()}
        record_property(
            f"onnx.backend.test, native: cases on {isa}", len(cases(NativeBackend)[shard::SHARDS])
        )
        record_property(f"onnx.backend.test, native: passed on {isa}", len(outcomes.passed))
        assert outcomes.passed
    assert not failed, f"{len(failed)} cases failed:\n" + "\n".join(
        f"{n}: {why}" for n, why in failed.items()
    )
