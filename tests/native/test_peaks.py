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
ATTEMPTS = 8


@cache
def best(what: str, *arguments: str | int) -> list[float]:
    """The best rate seen so far of one measurement; a list, so that ``sample`` can raise it."""
    return [0.0]


def sample(what: str, *arguments: str | int) -> float:
    seen = best(what, *arguments)
    seen[0] = max(seen[0], measure(what, *arguments).high)
    return seen[0]


def measure(what: str, *arguments: str | int) -> _kernels.Measurement:
    if what == "clock":
        return _kernels.measure_clock(seconds=1e-3, samples=9)
    if what == "peak":
        isa, dtype = map(str, arguments)
        return _kernels.measure_peak(dtype, isa=isa, seconds=1e-3, samples=9)
    return _kernels.measure_bandwidth("stream_read", int(arguments[0]), seconds=1e-3, samples=9)


def holds(claim: Callable[[], bool]) -> bool:
    """Whether the claim holds of the best rates of a few attempts; each call of ``sample`` adds one."""
    return any(claim() for _ in range(ATTEMPTS))


def clock() -> float:
    return sample("clock")


def peak(isa: str, dtype: str) -> float:
    return sample("peak", isa, dtype)


def bits(isa: str) -> int:
    return VECTOR_BITS.get(isa, 128 if isa.startswith("neon") else 512)


@pytest.mark.parametrize("isa", ISAS)
def test_no_more_than_the_ports_allow(isa: str) -> None:
    pipes = 4 if isa.startswith("neon") else 2  # of vectors of this width; the widest cores known
    assert holds(lambda: peak(isa, "float32") <= SLACK * clock() * pipes * 2 * bits(isa) / 32)


@pytest.mark.parametrize("isa", ISAS)
def test_no_less_than_half_a_vector_per_cycle(isa: str) -> None:
    """Every core with the instruction starts one operation on a vector every other cycle, or the
    compiler spilled the accumulators."""
    assert holds(lambda: peak(isa, "float32") * SLACK >= clock() * 0.5 * 2 * bits(isa) / 32)


@pytest.mark.parametrize("isa", ISAS)
def test_float64_is_half_of_float32(isa: str) -> None:
    assert holds(lambda: 0.4 < peak(isa, "float64") / peak(isa, "float32") < 0.6)


@pytest.mark.parametrize(
    ("wider", "narrower"), [("avx2", "x86-64"), ("avx512", "avx2"), ("avx512-vnni-bf16", "avx512")]
)
def test_a_wider_level_is_no_slower(wider: str, narrower: str) -> None:
    if wider not in ISAS:
        pytest.skip(f"this CPU has no {wider}")
    assert holds(lambda: peak(wider, "float32") >= 0.9 * peak(narrower, "float32"))


@pytest.mark.parametrize("isa", [isa for isa in ISAS if "vnni" in isa or "dotprod" in isa])
def test_dot_products_of_bytes_pay(isa: str) -> None:
    assert holds(lambda: peak(isa, "int8") >= 1.5 * peak(isa, "float32"))


@pytest.mark.parametrize("isa", [isa for isa in ISAS if "bf16" in isa])
def test_dot_products_of_bfloat16_lose_nothing(isa: str) -> None:
    assert holds(lambda: peak(isa, "bfloat16") >= 0.8 * peak(isa, "float32"))


def test_a_nearer_level_of_memory_is_no_slower() -> None:
    caches = host_target().caches
    if not (caches.l1d and caches.l2):
        pytest.skip("cache sizes are not known here")
    sizes = (caches.l1d // 2, caches.l2 // 2, 3 * max(caches.l2, caches.l3))
    pages = [size // 4096 * 4096 for size in sizes]

    def ordered() -> bool:
        near, middle, far = (sample("read", size) for size in pages)
        return near >= 0.9 * middle >= 0.8 * far and near > far

    assert holds(ordered)
    # No core known reads more than four vectors per cycle.
    assert holds(lambda: sample("read", pages[0]) <= SLACK * clock() * 4 * bits(ISAS[-1]) / 8)
