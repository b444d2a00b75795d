"""Feeds for models never seen: what each input means, and sizes that run."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from graphopt.equality.dims import plan_dims
from graphopt.equality.feedfile import load_feeds
from graphopt.equality.feeds import derive_feeds
from graphopt.equality.oracle import Oracle
from graphopt.equality.roles import Kind, roles
from graphopt.equality.values import Draw, make_values
from graphopt.errors import FeedError
from tests.equality.models import attention, floats, model, perceptron, prepare, unoptimised


def role_of(text, weights=None, name=None):
    found = roles(model(text, weights))
    return next(r for r in found if name is None or r.port.name == name)


def test_tokens_stay_within_their_table():
    by_name = {role.port.name: role for role in roles(attention())}
    assert (by_name["ids"].kind, by_name["ids"].high) == (Kind.INDEX, 50)
    assert by_name["attention_mask"].kind is Kind.MASK


@pytest.mark.parametrize(
    ("steps", "high"),
    [
        ("i = Identity(ids)", 50),
        ("i = Add(ids, two)", 48),
        ("i = Sub(ids, two)", 52),
        ("c = Cast<to = 6>(ids) i = Reshape(c, flat)", 50),
        ("u = Unsqueeze(ids, zero) i = Squeeze(u, zero)", 50),
    ],
)
def test_the_bound_follows_the_values(steps, high):
    weights = {
        "table": floats(50, 4),
        "two": np.int64(2),
        "flat": np.array([-1], np.int64),
        "zero": np.array([0], np.int64),
    }
    text = f"m (int64[4] ids) => (float[A, B] y) {{ {steps} y = Gather(table, i) }}"
    assert role_of(text, weights).high == high


def test_one_hot_bounds_its_input():
    text = "m (int64[4] ids) => (float[4, 12] y) {\n y = OneHot(ids, depth, values)\n}"
    assert role_of(text, {"depth": np.int64(12), "values": np.array([0, 1], np.float32)}).high == 12
    text = "m (int32[4, 1] ids) => (float[4, 9] y) {\n e = Equal(ids, range)\n y = Cast<to = 1>(e)\n}"
    assert role_of(text, {"range": np.arange(9, dtype=np.int32)}).high == 9


BRANCHES = """m (float[N, L] x, int64 rate) => (float[N, 8] y) {
    is16 = Equal(rate, k16)
    y = If(is16) <
        then_branch = t () => (float[N, 8] a) { a = MatMul(x, w16) },
        else_branch = e () => (float[N, 8] b) { b = MatMul(x, w8) }
    >
}"""


def test_branches_are_selected_by_the_constants_they_compare():
    weights = {"k16": np.int64(16000), "w16": floats(32, 8), "w8": floats(16, 8, seed=1)}
    oracle = prepare(model(BRANCHES, weights))
    seen = {(int(feed.values["rate"]), feed.values["x"].shape[1]) for feed in oracle.feeds}
    assert {(16000, 32), (8000, 16)} <= seen


def test_flags_take_both_sides():
    original = model(
        """m (float[2, 8] x, bool flag) => (float[2, 8] y) {
            y = If(flag) <
                then_branch = t () => (float[2, 8] a) { a = Tanh(x) },
                else_branch = e () => (float[2, 8] b) { b = Neg(x) }
            >
        }"""
    )
    assert {bool(feed.values["flag"]) for feed in prepare(original).feeds} == {True, False}


def test_three_value_sets_and_two_shapes():
    oracle = prepare(attention())
    shapes = [feed.values["ids"].shape for feed in oracle.feeds]
    assert len(oracle.feeds) >= 4
    assert len(set(shapes)) >= 2
    assert len({feed.values["ids"].tobytes() for feed in oracle.feeds}) == len(oracle.feeds)


def test_masks_have_zeros_and_a_one_in_each_row():
    role = role_of("m (int64[B, S] attention_mask) => (float[B, S] y) { y = Cast<to = 1>(attention_mask) }")
    for variant in range(6):
        mask = make_values(Draw(role, (3, 16), np.random.default_rng(variant), variant))
        assert mask.dtype == np.int64
        assert set(np.unique(mask)) == {0, 1}
        assert mask.max(axis=1).min() == 1


def test_fixed_sizes_hidden_in_the_graph_are_found():
    weights = {"shape": np.array([-1, 6, 8], np.int64)}
    original = model(
        "m (float[A, B] x) => (float[C, 6, 8] y) {\n z = Reshape(x, shape)\n y = Tanh(z)\n}", weights
    )
    assert all(feed.values["x"].size % 48 == 0 for feed in prepare(original).feeds)


def test_sizes_that_weights_demand_are_used_at_once():
    plan = plan_dims(m := conv(), roles(m))
    assert {v.name: v.sizes for v in plan.variables}["C"] == (5,)
    assert prepare(m).feeds[0].values["x"].shape[:2] == (1, 5)


def conv():
    return model(
        "m (float[N, C, H, W] x) => (float[N, 8, P, Q] y) {\n y = Conv<pads = [1, 1, 1, 1]>(x, w)\n}",
        {"w": floats(8, 5, 3, 3)},
    )


def test_dims_that_are_sums_of_others():
    original = model(
        """m (float[B, past, 8] cache, float[B, S, 8] x, int64[B, total] mask)
            => (float[B, T, 8] y, int64[B, total] z) {
            y = Concat<axis = 1>(cache, x)
            z = Identity(mask)
        }"""
    )
    original.graph.inputs[2].shape = ir.Shape(["B", "past + S"])
    feed = prepare(original).feeds[0].values
    assert feed["mask"].shape[1] == feed["cache"].shape[1] + feed["x"].shape[1]


def test_logarithms_get_positive_values():
    original = model("m (float[4, 16] x) => (float[4, 16] y) {\n y = Log(x)\n}")
    oracle = prepare(original)
    assert all(np.isfinite(outputs["y"]).all() for outputs in oracle.outputs)


def test_channels_last_are_told_from_heights_and_widths():
    """As TensorFlow lays images out: the weights say that the last axis has three."""
    text = """m (float[N, H, W, 3] x) => (float[A, B, C, D] y) {
        t = Transpose<perm = [0, 3, 1, 2]>(x)
        c = Conv(t, w)
        p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(c)
        y = Conv(p, v)
    }"""
    original = model(text, {"w": floats(4, 3, 3, 3), "v": floats(2, 4, 3, 3, seed=1)})
    role = roles(original)[0]
    assert (role.kind, role.channels) == (Kind.IMAGE, 3)
    shapes = {feed.values["x"].shape for feed in prepare(original).feeds}
    assert len(shapes) == 2
    assert all(height >= 32 and width >= 32 and depth == 3 for _, height, width, depth in shapes)


def test_raw_pixels_are_recognised():
    text = "m (float[1, 3, 8, 8] x) => (float[1, 3, 8, 8] y) {\n y = Div(x, d)\n}"
    role = role_of(text, {"d": np.float32(255)})
    pixels = make_values(Draw(role, (1, 3, 8, 8), np.random.default_rng(0)))
    assert role.kind is Kind.IMAGE
    assert pixels.min() >= 0
    assert 64 < pixels.max() <= 255


def test_another_scale_is_tried_when_outputs_say_nothing():
    original = model(
        "m (float[2, 8] x) => (float[2, 8] y) {\n s = Sub(x, far)\n y = Relu(s)\n}", {"far": np.float32(9)}
    )
    oracle = prepare(original)
    assert any(np.any(outputs["y"]) for outputs in oracle.outputs)


def test_strings_use_the_words_of_the_graph():
    text = """m (string[N] s) => (int64[N] y) {
        y = ai.onnx.ml.LabelEncoder<keys_strings=["cat", "dog"], values_int64s=[3, 4], default_int64=9>(s)
    }"""
    proto = onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["" : 20, "ai.onnx.ml" : 3]>{text}')
    oracle = prepare(ir.from_proto(proto))
    assert set(np.concatenate([o["y"] for o in oracle.outputs])) == {3, 4}


def test_what_cannot_be_derived_says_so():
    original = model("m (seq(float[2]) s) => (float[A] y) {\n y = ConcatFromSequence<axis = 0>(s)\n}")
    with pytest.raises(FeedError, match=r"'s' is a sequence.*--inputs"):
        prepare(original)


def test_a_model_that_never_runs_says_why():
    original = model(
        "m (float[N, 4] x) => (float[A, B] y) {\n y = Reshape(x, shape)\n}",
        {"shape": np.array([7, 1009], np.int64)},
    )
    with pytest.raises(FeedError, match=r"no input sizes were found.*last complaint"):
        prepare(original)


def test_a_model_without_inputs_is_run_once():
    original = model("m () => (float[16] y) {\n y = Tanh(w)\n}", {"w": floats(16)})
    oracle = prepare(original)
    assert [dict(feed.values) for feed in oracle.feeds] == [{}]
    assert not oracle.floors["y"].weaknesses()


def test_the_same_seed_gives_the_same_feeds():
    one, two = prepare(perceptron()), prepare(perceptron())
    for a, b in zip(one.feeds, two.feeds, strict=True):
        assert a.values["x"].tobytes() == b.values["x"].tobytes()


def test_names_no_file_system_would_like(tmp_path):
    from graphopt.equality.feedfile import save_feeds

    arrays = {
        "a/b:0": floats(2, 2),
        "/enc/x": floats(3),
        "file": floats(1),
        "../up": floats(2),
        "": floats(1),
    }
    save_feeds(tmp_path / "in.npz", arrays)
    read = load_feeds(tmp_path / "in.npz")
    assert {k: v.tobytes() for k, v in read.items()} == {k: v.tobytes() for k, v in arrays.items()}


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut off"])
def test_damaged_feed_files_are_refused_in_one_line(tmp_path, content):
    (tmp_path / "in.npz").write_bytes(content)
    with pytest.raises(FeedError) as caught:
        load_feeds(tmp_path / "in.npz")
    assert "\n" not in str(caught.value)


def test_an_empty_axis_stays_empty():
    original = model("m (float[2, 3] x, float[0, 3] e) => (float[2, 3] y) {\n y = Concat<axis = 0>(x, e)\n}")
    assert {feed.values["e"].shape for feed in prepare(original).feeds} == {(0, 3)}


def test_regions_lie_in_the_first_image():
    text = """m (float[1, 2, 8, 8] x, float[R, 4] boxes, int64[R] image) => (float[R, 2, 2, 2] y) {
        y = RoiAlign<output_height = 2, output_width = 2>(x, boxes, image)
    }"""
    assert not any(feed.values["image"].any() for feed in prepare(model(text)).feeds)


@pytest.mark.parametrize(
    ("body", "weights", "rank"),
    [
        ("y = MatMul(x, w)", {"w": floats(8, 4)}, 2),
        ("y = Conv(x, w)", {"w": floats(4, 3, 3, 3)}, 4),
        ("y = Neg(x)", {}, 2),
    ],
)
def test_an_undeclared_rank_is_found(body, weights, rank):
    proto = onnx.parser.parse_model(
        f'<ir_version: 9, opset_import: ["" : 20]> m (float[N] x) => (float[M] y) {{ {body} }}'
    )
    proto.graph.input[0].type.tensor_type.ClearField("shape")
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    for name, array in weights.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    assert prepare(ir.from_proto(proto)).feeds[0].values["x"].ndim == rank


def test_counts_that_must_agree_fall_back_to_ones():
    """Durations of two inputs that have to sum to the same: no random values do, ones do."""
    text = """m (int64[N] a, int64[N] b, float[N] x) => (float[T] y) {
        ta = ReduceSum<keepdims = 0>(a)
        tb = ReduceSum<keepdims = 0>(b)
        ra = Range(zero, ta, one)
        rb = Range(zero, tb, one)
        both = Add(ra, rb)
        f = Cast<to = 1>(both)
        y = Add(f, x)
    }"""
    oracle = prepare(model(text, {"zero": np.int64(0), "one": np.int64(1)}))
    assert (oracle.feeds[0].values["a"] == 1).all()
    assert any("all ones" in note for note in oracle.notes)


def test_a_sequence_as_an_input_says_what_can_be_done():
    text = "m (seq(float[2]) s) => (float[N] y) {\n y = ConcatFromSequence<axis = 0>(s)\n}"
    with pytest.raises(FeedError, match="is a sequence") as caught:
        prepare(model(text))
    assert "from Python" in caught.value.hint
    x = np.ones(2, np.float32)
    oracle = Oracle.prepare(model(text), unoptimised, inputs={"s": [x, x]})
    assert oracle.judge(unoptimised(model(text))).equal


def test_outputs_that_are_sequences_are_taken_from_any_runner():
    original = model("m (float[2, 4] x) => (seq(float[2]) s) {\n s = SplitToSequence<axis = 0>(x)\n}")
    found = derive_feeds(original, unoptimised(original).run)
    assert list(found.outputs[0]) == ["s[0]", "s[1]"]
