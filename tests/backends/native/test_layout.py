"""Which values become channels-last, where conversions stand, and that answers stay the same."""

from __future__ import annotations

import numpy as np
import pytest

from graphopt.backends.native.layout.order import axes_first, axes_last, place_of
from graphopt.backends.onnxruntime.runner import make_runner
from tests.backends.native.plans import model_of, ops, plan_of
from tests.backends.native.whole import run


def test_the_two_orders_are_inverse() -> None:
    for rank in (3, 4, 5):
        assert [axes_last(rank)[axis] for axis in axes_first(rank)] == list(range(rank))
        assert [axes_last(rank)[place_of(axis, rank)] for axis in range(rank)] == list(range(rank))
    assert place_of(-1, 4) == 2


def test_a_chain_of_convolutions_is_converted_at_its_ends_only() -> None:
    plan = plan_of(
        """chain (float[1,3,32,32] x, float[8,3,3,3] w, float[8,8,3,3] v) => (float[1,8,28,28] y) {
             a = Conv (x, w)  b = Relu (a)  y = Conv (b, v) }"""
    )
    assert ops(plan) == {"transpose": 2, "conv": 2}
    assert plan.steps[0].op == "transpose"
    assert plan.steps[-1].op == "transpose"


def test_without_convolutions_nothing_is_converted() -> None:
    plan = plan_of(
        """plain (float[1,8,4,4] x) => (float[1,8,4,4] y) { a = Softmax <axis = 1> (x)  y = Exp (a) }"""
    )
    assert ops(plan) == {"softmax": 1, "elementwise": 1}


def test_a_value_with_several_plain_readers_is_converted_once() -> None:
    plan = plan_of(
        """readers (float[1,4,8,8] x, float[4,4,1,1] w, float[8,8] m)
                  => (float[1,4,8,8] y, float[1,4,8,8] z) {
             a = Conv (x, w)  y = MatMul (a, m)  z = MatMul (m, a) }"""
    )
    assert ops(plan)["transpose"] == 2


def test_transposes_between_the_layouts_vanish() -> None:
    plan = plan_of(
        """norm (float[1,4,8,8] x, float[4,4,1,1] w, float[4] s, float[4] b) => (float[1,4,8,8] y) {
             a = Conv (x, w)
             t = Transpose <perm = [0, 2, 3, 1]> (a)
             n = LayerNormalization <axis = -1> (t, s, b)
             u = Transpose <perm = [0, 3, 1, 2]> (n)
             y = Conv (u, w) }"""
    )
    assert ops(plan) == {"transpose": 2, "conv": 2, "layer_norm": 1}


def test_tokens_of_an_image_are_views() -> None:
    plan = plan_of(
        """tokens (float[1,3,8,8] x, float[6,3,2,2] w, float[6,6] m) => (float[1,16,6] y) {
             a = Conv <strides = [2, 2]> (x, w)
             shape = Constant <value_ints = [0, 6, -1]> ()
             r = Reshape (a, shape)
             t = Transpose <perm = [0, 2, 1]> (r)
             y = MatMul (t, m) }"""
    )
    assert ops(plan) == {"transpose": 1, "conv": 1, "reshape": 1, "matmul": 1}


def test_a_converted_result_keeps_its_name() -> None:
    plan = plan_of(
        "named (float[1,4,8,8] x, float[4,4,1,1] w) => (float[1,4,8,8] answer) { answer = Conv (x, w) }"
    )
    assert [value.name for value in plan.outputs] == ["answer"]


_FEEDS = {"x": (2, 3, 6, 5), "w": (4, 3, 1, 1)}
_BODIES = {
    "bias of each channel": "b = Add (a, c)",
    "a row of pixels": "b = Mul (a, row)",
    "a computed operand of lower rank": "m = ReduceMean <keepdims = 0> (a, first) b = Sub (a, m)",
    "concatenated channels": "b = Concat <axis = 1> (a, a)",
    "concatenated rows": "b = Concat <axis = -2> (a, a)",
    "split channels": "b, d = Split <axis = 1, num_outputs = 2> (a)",
    "softmax over channels": "b = Softmax <axis = 1> (a)",
    "mean of all pixels": "b = GlobalAveragePool (a)",
    "mean without its dims": "b = ReduceMean <keepdims = 0> (a, pixels)",
    "mean of one row": "b = ReduceMean <keepdims = 0> (a, rows)",
    "sum of channels": "b = ReduceSum <keepdims = 0> (a, channel)",
    "the largest channel": "b = ArgMax <axis = 1, keepdims = 0> (a)",
    "padding": "b = Pad (a, pads)",
    "padded channels": "b = Pad (a, two, , channel)",
    "a slice of channels": "b = Slice (a, one, three, channel)",
    "a slice of leading axes": "b = Slice (a, zeros, ones)",
    "repeats": "b = Tile (a, repeats)",
    "upsampling": 'b = Resize <mode = "nearest"> (a, , scales)',
    "group norm": "b = GroupNormalization <num_groups = 2> (a, four, four)",
    "instance norm": "b = InstanceNormalization (a, four, four)",
    "batch norm": "b = BatchNormalization (a, four, four, four, four)",
    "LRN": "b = LRN <size = 3, alpha = 0.1> (a)",
    "max pool": "b = MaxPool <kernel_shape = [2, 2], strides = [2, 1]> (a)",
    "squeezed and grown": "u = Unsqueeze (a, two_axis) b = Squeeze (u, two_axis)",
    "merged pixels": "b = Reshape (a, merged)",
    "merged channels": "b = Reshape (a, flat)",
    "a vector": "g = GlobalAveragePool (a) b = Flatten (g)",
    "to the front": "b = Transpose <perm = [1, 0, 2, 3]> (a)",
    "to the back": "b = Transpose <perm = [0, 2, 3, 1]> (a)",
}


@pytest.mark.parametrize("body", _BODIES.values(), ids=_BODIES.keys())
def test_what_follows_a_convolution_computes_the_same_in_its_layout(body: str) -> None:
    constants = """
        c = Constant <value = float[4,1,1] {0.5, -1.0, 2.0, 0.25}> ()
        row = Constant <value = float[5] {1.0, 2.0, 3.0, 4.0, 5.0}> ()
        four = Constant <value_floats = [0.5, 1.5, 2.0, 1.0]> ()
        first = Constant <value_ints = [0]> ()
        channel = Constant <value_ints = [1]> ()
        rows = Constant <value_ints = [-2]> ()
        pixels = Constant <value_ints = [2, 3]> ()
        pads = Constant <value_ints = [0, 0, 1, 0, 0, 0, 0, 2]> ()
        one = Constant <value_ints = [1]> ()
        two = Constant <value_ints = [1, 1]> ()
        three = Constant <value_ints = [3]> ()
        zeros = Constant <value_ints = [0, 0, 1]> ()
        ones = Constant <value_ints = [1, 2, 6]> ()
        repeats = Constant <value_ints = [1, 2, 3, 1]> ()
        scales = Constant <value_floats = [1.0, 1.0, 2.0, 3.0]> ()
        two_axis = Constant <value_ints = [2]> ()
        merged = Constant <value_ints = [0, 4, -1]> ()
        flat = Constant <value_ints = [0, -1]> ()
    """
    inputs = "float[2,3,6,5] x, float[4,3,1,1] w"
    model = model_of(f"test ({inputs}) => (y) {{ {constants} a = Conv (x, w) {body} y = Identity (b) }}")
    rng = np.random.default_rng(0)
    feeds = {name: rng.standard_normal(dims).astype(np.float32) for name, dims in _FEEDS.items()}
    want = make_runner(model, optimise=False, threads=1).run(feeds)["y"]

    got = run(model, feeds)["y"]

    assert got.shape == want.shape
    assert got.dtype == want.dtype
    # Sums of at most 60 products of numbers below 10.
    assert np.abs(got - want).max() <= 60 * 100 * np.finfo(np.float32).eps
