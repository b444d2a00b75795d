"""Inlining local functions leaves the answer alone, whatever the call looks like."""

import cProfile
import pstats

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from graphopt.backends.flatten import flatten
from graphopt.backends.onnxruntime.session import new_options, open_session, session_outputs
from graphopt.errors import ModelError
from graphopt.rewrite.inline import can_inline, inline_functions

HEAD = '<ir_version: 10, opset_import: ["" : 21, "local" : 1]>\n'

FUNCTIONS = """
<domain: "local", opset_import: ["" : 21]>
scale <k: float = 2.0> (x, b) => (y, z) {
  c = Constant <value_float: float = @k> ()
  h = Mul(x, c)
  y = Add(h, b)
  z = Identity(y)
}
<domain: "local", opset_import: ["" : 21, "local" : 1]>
twice (x) => (y) {
  b = Constant <value_float = 1.0> ()
  a, unused = local.scale <k = 3.0> (x, b)
  y, v = local.scale (a, b)
}
<domain: "local", opset_import: ["" : 21]>
clip (x, lo, hi) => (y) { y = Clip(x, lo, hi) }
<domain: "local", opset_import: ["" : 21, "local" : 1]>
branch (c, x) => (y) {
  y = If(c) <then_branch = t () => (o) { o = local.twice(x) }, else_branch = e () => (o) { o = Neg(x) }>
}
<domain: "local", opset_import: ["" : 21, "local" : 1]>
scaled_branch <k: float> (c, x) => (y) {
  y = If(c) <
    then_branch = t () => (o) { s = Constant <value_float: float = @k> () o = Mul(x, s) },
    else_branch = e () => (o) { o = Neg(x) }>
}
"""

EVERYTHING = (
    HEAD
    + """
g (float[N] x, bool c) => (float[N] y, float[N] p, float[N] r, float[N] s) {
  t = local.twice(x)
  lo = Constant <value_float = 0.5> ()
  k = local.clip(t, lo)
  y = local.branch(c, k)
  p, h = local.scale(t, lo)
  w = local.twice(k)
  r = If(c) <
    then_branch = t2 () => (o2) { o2 = local.twice(w) },
    else_branch = e2 () => (o2) { o2, zz = local.scale <k = 7.0> (w, lo) }>
  s = local.scaled_branch <k = 0.25> (c, h)
}
"""
    + FUNCTIONS
)


def plain_run(model, feeds):
    """What ONNX Runtime computes, inlining whatever is left by itself."""
    session = open_session(ir.to_proto(model).SerializeToString(), new_options(threads=1, optimise=False))
    names = [info.name for info in session_outputs(session)]
    return dict(zip(names, session.run(names, feeds, None), strict=True))


@pytest.mark.parametrize("condition", [True, False])
def test_nested_optional_attribute_and_branch_calls_compute_the_same(condition):
    model = ir.from_onnx_text(EVERYTHING)
    feeds = {"x": np.array([-1, 0.2, 3], np.float32), "c": np.array(condition)}
    expected = plain_run(model, feeds)
    assert inline_functions(model)
    assert not model.functions
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    actual = plain_run(model, feeds)
    assert list(actual) == ["y", "p", "r", "s"]
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value)


def test_only_wanted_calls_are_inlined_and_needed_functions_stay():
    model = ir.from_onnx_text(EVERYTHING)
    inline_functions(model, wanted=lambda node: node.op_type == "clip")
    names = {function.name for function in model.functions.values()}
    assert "clip" not in names
    assert names == {"scale", "twice", "branch", "scaled_branch"}


def test_a_function_of_another_opset_is_left_alone():
    text = EVERYTHING.replace('["" : 21]>\nclip', '["" : 13]>\nclip')
    model = ir.from_onnx_text(text)
    inline_functions(model)
    (left,) = model.functions.values()
    assert left.name == "clip"
    assert not can_inline(left, model)


def test_an_output_that_is_an_input_or_comes_twice_keeps_its_name():
    x = ir.Value(name="x")
    neg = ir.node("Neg", [x])
    body = ir.Graph([x], [x, neg.outputs[0], neg.outputs[0]], nodes=[neg], opset_imports={"": 21}, name="f")
    model = ir.from_onnx_text(
        HEAD + "g (float[2] x) => (float[2] a, float[2] b, float[2] c) { a, b, c = local.same(x) }"
    )
    same = ir.Function("local", "same", graph=body, attributes=[])
    model.functions[same.identifier()] = same
    inline_functions(model)
    feeds = {"x": np.array([1.0, -2.0], np.float32)}
    actual = plain_run(model, feeds)
    np.testing.assert_array_equal(actual["a"], feeds["x"])
    np.testing.assert_array_equal(actual["b"], -feeds["x"])
    np.testing.assert_array_equal(actual["c"], -feeds["x"])


def test_functions_that_call_each_other_in_a_circle_are_named():
    model = ir.from_onnx_text(
        HEAD
        + "g (float[2] x) => (float[2] y) { y = local.ping(x) }\n"
        + '<domain: "local", opset_import: ["" : 21, "local" : 1]> ping (x) => (y) { y = local.pong(x) }\n'
        + '<domain: "local", opset_import: ["" : 21, "local" : 1]> pong (x) => (y) { y = local.ping(x) }'
    )
    with pytest.raises(ModelError, match="in a circle: local::p"):
        inline_functions(model)


def test_too_many_inputs_are_named():
    model = ir.from_onnx_text(
        HEAD
        + "g (float[2] x) => (float[2] y) { [call] y = local.neg(x, x) }\n"
        + '<domain: "local", opset_import: ["" : 21]> neg (x) => (y) { y = Neg(x) }'
    )
    with pytest.raises(ModelError, match="node 'call' passes function neg 2 inputs, it has 1"):
        inline_functions(model)


def test_work_grows_with_the_result_and_not_with_its_square():
    def function_calls(length):
        chain = "\n".join(f"v{i + 1} = local.twice(v{i})" for i in range(length))
        model = ir.from_onnx_text(
            HEAD + f"g (float[N] v0) => (float[N] v{length}) {{\n{chain}\n}}" + FUNCTIONS
        )
        with cProfile.Profile() as profile:
            inline_functions(model)
        assert len(model.graph) == 9 * length
        return pstats.Stats(profile).total_calls

    assert function_calls(800) < 8 * function_calls(100) * 1.1


def test_flatten_leaves_a_flat_model_alone_and_never_changes_its_argument():
    flat = ir.from_onnx_text(HEAD + "g (float[2] x) => (float[2] y) { y = Neg(x) }")
    assert flatten(flat) is flat
    model = ir.from_onnx_text(EVERYTHING)
    before = ir.to_proto(model).SerializeToString()
    flatten(model)
    assert ir.to_proto(model).SerializeToString() == before


def test_large_constants_of_branches_move_to_the_main_graph():
    model = ir.from_onnx_text(
        HEAD
        + """
g (float[300] x, bool c) => (float[300] y) {
  y = If(c) <
    then_branch = t () => (float[300] o) <float[300] w = {0}> { o = Add(x, w) },
    else_branch = e () => (float[300] p) { k = Constant() p = Mul(x, k) }>
}
"""
    )
    (then, other) = model.graph.subgraphs()
    weight = np.arange(300, dtype=np.float32)
    then.initializers["w"].const_value = ir.tensor(weight, name="w")
    constant = next(node for node in other if node.op_type == "Constant")
    constant.attributes["value"] = ir.AttrTensor("value", ir.tensor(weight * 2))
    flat = flatten(model)
    assert len(flat.graph.initializers) == 2
    assert not any(graph.initializers for graph in flat.graph.subgraphs())
    for condition in (True, False):
        feeds = {"x": np.ones(300, np.float32), "c": np.array(condition)}
        np.testing.assert_array_equal(plain_run(flat, feeds)["y"], plain_run(model, feeds)["y"])


def test_a_call_may_leave_out_any_output():
    """An omitted output must not take its name, which is empty, to the node that computes it."""
    for outputs, kept in (('"", z', "z"), ("y", "y")):
        proto = onnx.parser.parse_model(
            HEAD
            + f"g (float[N] x, float[N] b) => (float[N] {kept}) {{ {outputs} = local.scale(x, b) }}"
            + FUNCTIONS
        )
        model = ir.from_proto(proto)
        inline_functions(model)
        assert all(output.name for node in model.graph for output in node.outputs)
        session = open_session(ir.to_proto(model).SerializeToString(), new_options(threads=1, optimise=False))
        assert [info.name for info in session_outputs(session)] == [kept]
