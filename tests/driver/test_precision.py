"""What stays in float32 when a model is lowered: what the feeds show to overflow, vanish, count or hurt."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from graphopt.driver.known_passes import known_groups, known_passes
from graphopt.driver.opt import optimize_model, pipeline
from graphopt.driver.precision.lower import lower_precision
from graphopt.driver.runners import emulating_runner, oracle_runner
from graphopt.equality.oracle import Oracle
from graphopt.errors import EqualityError
from graphopt.ir.text import print_model
from graphopt.pipeline.text import parse

THREE = """g (float[4, 16] x) => (float[4, 16] y) {{
    [a] h = MatMul (x, w)
    [b] r = {} (h)
    [c] y = MatMul (r, v)
}}"""


def floats(*shape: int, seed: int = 0, scale: float = 0.3) -> np.ndarray:
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def model(body: str, **weights: np.ndarray) -> ir.Model:
    """``x`` goes in, ``y`` comes out; ``w`` and ``v`` are 16 by 16."""
    proto = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 23, "my": 1]>\n{body}')
    for name, array in {"w": floats(16, 16), "v": floats(16, 16, seed=1), **weights}.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), name))
    made = ir.from_proto(proto)
    for name, value in list(made.graph.initializers.items()):
        if not value.uses():
            del made.graph.initializers[name]
    return made


def lower(made: ir.Model, precision: str = "fp16", *, level: str | None = None, **options):
    imported = made.clone()
    oracle = Oracle.prepare(imported, oracle_runner, inputs=options.pop("inputs", None))
    done = optimize_model(made, pipeline(level or "canonical"))
    return lower_precision(done.model, precision, imported=imported, oracle=oracle, **options)


def dtypes(found) -> dict[str, str]:
    nodes = found.model.graph.all_nodes()
    return {node.name: node.outputs[0].dtype.name for node in nodes if node.name and node.op_type != "Cast"}


def test_a_plain_model_converts_whole():
    found = lower(model(THREE.format("Relu")))
    assert found.kept == {}
    assert set(dtypes(found).values()) == {"FLOAT16"}
    assert found.equality.equal
    assert found.equality.ratio < 4
    assert max(found.largest.values()) < 100


def test_what_comes_near_the_end_of_the_range_stays():
    body = """g (float[4, 16] x) => (float[4, 16] y) {
        [before] h = MatMul (x, w)
        [up] big = Mul (h, k)
        [down] s = Div (big, k)
        [after] y = MatMul (s, v)
    }"""
    found = lower(model(body, k=np.float32(30000)))
    assert set(found.kept) == {"up", "down"}
    assert "float16 ends at 65504" in found.kept["up"]
    assert dtypes(found) == {"before": "FLOAT16", "up": "FLOAT", "down": "FLOAT", "after": "FLOAT16"}
    assert lower(model(body, k=np.float32(30000)), "bf16").kept == {}
    assert [remark.node for remark in found.remarks] == ["up", "down", ""]
    assert found.advice.startswith("2 of 4 nodes leave the range of float16: --precision bf16")


def test_what_vanishes_before_a_logarithm_stays():
    body = """g (float[4, 16] x) => (float[4, 16] y) {
        [before] h = MatMul (x, w)
        [small] q = Mul (h, tiny)
        [square] p = Mul (q, q)
        [log] l = Log (p)
        [after] y = MatMul (l, v)
    }"""
    found = lower(model(body, tiny=np.float32(0.001)))
    assert {"small", "square", "log"} == set(found.kept)
    assert "which Log reads" in found.kept["square"]
    assert dtypes(found)["before"] == "FLOAT16"


def test_positions_are_counted_in_float32():
    body = """g (float[4, 16] x, int64[16] n) => (float[4, 16] y) {
        [count] f = Cast <to = 1> (n)
        [period] p = Div (f, thousand)
        [wave] s = Sin (p)
        [before] h = MatMul (x, w)
        [add] a = Add (h, s)
        [after] y = MatMul (a, v)
    }"""
    feeds = {"x": floats(4, 16, seed=5), "n": np.arange(16, dtype=np.int64) * 999}
    found = lower(model(body, thousand=np.float32(1000)), inputs=feeds)
    assert "counts to 14985" in found.kept["count"]
    assert dtypes(found)["add"] == "FLOAT16"


def test_what_decides_an_index_stays():
    body = """g (float[4, 16] x, int64[8] n) => (float[8, 16] y) {
        [count] f = Cast <to = 1> (n)
        [third] p = Div (f, three)
        [round] i = Cast <to = 7> (p)
        [before] h = MatMul (x, w)
        [pick] g = Gather (h, i)
        [after] y = MatMul (g, v)
    }"""
    feeds = {"x": floats(4, 16, seed=5), "n": np.arange(8, dtype=np.int64)}
    found = lower(model(body, three=np.float32(3)), inputs=feeds)
    assert found.kept["third"] == "it decides a shape, an index or an integer"
    assert dtypes(found)["pick"] == "FLOAT16"


CANCELLING = """g (float[4, 16] x) => (float[4, 16] y) {
    [before] h = MatMul (x, w)
    [e1] m1 = Mul (h, one)
    [e2] m2 = Tanh (m1)
    [far] a = Add (m2, k)
    [e3] b = Relu (a)
    [near] c = Sub (b, k)
    [e4] d = Tanh (c)
    [after] y = MatMul (d, v)
}"""


def test_what_hurts_is_found_by_trying():
    said: list[str] = []
    found = lower(model(CANCELLING, one=np.float32(1.5), k=np.float32(2000)), progress=said.append)
    assert {"far", "e3", "near"} <= set(found.kept)
    assert "noise floor" in found.kept["far"]
    assert dtypes(found)["before"] == dtypes(found)["after"] == "FLOAT16"
    assert found.equality.equal
    assert any("stretches" in line for line in said)


def test_masks_of_the_lowest_float32_do_not_keep_attention():
    body = """g (float[1, 4, 16] x, int64[4, 4] m) => (float[1, 4, 16] y) {
        [q] q = MatMul (x, w)
        [k] k = MatMul (x, v)
        [float] f = Cast <to = 1> (m)
        [invert] i = Sub (one, f)
        [mask] n = Mul (i, low)
        [attend] y = Attention <q_num_heads = 2, kv_num_heads = 2> (q, k, k, n)
    }"""
    lowest = np.float32(np.finfo(np.float32).min)
    found = lower(model(body, one=np.float32(1), low=lowest))
    assert dtypes(found)["attend"] == "FLOAT16"
    assert [step.name() for step in found.steps] == ["clamp-masks", "convert-precision"]


def test_subgraphs_stay():
    body = """g (float[4, 16] x, bool k) => (float[4, 16] y) {
        [before] h = MatMul (x, w)
        [choose] y = If (k) <
            then_branch = t () => (float[4, 16] p) { [inner] p = MatMul (h, v) },
            else_branch = e () => (float[4, 16] r) { [other] r = Identity (h) }
        >
    }"""
    found = lower(model(body))
    assert "inside a subgraph" in found.kept["inner"]
    assert dtypes(found)["before"] == "FLOAT16"


@pytest.mark.parametrize("name", ["far", "a node, with {odd} (letters) = 50%"])
def test_the_steps_repeat_the_choice(name):
    made = model(CANCELLING, one=np.float32(1.5), k=np.float32(2000))
    next(node for node in made.graph if node.name == "far").name = name
    optimised = optimize_model(made.clone(), pipeline("canonical")).model
    found = lower(made)
    assert name in found.kept
    text = ",".join(step.text() for step in found.steps)
    again = optimize_model(optimised, parse(text, known_passes(), known_groups())).model
    assert print_model(again) == print_model(found.model)


def test_a_judge_of_its_own_can_ask_for_more():
    made = model(THREE.format("Tanh"))

    def judge(converted, oracle):
        """As if a backend spelled the node 'c' such that it overflows in float16."""
        last = next(node for node in converted.graph if node.name == "c")
        if last.inputs[0].dtype == ir.DataType.FLOAT16:
            converted = converted.clone()
            next(iter(converted.graph.initializers.values())).const_value = ir.tensor(
                np.full((16, 16), np.inf, np.float16)
            )
        return oracle.judge(emulating_runner(converted))

    found = lower(made, judge=judge)
    assert list(found.kept) == ["c"]
    assert dtypes(found)["a"] == "FLOAT16"


def test_a_model_that_no_choice_makes_equal_is_an_error():
    made = model("g (float[4, 16] x) => (float[4, 16] y) { [a] y = MatMul (x, w) }")

    def judge(converted, oracle):
        return oracle.judge(emulating_runner(model("g (float[4, 16] x) => (float[4, 16] y) { y = Abs (x) }")))

    with pytest.raises(EqualityError, match="cannot be made equal"):
        lower(made, judge=judge)


def test_without_an_oracle_ranges_are_observed_all_the_same():
    made = model(
        """g (float[4, 16] x) => (float[4, 16] y) {
            [a] h = MatMul (x, w)
            [up] b = Mul (h, k)
            [c] y = Relu (b)
        }""",
        k=np.float32(1e6),
    )
    optimised = optimize_model(made.clone(), pipeline("canonical")).model
    found = lower_precision(optimised, "fp16", imported=made, oracle=None)
    assert "up" in found.kept
    assert found.oracle is None
    assert found.equality is None


def test_between_quantised_products_nothing_is_cast_and_all_is_named():
    body = """g (float[4, 16] x) => (float[4, 16] y) {
        q = QuantizeLinear (x, s, z)
        d = DequantizeLinear (q, s, z)
        e = DequantizeLinear (u, s, z)
        [product] m = MatMul (d, e)
        [act] r = Relu (m)
        p = QuantizeLinear (r, s, z)
        y = DequantizeLinear (p, s, z)
    }"""
    weights = np.arange(256, dtype=np.int64).reshape(16, 16).astype(np.int8)
    found = lower(model(body, s=np.float32(0.05), z=np.int8(0), u=weights))
    assert "computed in integers" in found.kept["product"]
    assert "too few nodes" in found.kept["act"]
    assert not any(node.op_type == "Cast" for node in found.model.graph)


def test_functions_of_the_model_itself_take_part():
    made = model(
        """g (float[4, 16] x) => (float[4, 16] y) { [call] y = my.Block (x, w) }
        <domain: "my", opset_import: ["": 23]>
        Block (x, w) => (y) {
            m = MatMul (x, w)
            y = Relu (m)
        }"""
    )
    found = lower(made)
    assert not found.model.functions
    assert set(dtypes(found).values()) == {"FLOAT16"}
    assert [step.name() for step in found.steps] == ["inline-model-functions", "convert-precision"]
