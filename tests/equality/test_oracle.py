"""Verdicts on small models: rounding is forgiven, everything else is not."""

import json

import numpy as np
import pytest

from graphopt.equality.floor import OutputFloor
from graphopt.equality.verdict import Verdict
from graphopt.errors import BackendError, FeedError, UsageError
from tests.equality.models import attention, floats, model, perceptron, prepare, unoptimised


class Fixed:
    """A candidate that returns what it is told."""

    def __init__(self, oracle, change):
        self._oracle, self._change = oracle, change

    def run(self, feeds):
        index = next(i for i, feed in enumerate(self._oracle.feeds) if feed.values is feeds)
        return {name: self._change(array.copy()) for name, array in self._oracle.outputs[index].items()}


@pytest.fixture(scope="module")
def mlp():
    return prepare(perceptron())


def verdict(oracle, candidate, mode="default"):
    return oracle.judge(unoptimised(candidate), mode).verdict


def test_the_model_itself_is_exact(mlp):
    report = mlp.judge(unoptimised(perceptron()))
    assert report.verdict is Verdict.EXACT
    assert not report.weak
    assert report.jitters >= 5


def test_another_order_of_additions_is_rounding(mlp):
    w1 = floats(32, 64, seed=1)
    order = np.random.default_rng(0).permutation(32)
    shuffled = model(
        """m (float[N, 32] x) => (float[N, 16] y) {
            xs = Gather<axis = 1>(x, order)
            h = MatMul(xs, w1)
            hb = Add(h, b1)
            gelu = Gelu(hb)
            y = MatMul(gelu, w2)
        }""",
        {"w1": w1[order], "order": order, "b1": floats(64, seed=2), "w2": floats(64, 16, seed=3)},
    )
    report = mlp.judge(unoptimised(shuffled))
    assert report.verdict is Verdict.ROUNDING, report.sentence()


@pytest.mark.parametrize(
    "changed",
    [
        {"root": np.float32(1.4142)},
        {"w1": floats(32, 64, seed=1) * np.float32(1.0001)},
        {"w2": floats(64, 16, seed=3) * np.float32(1.0001)},
        {"b1": np.zeros(64, np.float32)},
        {"half": np.float32(0.4999)},
    ],
    ids=["sqrt2", "w1", "w2", "bias", "half"],
)
def test_wrong_numbers_are_semantic(mlp, changed):
    assert verdict(mlp, perceptron(**changed)) is Verdict.SEMANTIC


def test_a_dropped_mask_is_semantic():
    original = attention()
    oracle = prepare(original)
    wrong = original.clone()
    softmax = next(node for node in wrong.graph if node.op_type == "Softmax")
    softmax.replace_input_with(0, softmax.inputs[0].producer().inputs[0])
    assert verdict(oracle, wrong) is Verdict.SEMANTIC


def test_a_changed_epsilon_is_semantic():
    def norm(epsilon):
        return model(
            f"m (float[N,32] x) => (float[N,32] y) {{ y = LayerNormalization<epsilon={epsilon}>(x, g, b) }}",
            {"g": floats(32, seed=1, scale=1.0), "b": floats(32, seed=2)},
        )

    oracle = prepare(norm("1e-05"))
    assert verdict(oracle, norm("1e-05")) is Verdict.EXACT
    assert verdict(oracle, norm("2e-05")) is Verdict.SEMANTIC


def test_swapped_outputs_are_semantic():
    def two(first, second):
        return model(
            f"m (float[N, 16] x) => (float[N, 16] p, float[N, 16] q) {{ p = {first}(x) q = {second}(x) }}"
        )

    oracle = prepare(two("Tanh", "Sigmoid"))
    assert verdict(oracle, two("Sigmoid", "Tanh")) is Verdict.SEMANTIC


def test_outputs_in_another_order_or_missing_are_named(mlp):
    assert (
        "lacks output 'y'"
        in mlp.judge(unoptimised(model("m (float[N,32] x) => (float[N,32] z) { z = Tanh(x) }"))).reason
    )


def test_relaxed_is_four_times_wider(mlp):
    def shift(factor):
        def change(y):
            return y + np.float32(factor * mlp.floors["y"].F) * np.sign(floats(*y.shape, seed=1))

        return Fixed(mlp, change)

    assert mlp.judge(shift(20)).verdict is Verdict.SEMANTIC
    assert mlp.judge(shift(20), "relaxed").verdict is Verdict.SEMANTIC  # rms is over its floor too
    assert mlp.judge(shift(1)).verdict is Verdict.ROUNDING
    assert mlp.judge(shift(4), "relaxed").verdict is Verdict.ROUNDING
    with pytest.raises(UsageError, match="unknown equality mode"):
        mlp.judge(shift(1), "lenient")


def test_a_nan_is_semantic(mlp):
    def change(y):
        y.flat[0] = np.nan
        return y

    report = mlp.judge(Fixed(mlp, change))
    assert report.verdict is Verdict.SEMANTIC
    assert "NaN" in report.sentence()


def test_a_failing_candidate_is_semantic_not_raised(mlp):
    class Broken:
        def run(self, feeds):
            raise BackendError("node 'q' fell over")

    report = mlp.judge(Broken())
    assert report.verdict is Verdict.SEMANTIC
    assert "fell over" in report.sentence()


def test_another_shape_or_dtype_is_semantic(mlp):
    assert mlp.judge(Fixed(mlp, lambda y: y[:, :8])).verdict is Verdict.SEMANTIC
    assert mlp.judge(Fixed(mlp, lambda y: y.astype(np.float64))).verdict is Verdict.SEMANTIC


def test_random_outputs_are_named_not_checked():
    original = model(
        """m (float[4, 16] x) => (float[4, 16] noisy, float[4, 16] clean) {
            r = RandomNormalLike(x)
            noisy = Add(x, r)
            clean = Tanh(x)
        }"""
    )
    report = prepare(original).judge(unoptimised(original))
    assert report.not_checkable == ("noisy",)
    assert [o.name for o in report.outputs] == ["clean"]
    assert report.verdict is Verdict.EXACT


def test_labels_must_match():
    original = model(
        "m (float[N, 32] x) => (int64[N] label) { h = MatMul(x, w) label = ArgMax<axis=1, keepdims=0>(h) }",
        {"w": floats(32, 10)},
    )
    oracle = prepare(original)
    report = oracle.judge(Fixed(oracle, lambda label: (label + 1) % 10))
    assert report.verdict is Verdict.SEMANTIC
    assert report.outputs[0].mismatches > 0


def test_labels_may_flip_where_the_original_does():
    """Two columns that differ by one ulp: which of them wins is noise."""
    w = floats(32, 10)
    w[:, 1] = w[:, 0]
    original = model(
        "m (float[64,32] x) => (int64[64] label) { h = MatMul(x, w) label = ArgMax<axis=1, keepdims=0>(h) }",
        {"w": w},
    )
    oracle = prepare(original)

    def swap(label):
        return np.where(label == 0, 1, np.where(label == 1, 0, label))

    assert oracle.floors["label"].flip_rate > 0
    assert oracle.judge(Fixed(oracle, swap)).verdict is Verdict.ROUNDING
    assert oracle.judge(Fixed(oracle, lambda label: label * 0 + 7)).verdict is Verdict.SEMANTIC


def test_half_precision_has_its_own_epsilon():
    def half(gain):
        return model(
            "m (float16[N, 32] x) => (float16[N, 8] y) {\n h = MatMul(x, w)\n y = Tanh(h)\n}",
            {"w": (floats(32, 8) * np.float32(gain)).astype(np.float16)},
        )

    oracle = prepare(half(1))
    floor = oracle.floors["y"].F
    assert floor > np.finfo(np.float16).eps / 4
    assert verdict(oracle, half(1.05)) is Verdict.SEMANTIC


def test_dynamic_quantisation_is_called_a_weak_check():
    original = model(
        """m (float[64, 64] x) => (float[64, 32] y) {
            h = MatMul(x, w)
            q, s, z = DynamicQuantizeLinear(h)
            i = MatMulInteger(q, w8, z)
            f = Cast<to = 1>(i)
            y = Mul(f, s)
        }""",
        {"w": floats(64, 512), "w8": np.random.default_rng(1).integers(-100, 100, (512, 32)).astype(np.int8)},
    )
    report = prepare(original).judge(unoptimised(original))
    assert any("quantised" in why for why in report.outputs[0].weak)


def test_a_silent_output_is_called_a_weak_check():
    original = model("m (float[4, 16] x) => (float[4, 16] y) {\n z = Sub(x, x)\n y = Tanh(z)\n}")
    report = prepare(original).judge(unoptimised(original))
    assert any("all zeros" in why for why in report.outputs[0].weak)


def test_sequences_are_compared_piece_by_piece():
    original = model(
        "m (float[4, 16] x) => (seq(float[2, 16]) y) {\n y = SplitToSequence<axis = 0>(x, n)\n}",
        {"n": np.int64(2)},
    )
    report = prepare(original).judge(unoptimised(original))
    assert [o.name for o in report.outputs] == ["y[0]", "y[1]"]


def test_the_report_is_json(mlp):
    data = json.loads(json.dumps(mlp.judge(Fixed(mlp, lambda y: y * np.float32(np.inf))).to_json()))
    assert data["verdict"] == "semantic"
    assert data["outputs"][0]["name"] == "y"


def test_own_feeds_take_precedence(tmp_path):
    x = floats(3, 32)
    np.savez(tmp_path / "in.npz", x=x)
    oracle = prepare(perceptron(), inputs=tmp_path / "in.npz")
    assert [feed.origin for feed in oracle.feeds] == ["user"]
    assert np.array_equal(oracle.feeds[0].values["x"], x)


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({"y": floats(3, 32)}, "no input 'y'"),
        ({}, "'x' is missing"),
        ({"x": floats(3, 32).astype(np.float64)}, "is float64, the model takes float32"),
        ({"x": floats(3, 31)}, "axis 1 must be 32"),
        ({"x": floats(3)}, "rank 1"),
        ([], "empty list"),
    ],
)
def test_feeds_that_do_not_fit_are_refused_in_one_line(feeds, message):
    with pytest.raises(FeedError, match=message) as caught:
        prepare(perceptron(), inputs=feeds)
    assert "\n" not in str(caught.value)


def test_too_few_jitters_are_refused():
    with pytest.raises(UsageError, match="at least 5"):
        prepare(perceptron(), jitters=2)


def test_randomness_that_only_a_batch_shows_is_found():
    """Of one row nothing is left to drop: the first shape looks steady, the second does not."""
    original = model(
        """m (float[N, 16] x) => (float[N, 16] y, float[N, 16] z) {
            mean = ReduceMean(x, zero)
            centred = Sub(x, mean)
            noise = RandomNormalLike(x)
            y = Mul(centred, noise)
            z = MatMul(x, w)
        }""",
        {"zero": np.array([0], np.int64), "w": floats(16, 16)},
    )
    assert prepare(original).not_checkable == ("y",)


def test_scalar_inputs_are_fed_and_moved():
    original = model("m (float a, float b) => (float y) {\n p = Mul(a, b)\n y = Exp(p)\n}")
    oracle = prepare(original)
    assert all(array.shape == () for feed in oracle.feeds for array in feed.values.values())
    assert not any(floor.shape_moves for floor in oracle.floors.values())
    assert oracle.floors["y"].maxima


def test_an_output_of_nothing_but_zeros_that_noise_moves_is_a_weak_check() -> None:
    floor = OutputFloor(np.dtype(np.float16), quantised=False)
    floor.reference(np.zeros(3, np.float16))
    floor.jittered(0, np.zeros(3, np.float16), np.array([0, 6e-8, 0], np.float16))
    assert floor.weaknesses() == ("it is zero everywhere, and one rounding error moves it",)
