"""One ulp, no more and no less, and never where it would change the meaning."""

import ml_dtypes
import numpy as np
import pytest

from graphopt.equality.jitter import holds_exact_values, jitter

DTYPES = [np.float16, np.float32, np.float64, ml_dtypes.bfloat16]


@pytest.mark.parametrize("dtype", DTYPES)
def test_moves_by_exactly_one_ulp(dtype):
    x = (np.random.default_rng(0).standard_normal(5000) * 3).astype(dtype)
    x = x[x != 0]
    moved = jitter(x, np.random.default_rng(1))
    step = moved.view(f"i{x.itemsize}").astype(np.int64) - x.view(f"i{x.itemsize}").astype(np.int64)
    assert set(np.unique(step)) == {-1, 1}
    assert moved.dtype == x.dtype


@pytest.mark.parametrize("dtype", DTYPES)
def test_zeros_extremes_and_nonfinite_stay(dtype):
    largest = float(ml_dtypes.finfo(dtype).max)
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, largest, -largest] * 3, np.float64).astype(dtype)
    assert jitter(x, np.random.default_rng(0)).tobytes() == x.tobytes()


def test_reuses_the_buffer_and_leaves_the_source_alone():
    x = np.random.default_rng(0).standard_normal((300, 700)).astype(np.float32)
    x.flags.writeable = False
    out = np.empty_like(x)
    assert jitter(x, np.random.default_rng(0), out) is out
    assert not np.array_equal(out, x)


def test_denormals_survive():
    x = np.full(64, np.finfo(np.float32).smallest_subnormal, np.float32)
    assert set(jitter(x, np.random.default_rng(0)).view(np.int32)) == {0, 2}


@pytest.mark.parametrize(
    ("values", "is_input", "exact"),
    [
        ([0, 1, 1, 0], False, True),
        ([0, 1, 1, 0], True, True),
        ([1, 1, 1, 1], False, False),
        ([1, 1, 1, 1], True, True),
        ([0, 1, 0.5, 0], True, False),
        ([0, -np.inf, 0, 0], False, True),
    ],
)
def test_masks_are_exact(values, is_input, exact):
    assert holds_exact_values(np.array(values, np.float32), is_input=is_input) is exact
