"""The ONNX Runtime runner: weights injected, overridden, jittered; errors in one line that name the node."""

import functools
import gc
import threading

import ml_dtypes
import numpy as np
import onnx.parser
import onnx_ir as ir
import pytest

from graphopt.backends.onnxruntime.backend import OnnxRuntimeBackend
from graphopt.backends.onnxruntime.messages import one_line
from graphopt.backends.onnxruntime.runner import make_runner
from graphopt.backends.reference.runner import make_runner as make_reference
from graphopt.equality.oracle import Oracle
from graphopt.errors import BackendError, FeedError

HEAD = '<ir_version: 10, opset_import: ["" : 21]>\n'
X = np.ones((2, 2000), np.float32)


def weighted(array, op="Add", text=None, optional=False):
    """x ∘ cast(w) with ``w`` an initializer."""
    body = text or f"{{ wf = Cast <to = 1> (w) h = {op}(x, wf) y = Relu(h) }}"
    model = ir.from_onnx_text(HEAD + f"g (float[N, 2000] x, float[2000] w) => (float[N, 2000] y) {body}")
    tensor = array if isinstance(array, ir.Tensor) else ir.tensor(array, name="w")
    value = model.graph.inputs[1]
    value.const_value, value.type, value.shape = tensor, ir.TensorType(tensor.dtype), ir.Shape([2000])
    if not optional:
        del model.graph.inputs[1]
    model.graph.initializers["w"] = value
    return model


@pytest.mark.parametrize(
    "dtype", ["float32", "float16", "float64", "int8", "uint16", "int64", "bfloat16", "float8_e4m3fn", "bool"]
)
@pytest.mark.parametrize("optimise", [True, False])
def test_weights_of_every_dtype_reach_the_session(dtype, optimise):
    known = dtype in ("bfloat16", "float8_e4m3fn")
    array = np.ones(2000, getattr(ml_dtypes, dtype) if known else dtype)
    runner = make_runner(weighted(array), optimise=optimise, threads=1)
    np.testing.assert_array_equal(runner.run({"x": X})["y"], X + 1)


def test_four_bit_weights_meet_activations_that_keep_their_precision():
    """ONNX Runtime's own fusion rounds the activations to int8 unless it is told not to."""
    rng = np.random.default_rng(0)
    model = ir.from_onnx_text(
        HEAD
        + """g (float[N, 32] x) => (float[N, 32] y) {
            wf = DequantizeLinear <axis = 0, block_size = 16> (w, scales)
            y = MatMul(x, wf)
        }"""
    )
    weights = rng.integers(-8, 8, (32, 32)).astype(ml_dtypes.int4)
    for name, tensor in (
        ("w", ir.Tensor(weights, name="w")),
        ("scales", ir.tensor(rng.uniform(0.01, 1, (2, 32)).astype(np.float32), name="scales")),
    ):
        value = ir.Value(name=name, const_value=tensor, type=ir.TensorType(tensor.dtype), shape=tensor.shape)
        model.graph.register_initializer(value)
        for node in model.graph:
            for index, old in enumerate(node.inputs):
                if old is not None and old.name == name:
                    node.replace_input_with(index, value)
    oracle = Oracle.prepare(model, functools.partial(make_runner, optimise=False, threads=1))
    assert oracle.judge(make_runner(model, threads=1)).equal


def test_four_bit_weights_reach_the_session():
    array = ir.Tensor(np.full(2000, 3, ml_dtypes.int4), name="w")
    model = weighted(
        array, text="{ s = Constant <value_float = 2.0> () wf = DequantizeLinear(w, s) y = Add(x, wf) }"
    )
    np.testing.assert_array_equal(make_runner(model, threads=1).run({"x": X})["y"], X + 6)


def test_the_model_is_not_changed_and_may_go_before_the_runner():
    model = weighted(np.full(2000, 3, np.float32))
    before = ir.to_proto(model).SerializeToString()
    runner = make_runner(model, threads=1)
    assert ir.to_proto(model).SerializeToString() == before
    del model
    gc.collect()
    junk = [np.full(2000, -1, np.float32) for _ in range(50)]
    np.testing.assert_array_equal(runner.run({"x": X})["y"], X + 3)
    del junk


def test_overrides_replace_weights_for_one_runner_only():
    model = weighted(np.full(2000, 3, np.float32))
    other = make_runner(model, threads=1, overrides={"w": np.full(2000, 5, np.float32)})
    np.testing.assert_array_equal(other.run({"x": X})["y"], X + 5)
    np.testing.assert_array_equal(make_runner(model, threads=1).run({"x": X})["y"], X + 3)


def test_overrides_and_extra_outputs_that_do_not_exist_are_named():
    model = weighted(np.full(2000, 3, np.float32))
    with pytest.raises(BackendError, match="no initializer 'q' to override"):
        make_runner(model, overrides={"q": X})
    with pytest.raises(
        BackendError, match=r"override of initializer 'w' has shape \[2, 2000\] instead of \[2000\]"
    ):
        make_runner(model, overrides={"w": X})
    with pytest.raises(BackendError, match="no value 'zz' to return"):
        make_runner(model, extra_outputs=["zz"])


def test_extra_outputs_come_after_the_models_own():
    runner = make_runner(weighted(np.full(2000, 3, np.float32)), threads=1, extra_outputs=["h", "w", "y"])
    assert runner.output_names == ["y", "h", "w"]
    np.testing.assert_array_equal(runner.run({"x": X})["h"], X + 3)


def test_an_input_with_a_default_may_be_left_out_or_fed():
    runner = make_runner(weighted(np.full(2000, 3, np.float32), optional=True), threads=1)
    assert runner.input_names == ["x"]
    np.testing.assert_array_equal(runner.run({"x": X})["y"], X + 3)
    np.testing.assert_array_equal(runner.run({"x": X, "w": np.zeros(2000, np.float32)})["y"], X)


def test_bfloat16_and_float8_go_in_and_come_out():
    model = ir.from_onnx_text(
        HEAD
        + """
g (bfloat16[N] x, float[N] f) => (bfloat16[N] y, float8e4m3fn[N] e, float[N] z) {
  y = Identity(x)
  e = Cast <to = 17> (f)
  z = Cast <to = 1> (x)
}
"""
    )
    x = np.array([1.5, -2], ml_dtypes.bfloat16)
    outputs = make_runner(model, threads=1).run({"x": x, "f": np.array([3.5, -1], np.float32)})
    np.testing.assert_array_equal(outputs["y"], x)
    np.testing.assert_array_equal(outputs["z"], x.astype(np.float32))
    assert outputs["e"].dtype == ml_dtypes.float8_e4m3fn
    np.testing.assert_array_equal(outputs["e"].astype(np.float32), [3.5, -1])


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({}, r"input 'x' is missing \(expected x: float32\[N, 2000\]\)"),
        ({"x": None}, "input 'x' is missing"),
        ({"x": X, "u": X}, "there is no input 'u'"),
        ({"x": X.astype("f8")}, r"input 'x' has dtype float64 \(expected x: float32\[N, 2000\]\)"),
        ({"x": X.astype(">f4")}, "input 'x' has dtype >f4"),
        ({"x": X[0]}, r"shape \[2000\]: rank 1 instead of 2"),
        ({"x": X[:, :7]}, r"shape \[2, 7\]: axis 1 is 7 instead of 2000"),
        ({"x": [[1.0]]}, "is a list, not a numpy array"),
        ({"x": np.array([["a"]])}, "has dtype <U1"),
    ],
)
@pytest.mark.parametrize("make", [lambda m: make_runner(m, threads=1), make_reference])
def test_feeds_that_do_not_fit_are_explained(feeds, message, make):
    runner = make(weighted(np.full(2000, 3, np.float32)))
    with pytest.raises(FeedError, match=message) as caught:
        runner.run(feeds)
    assert "\n" not in str(caught.value)


def test_dims_of_one_name_that_differ_are_said_to():
    model = ir.from_onnx_text(HEAD + "g (float[N] x, float[N] z) => (float[N] y) { [sum] y = Add(x, z) }")
    runner = make_runner(model, threads=1)
    with pytest.raises(FeedError, match=r"input 'z' has shape \[3\]: 'N' is 3 here but 2 in 'x'"):
        runner.run({"x": np.ones(2, np.float32), "z": np.ones(3, np.float32)})


@pytest.mark.parametrize("dims", ["[?, ?]", "[unk__1, unk__1]"])
def test_dims_nobody_named_need_not_agree(dims):
    text = (
        HEAD + f"g (float{dims.replace('?', 'a')} x) => (float[M] y) {{ y = ReduceSum <keepdims = 0> (x) }}"
    )
    model = ir.from_onnx_text(text)
    if "?" in dims:
        model.graph.inputs[0].shape = ir.Shape(["?", "?"])
    make_runner(model, threads=1).run({"x": np.ones((2, 3), np.float32)})


def test_a_failing_node_is_named_in_one_line():
    model = ir.from_onnx_text(
        HEAD + "g (float[N, K] x, float[M, P] z) => (float[N, P] y) { [gemm] y = MatMul(x, z) }"
    )
    runner = make_runner(model, threads=1)
    with pytest.raises(
        BackendError, match=r"onnxruntime failed: node 'gemm' \(MatMul\): .*dimension mismatch"
    ) as caught:
        runner.run({"x": X, "z": X})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("[odd] y = Reluu(x)", r"node 'odd' \(Reluu\): No Op registered"),
        ("[odd] y = Relu(x, x)", r"node 'odd' \(Relu\): .*input size 2"),
        ("[odd] y = Relu(nothing)", "'nothing' is not a graph input"),
    ],
)
def test_a_refused_model_names_the_node(body, message):
    model = ir.from_onnx_text(HEAD + f"g (float[N] x) => (float[N] y) {{ {body} }}")
    with pytest.raises(BackendError, match=message) as caught:
        make_runner(model, threads=1)
    assert "\n" not in str(caught.value)


def test_messages_lose_the_runtimes_source_lines():
    text = (
        "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Add node. Name:'n1' "
        "Status Message: /onnxruntime_src/onnxruntime/core/providers/cpu/math/element_wise_ops.h:563 void "
        "onnxruntime::BroadcastIterator::Init(ptrdiff_t, ptrdiff_t) axis == 1 || axis == largest was false. "
        "Attempting to broadcast an axis by a dimension other than 1. 3 by 5\n"
    )
    expected = "node 'n1' (Add): Attempting to broadcast an axis by a dimension other than 1. 3 by 5"
    assert one_line(RuntimeError(text)) == expected
    assert one_line(ValueError()) == "ValueError"
    assert len(one_line(ValueError("word " * 500))) < 450


def test_one_runner_serves_many_threads():
    runner = make_runner(weighted(np.full(2000, 3, np.float32)), threads=1)
    wrong = []

    def work(seed):
        x = np.full((1 + seed, 2000), seed, np.float32)
        answers = [runner.run({"x": x})["y"] for _ in range(20)]
        wrong.extend(seed for y in answers if not np.array_equal(y, x + 3))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_reference_agrees_and_says_what_it_lacks():
    model = weighted(np.full(2000, 3, np.float32))
    np.testing.assert_array_equal(make_reference(model).run({"x": X})["y"], X + 3)
    odd = ir.from_onnx_text(HEAD + "g (float[N] x) => (float[N] y) { [odd] y = Reluu(x) }")
    with pytest.raises(BackendError, match=r"onnx\.reference refuses the model: .*Reluu"):
        make_reference(odd)


def test_a_missing_onnxruntime_is_unavailable_with_the_fix(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    answer = OnnxRuntimeBackend().availability()
    assert answer.fix == "pip install 'graphopt[cpu]'"
    with pytest.raises(BackendError, match=r"onnxruntime cannot be imported.*pip install"):
        make_runner(weighted(np.full(2000, 3, np.float32)))


def test_group_normalization_keeps_its_digits_where_the_mean_is_large() -> None:
    model = ir.from_proto(
        onnx.parser.parse_model("""
            <ir_version: 10, opset_import: ["": 21]>
            g (float[2, 4, 8] x) => (float[2, 4, 8] y) <float[4] s = {1, 1, 1, 1}, float[4] b = {0, 0, 0, 0}>
            { y = GroupNormalization <num_groups = 2> (x, s, b) }
        """)
    )
    x = (np.random.default_rng(0).standard_normal((2, 4, 8)) + 1000).astype(np.float32)
    exact = x.reshape(2, 2, 16).astype(np.float64)
    exact = (exact - exact.mean(-1, keepdims=True)) / np.sqrt(exact.var(-1, keepdims=True) + 1e-5)
    y = make_runner(model, optimise=False).run({"x": x})["y"]
    assert np.max(np.abs(y - exact.reshape(2, 4, 8))) < 0.01
