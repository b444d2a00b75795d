"""The floor of a lower precision: its rounding is forgiven, a change of meaning still is not."""

import ml_dtypes
import numpy as np
import pytest

from graphopt.backends.onnxruntime.emulate import make_emulating_runner
from graphopt.equality.jitter import jitter
from graphopt.equality.verdict import Verdict
from graphopt.ir.shapes import infer_shapes
from graphopt.passes.precision import ConvertPrecision
from graphopt.pipeline.context import PassContext
from tests.equality.models import attention, floats, model, perceptron, prepare, unoptimised

PRECISIONS = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


def lowered(made, to):
    made = made.clone()
    infer_shapes(made)
    assert ConvertPrecision(to=to).run(made, PassContext())
    return make_emulating_runner(made)


@pytest.mark.parametrize("precision", PRECISIONS.values())
def test_moves_by_one_unit_of_the_lower_precision(precision):
    x = (np.random.default_rng(0).standard_normal(5000) * 3).astype(np.float32)
    moved = jitter(x, np.random.default_rng(1), precision=precision)
    step = np.unique(moved.view(np.int32).astype(np.int64) - x.view(np.int32))
    unit = 1 << (23 - ml_dtypes.finfo(precision).nmant)
    assert set(step) == {-unit, unit}


def test_what_vanishes_in_float16_moves_no_further_than_it_is_large():
    x = np.full(64, 1e-20, np.float32)
    moved = jitter(x, np.random.default_rng(0), precision=np.float16)
    assert np.all(moved != x)
    assert np.all(np.abs(moved / x - 1) < 2 * np.finfo(np.float16).eps)


@pytest.mark.parametrize("make", [perceptron, attention])
@pytest.mark.parametrize("to", PRECISIONS)
def test_the_model_in_the_lower_precision_is_rounding_there_only(make, to):
    own = prepare(make())
    low = own.at_precision(make(), unoptimised, PRECISIONS[to])
    candidate = lowered(make(), to)
    assert own.judge(candidate).verdict is Verdict.SEMANTIC
    report = low.judge(candidate)
    assert report.verdict is Verdict.ROUNDING, report.sentence()
    assert report.ratio < 4
    assert low.outputs is own.outputs


def test_another_activation_is_no_rounding_of_float16():
    low = prepare(perceptron()).at_precision(perceptron(), unoptimised, np.float16)
    changed = model(
        """m (float[N, 32] x) => (float[N, 16] y) {
            h = MatMul(x, w1)
            hb = Add(h, b1)
            g = Gelu<approximate = "tanh">(hb)
            q = Relu(g)
            y = MatMul(q, w2)
        }""",
        {"w1": floats(32, 64, seed=1), "b1": floats(64, seed=2), "w2": floats(64, 16, seed=3)},
    )
    assert low.judge(unoptimised(changed)).verdict is Verdict.SEMANTIC


def test_a_small_floor_is_a_few_units_of_the_lower_precision():
    exact = prepare(perceptron())
    low = exact.at_precision(perceptron(), unoptimised, np.float16)
    floor = low.floors["y"]
    assert floor.F >= 2 * np.finfo(np.float16).eps * floor.peak > exact.floors["y"].F
