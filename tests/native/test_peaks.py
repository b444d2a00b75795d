"""The measured ceilings are plausible: ratios to the clock and to each other, never times.

The best of the samples is compared, because a busy machine only ever makes samples slower.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from graphopt import _kernels
from graphopt.targets.host import host_target

pytestmark = pytest.mark.timing

ISAS = _kernels.supported_isas()
VECTOR_BITS = {"x86-64": 128, "avx2": 256, "avx2-vnni": 256}
SLACK = 1.15
"""The clock is measured at another moment than the peak, and may differ between scalar and vector code."""


def best(measure: Callable[[], _kernels.Measurement], attempts: int = 3) -> float:
    return max(measure().high for _ in range(attempts))


@cache
def peak(isa: str, dtype: str) -> float:
    return best(lambda: _kernels.measure_peak(dtype, isa=isa, seconds=1e-3, samples=9))


@cache
def clock() -> float:
    return best(lambda: _kernels.measure_clock(seconds=1e-3, samples=9))


def bits(isa: str) -> int:
    return VECTOR_BITS.get(isa, 128 if isa.startswith("neon") else 512)


@pytest.mark.parametrize("isa", ISAS)
def test_no_more_than_the_ports_allow(isa: str) -> None:
    pipes = 4 if isa.startswith("neon") else 2  # of vectors of this width; the widest cores known
    assert peak(isa, "float32") <= SLACK * clock() * pipes * 2 * bits(isa) / 32


@pytest.mark.parametrize("isa", ISAS)
def test_no_less_than_half_a_vector_per_cycle(isa: str) -> None:
    """Every core with the instruction starts one operation on a vector every other cycle, or the
    compiler spilled the accumulators."""
    assert peak(isa, "float32") * SLACK >= clock() * 0.5 * 2 * bits(isa) / 32


@pytest.mark.parametrize("isa", ISAS)
def test_float64_is_half_of_float32(isa: str) -> None:
    assert 0.4 < peak(isa, "float64") / peak(isa, "float32") < 0.6


@pytest.mark.parametrize(
    ("wider", "narrower"), [("avx2", "x86-64"), ("avx512", "avx2"), ("avx512-vnni-bf16", "avx512")]
)
def test_a_wider_level_is_no_slower(wider: str, narrower: str) -> None:
    if wider not in ISAS:
        pytest.skip(f"this CPU has no {wider}")
    assert peak(wider, "float32") >= 0.9 * peak(narrower, "float32")


@pytest.mark.parametrize("isa", [isa for isa in ISAS if "vnni" in isa or "dotprod" in isa])
def test_dot_products_of_bytes_pay(isa: str) -> None:
    assert peak(isa, "int8") >= 1.5 * peak(isa, "float32")


@pytest.mark.parametrize("isa", [isa for isa in ISAS if "bf16" in isa])
def test_dot_products_of_bfloat16_lose_nothing(isa: str) -> None:
    assert peak(isa, "bfloat16") >= 0.8 * peak(isa, "float32")


def test_a_nearer_level_of_memory_is_no_slower() -> None:
    caches = host_target().caches
    if not (caches.l1d and caches.l2):
        pytest.skip("cache sizes are not known here")
    sizes = (caches.l1d // 2, caches.l2 // 2, 3 * max(caches.l2, caches.l3))
    near, middle, far = (
        best(lambda size=size: _kernels.measure_bandwidth("stream_read", size // 4096 * 4096, samples=5))
        for size in sizes
    )
    assert near >= 0.9 * middle >= 0.8 * far
    assert near > far
    # No core known reads more than four vectors per cycle.
    assert near <= SLACK * clock() * 4 * bits(ISAS[-1]) / 8
