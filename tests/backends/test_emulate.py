"""The emulating runner computes what a GPU would in float16: every result rounded, overflows infinite."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx.parser
import onnx_ir as ir
import pytest

from graphopt.backends.onnxruntime.emulate import emulated, make_emulating_runner
from graphopt.backends.onnxruntime.runner import make_runner
from graphopt.ir.shapes import infer_shapes
from graphopt.ir.text import print_model

# Numbers of float16 are written as their bits in ONNX text: 15360 is 1, 11878 is 0.1, 31571 is 60000.
HEADER = '<ir_version: 10, opset_import: ["": 23]>'


def model(text: str) -> ir.Model:
    made = ir.serde.deserialize_model(onnx.parser.parse_model(f"{HEADER}\n{text}"))
    infer_shapes(made)
    return made


def run(made: ir.Model, **feeds):
    return make_emulating_runner(made, threads=1).run(feeds)


def test_every_step_is_rounded_as_numpy_rounds_it():
    chain = model(
        """g (float16[N] x, float16[N] w) => (float16[N] y) {
            a = Mul (x, w)
            b = Add (a, x)
            c = Sqrt (b)
            y = Div (c, w)
        }"""
    )
    rng = np.random.default_rng(0)
    x, w = (rng.uniform(0.1, 9, 1000).astype(np.float16) for _ in range(2))
    expected = np.sqrt(x * w + x) / w
    assert run(chain, x=x, w=w)["y"].tobytes() == expected.tobytes()


def test_an_overflow_between_two_nodes_shows():
    there_and_back = model(
        """g (float16[N] x, float16 k) => (float16[N] y) {
            a = Mul (x, k)
            y = Div (a, k)
        }"""
    )
    y = run(there_and_back, x=np.array([1, 100], np.float16), k=np.array(1000, np.float16))["y"]
    assert y[0] == 1
    assert np.isinf(y[1])


def test_bfloat16_has_eight_digits_and_the_range_of_float32():
    made = model(
        """g (float[N] x, float[N] w) => (float[N] y) {
            a = Cast <to = 16> (x)
            b = Cast <to = 16> (w)
            c = Mul (a, b)
            y = Cast <to = 1> (c)
        }"""
    )
    x, w = np.array([1.01, 1e20], np.float32), np.array([3.3, 1e10], np.float32)
    a, b = x.astype(ml_dtypes.bfloat16), w.astype(ml_dtypes.bfloat16)
    assert np.array_equal(run(made, x=x, w=w)["y"], (a * b).astype(np.float32))


def test_signature_and_model_stay_as_they_are():
    made = model(
        """g (float16[2, 2] x, float[2, 2] z) => (float16[2, 2] y, float16[2, 2] x2, float[2, 2] v)
        <float16[2, 2] w = {15360, 16384, 16896, 17408}> {
            y = MatMul (x, w)
            x2 = Identity (x)
            v = Neg (z)
        }"""
    )
    before = print_model(made)
    wide = emulated(made)
    assert print_model(made) == before
    assert [(v.name, v.dtype) for v in wide.graph.inputs] == [(v.name, v.dtype) for v in made.graph.inputs]
    assert [(v.name, v.dtype) for v in wide.graph.outputs] == [(v.name, v.dtype) for v in made.graph.outputs]
    x = np.array([[1, 0.5], [2, 3]], np.float16)
    results = run(made, x=x, z=np.ones((2, 2), np.float32))
    assert list(results) == ["y", "x2", "v"]
    assert np.array_equal(results["y"], x @ np.array([[1, 2], [3, 4]], np.float16))


def test_branches_are_rounded_too():
    made = model(
        """g (float16[N] x, bool k) => (float16[N] y) <float16 big = {31571}> {
            a = Abs (x)
            y = If (k) <
                then_branch = t () => (float16[N] p) { p = Add (a, big) },
                else_branch = e () => (float16[N] r) { r = Identity (a) }
            >
        }"""
    )
    x = np.array([-1.5, 9000], np.float16)
    assert np.isinf(run(made, x=x, k=np.array(True))["y"][1])
    assert np.array_equal(run(made, x=x, k=np.array(False))["y"], np.abs(x))


@pytest.mark.parametrize("op", ["CastLike (x, h)", "Cast <to = 10> (x)"])
def test_constants_and_casts_inside_change_type(op):
    made = model(
        f"""g (float[N] x, int64[1] n) => (float16[N] y) <float16 h = {{11878}}> {{
            c = {op}
            d = ConstantOfShape <value = float16[1] {{11878}}> (n)
            e = Add (c, d)
            y = Mul (e, h)
        }}"""
    )
    x, tenth = np.array([0.3, 7.7], np.float32), np.float16(0.1)
    expected = (x.astype(np.float16) + tenth) * tenth
    assert np.array_equal(run(made, x=x, n=np.array([2]))["y"], expected)


def test_a_model_without_such_values_is_left_alone():
    made = model("g (float[N] x) => (float[N] y) { y = Relu (x) }")
    assert emulated(made) is made


GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize("given", [False, True])
def test_states_are_rounded_between_steps(op, direction, given):
    """Against a loop in which each step is an operator of its own, its states rounded in between."""
    rng = np.random.default_rng(0)
    both, steps, batch, size, hidden = 1 + (direction == "bidirectional"), 6, 2, 3, 4

    def draw(*shape):
        return (0.4 * rng.standard_normal(shape)).astype(np.float16)

    weights = [draw(both, GATES[op] * hidden, n) for n in (size, hidden)]
    weights.append(draw(both, 2 * GATES[op] * hidden))
    states = 2 if op == "LSTM" else 1
    first = [draw(both, batch, hidden) if given else np.zeros((both, batch, hidden), np.float16)] * states
    names = ", ".join(["y", "yh", "yc"][: states + 1])
    typed = ", ".join(f"float16[{dims}] {name}" for name, dims in
                      [("y", "T, D, B, H"), ("yh", "D, B, H"), ("yc", "D, B, H")][: states + 1])  # fmt: skip
    made = model(
        f"""g (float16[T, B, {size}] x, float16[D, M, {size}] w, float16[D, M, {hidden}] r, float16[D, N] b,
               float16[D, B, {hidden}] h, float16[D, B, {hidden}] c) => ({typed}) {{
            {names} = {op} <hidden_size = {hidden}, direction = "{direction}"> (
                x, w, r, b{", , h" + (", c" if states == 2 else "") if given else ""})
        }}"""
    )
    x = draw(steps, batch, size)
    feeds = dict(zip("xwrbhc", [x, *weights, first[0], first[-1]], strict=True))
    found = run(made, **feeds)
    assert [(v.name, v.dtype) for v in emulated(made).graph.outputs] == [
        (v.name, v.dtype) for v in made.graph.outputs
    ]
    for d in range(both):
        backwards = direction == "reverse" or d == 1
        state = [s[d : d + 1] for s in first]
        for t in reversed(range(steps)) if backwards else range(steps):
            state = _step(op, hidden, x[t : t + 1], [w[d : d + 1] for w in weights], state)
            assert np.array_equal(found["y"][t, d], state[0][0]), (t, d)
        assert np.array_equal(found["yh"][d], state[0][0])


def _step(op, hidden, x, weights, states):
    outputs = ["", "yh", "yc"][: len(states) + 1]
    proto = onnx.helper.make_graph(
        [
            onnx.helper.make_node(
                op, ["x", "w", "r", "b", "", "h", "c"][: 5 + len(states)], outputs, hidden_size=hidden
            )
        ],
        "step",
        [onnx.helper.make_tensor_value_info(n, 1, None) for n in "xwrbhc"[: 4 + len(states)]],
        [onnx.helper.make_tensor_value_info(n, 1, None) for n in outputs[1:]],
    )
    made = ir.from_proto(
        onnx.helper.make_model(proto, opset_imports=[onnx.helper.make_opsetid("", 23)], ir_version=10)
    )
    feeds = dict(zip("xwrbhc", [x, *weights, *states], strict=False))
    results = make_runner(made, optimise=False).run({k: v.astype(np.float32) for k, v in feeds.items()})
    return [results[name].astype(np.float16) for name in outputs[1:]]
