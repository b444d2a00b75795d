"""What matches and what does not: operands, constants, attributes, shapes, uses."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.rewrite import matcher
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Rule
from tests.rules.graphs import GELU, drive, model, ops
from tests.rules.proof import Sink

_GELU_TEXT = """g (float[2, 3] x) => (float[2, 3] y) {{
    r = Constant <value = float {{{root}}}> ()
    d = Div (x, r)
    e = {erf} (d)
    one = Constant <value = float {{1}}> ()
    a = Add ({add})
    m = Mul ({mul})
    half = Constant <value = float {shape} {{0.5}}> ()
    y = Mul ({out})
}}"""


def _gelu(
    root: str = "1.41421354",
    erf: str = "Erf",
    add: str = "e, one",
    mul: str = "x, a",
    out: str = "m, half",
    shape: str = "",
) -> ir.Model:
    text = _GELU_TEXT.format(root=root, erf=erf, add=add, mul=mul, out=out, shape=shape)
    return model(text.replace("float  {", "float {"))


@pytest.mark.parametrize("add", ["e, one", "one, e"])
@pytest.mark.parametrize("mul", ["x, a", "a, x"])
@pytest.mark.parametrize("out", ["m, half", "half, m"])
def test_commutative_operands_match_both_ways(add: str, mul: str, out: str) -> None:
    target = _gelu(add=add, mul=mul, out=out)
    drive(target, GELU)
    assert ops(target.graph) == ["Gelu"]


def test_subtraction_does_not_commute() -> None:
    rule = Rule("r", before="t = Neg (x); y = Sub (t, z)", after="s = Add (x, z); y = Neg (s)", exact=False)
    target = model("g (float[2] a, float[2] b) => (float[2] y) { t = Neg (a) y = Sub (b, t) }")
    assert drive(target, rule)[1].fired == []


@pytest.mark.parametrize(
    ("root", "fires"), [("1.41421354", True), ("1.41421366", True), ("1.4142", False), ("1.5", False)]
)
def test_constants_match_within_the_spacing_of_their_type(root: str, fires: bool) -> None:
    """√2 cut to 1.4142 is not √2."""
    assert bool(drive(_gelu(root=root), GELU)[1].fired) == fires


def test_a_constant_that_would_enlarge_the_result_is_no_scalar() -> None:
    small = model(
        """g (float[2] x) => (float[2] y) {
            c = Constant <value = float[1] {2}> ()
            t = Mul (x, c)
            y = Neg (t)
        }"""
    )
    large = model(
        """g (float[2] x) => (float[1, 2] y) {
            c = Constant <value = float[1, 1] {2}> ()
            t = Mul (x, c)
            y = Neg (t)
        }"""
    )
    rule = Rule("r", before="t = Mul (x, 2.0); y = Neg (t)", after="y = Mul (x, -2.0)")
    assert drive(small, rule)[1].fired == ["r"]
    assert drive(large, rule)[1].fired == []


def test_where_rank_means_something_a_scalar_is_no_vector() -> None:
    text = """g (float[4, 3] x) => (float[{dims}] y) {{
        i = Constant <value = int64{rank} {{0}}> ()
        t = Gather (x, i)
        y = Neg (t)
    }}"""
    rule = Rule("r", before="t = Gather (x, 0); y = Neg (t)", after="n = Neg (x); y = Gather (n, 0)")
    assert drive(model(text.format(dims="3", rank="")), rule)[1].fired == ["r"]
    assert drive(model(text.format(dims="1, 3", rank="[1]")), rule)[1].fired == []


def test_literals_of_the_right_side_take_the_type_of_their_neighbours() -> None:
    rule = Rule("double", before="y = Add (x, x)", after="y = Mul (x, 2.0)")
    for name in ("float16", "double", "int64"):
        target = model(f"g ({name}[3] x) => ({name}[3] y) {{ y = Add (x, x) }}")
        drive(target, rule)
        (node,) = target.graph
        assert node.inputs[1] is not None
        assert node.inputs[1].dtype == ir.DataType[name.upper().replace("FLOAT32", "FLOAT")]


def test_an_initializer_the_caller_may_override_is_no_constant() -> None:
    target = _gelu()
    value = ir.Value(name="half_in", shape=ir.Shape([]), type=ir.TensorType(ir.DataType.FLOAT))
    value.const_value = ir.tensor(np.float32(0.5))
    target.graph.register_initializer(value)
    last = target.graph[-1]
    last.replace_input_with(1, value)
    target.graph.inputs.append(value)
    assert drive(target, GELU)[1].fired == []


def test_attributes_count_with_their_defaults() -> None:
    plain = Rule("plain", before="y = Softmax (x)", after="y = LogSoftmax (x)", exact=False)
    spelled = Rule("spelled", before="y = Softmax <axis = -1> (x)", after="y = LogSoftmax (x)", exact=False)
    for attribute, fires in (("", True), ("<axis = -1>", True), ("<axis = 0>", False)):
        for rule in (plain, spelled):
            target = model(f"g (float[2, 3] x) => (float[2, 3] y) {{ y = Softmax {attribute} (x) }}")
            assert bool(drive(target, rule)[1].fired) == fires, (attribute, rule.name)


def test_a_bound_attribute_must_agree_with_itself_and_is_handed_on() -> None:
    rule = Rule(
        "r",
        before="a = Softmax <axis = @k> (x); y = Softmax <axis = @k> (a)",
        after="y = Softmax <axis = @k> (x)",
    )
    text = (
        "g (float[2, 3] x) => (float[2, 3] y) {{ a = Softmax <axis = {}> (x) y = Softmax <axis = {}> (a) }}"
    )
    same = model(text.format(0, 0))
    drive(same, rule)
    assert [node.attributes.get_int("axis") for node in same.graph] == [0]
    assert drive(model(text.format(0, 1)), rule)[1].fired == []


def test_all_other_attributes_travel_together() -> None:
    rule = Rule(
        "r",
        before="c = Conv <**attrs> (x, w, b?); y = Neg (c)",
        after="n = Neg (x); y = Conv <**attrs> (n, w, b?)",
    )
    text = """g (float[1, 2, 8, 8] x, float[4, 1, 3, 3] w{}) => (float[1, 4, 4, 4] y) {{
        c = Conv <group = 2, strides = [2, 2], pads = [1, 1, 1, 1]> (x, w{})
        y = Neg (c)
    }}"""
    for declared, used in (("", ""), (", float[4] b", ", b")):
        target = model(text.format(declared, used))
        drive(target, rule)
        conv = target.graph[-1]
        assert conv.attributes.get_int("group") == 2
        assert conv.attributes.get_ints("strides") == (2, 2)
        assert len(conv.inputs) == (3 if used else 2)


def test_variadic_inputs_are_bound_as_a_list() -> None:
    rule = Rule(
        "r",
        before="c = Concat <axis = @k> (*xs); y = Concat <axis = @k> (c, *more)",
        after="y = Concat <axis = @k> (*xs, *more)",
    )
    target = model(
        """g (float[2] p, float[3] q, float[4] r) => (float[9] y) {
            c = Concat <axis = 0> (p, q)
            y = Concat <axis = 0> (c, r)
        }"""
    )
    drive(target, rule)
    (node,) = target.graph
    assert [value.name for value in node.inputs if value is not None] == ["p", "q", "r"]


def test_names_that_occur_twice_stand_for_one_value() -> None:
    rule = Rule("square", before="y = Mul (x, x)", after="y = Pow (x, 2.0)", exact=False)
    text = "g (float[2] a, float[2] b) => (float[2] y) {{ y = Mul (a, {}) }}"
    assert drive(model(text.format("a")), rule)[1].fired == ["square"]
    assert drive(model(text.format("b")), rule)[1].fired == []


def test_dims_are_unified_by_name() -> None:
    rule = Rule(
        "r",
        before="y = MatMul (a, b)",
        after="y = Gemm (a, b)",
        shapes={"a": ["M", "K"], "b": ["K", "N"]},
        types={"a": "T", "b": "T"},
        exact=False,
    )
    assert drive(model("g (float[M, 4] a, float[4, 5] b) => (float[M, 5] y) { y = MatMul (a, b) }"), rule)[
        1
    ].fired
    assert drive(model("g (float[M, K] a, float[K, 5] b) => (float[M, 5] y) { y = MatMul (a, b) }"), rule)[
        1
    ].fired
    refused = drive(model("g (float[M, K] a, float[L, 5] b) => (float[M, 5] y) { y = MatMul (a, b) }"), rule)[
        1
    ]
    assert refused.fired == []
    assert refused.reasons() == ["dim 0 of 'b': L is not known to equal K = K"]
    batched = drive(
        model("g (float[2, 3, 4] a, float[4, 5] b) => (float[2, 3, 5] y) { y = MatMul (a, b) }"), rule
    )[1]
    assert batched.reasons() == ["'a' has rank 3, not 2"]


@pytest.mark.parametrize("dim", ["?", "unk__7"])
def test_dims_without_a_name_never_agree(dim: str) -> None:
    target = model("g (float[A] a, float[A] b) => (float[A] y) { y = Add (a, b) }")
    for value in target.graph.inputs:
        value.shape = ir.Shape([dim])
    rule = Rule("r", before="y = Add (a, b)", after="y = Sum (a, b)", shapes={"a": ["N"], "b": ["N"]})
    assert drive(target, rule)[1].fired == []


def test_a_guard_sees_the_match_and_may_try_the_operands_the_other_way_round() -> None:
    seen: list[str | None] = []

    def second_is_constant(match: Match) -> str | None:
        seen.append(match.value("c").name)
        return None if match.is_constant("c") else "c is no constant"

    def scaled(match: Match) -> Replacement:
        constant = match.constant("c")
        assert constant is not None
        return Replacement("y = Mul (x, k)", constants={"k": np.multiply(constant, 2, dtype=np.float32)})

    rule = Rule("r", before="t = Mul (x, c); y = Add (t, t)", after=scaled, guard=second_is_constant)
    target = model(
        """g (float[2] x) => (float[2] y) {
            c = Constant <value = float[2] {1, 3}> ()
            t = Mul (c, x)
            y = Add (t, t)
        }"""
    )
    drive(target, rule)
    assert seen[:2] == ["x", "c"]
    assert ops(target.graph) == ["Mul"]
    (weight,) = target.graph.initializers.values()
    assert weight.const_value is not None
    assert weight.const_value.numpy().tolist() == [2, 6]


def test_an_inner_value_used_elsewhere_is_a_refusal_with_a_reason() -> None:
    target = model("g (float[2] x) => (float[2] y, float[2] z) { t = Relu (x) y = Neg (t) z = Abs (t) }")
    rule = Rule("r", before="t = Relu (x); y = Neg (t)", after="n = Neg (x); y = Min (n, 0.0)")
    _, said = drive(target, rule)
    assert said.fired == []
    assert len(said.reasons()) == 1
    assert said.reasons()[0].startswith("the inner value 't' is also used by")


def test_a_value_read_by_a_subgraph_is_used() -> None:
    target = model(
        """g (float[2] x, bool c) => (float[2] y, float[2] z) {
            t = Relu (x)
            y = Neg (t)
            z = If (c) <
                then_branch = a () => (float[2] p) { p = Abs (t) },
                else_branch = b () => (float[2] q) { q = Exp (x) }
            >
        }"""
    )
    rule = Rule("r", before="t = Relu (x); y = Neg (t)", after="n = Neg (x); y = Min (n, 0.0)")
    assert drive(target, rule)[1].fired == []


def test_near_misses_name_the_node_furthest_along() -> None:
    _, said = drive(_gelu(erf="Tanh"), GELU)
    assert said.fired == []
    assert [reason for rule, _, reason in said.misses if rule == "gelu"] == [
        "expected Erf, found Tanh (seen from '')"
    ]


def test_an_operator_alone_is_no_near_miss() -> None:
    target = model("g (float[2] x) => (float[2] y) { y = Mul (x, x) }")
    assert drive(target, GELU)[1].misses == []


def test_a_search_without_end_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty-one additions of different values, asked to add up one value: only names disagree."""
    size = 32
    names = [f"a{i}" for i in range(size)]
    lines, level = [], names
    while len(level) > 1:
        fresh = [f"s{len(lines) + i}" for i in range(len(level) // 2)]
        lines += [f"{new} = Add ({level[2 * i]}, {level[2 * i + 1]})" for i, new in enumerate(fresh)]
        level = fresh
    pattern = Rule(
        "tree", before="; ".join(lines).replace("a31", "a0"), after=f"{level[0]} = a1", exact=False
    )
    text = " ".join(lines)
    target = model(f"g ({', '.join('float[2] ' + n for n in names)}) => (float[2] {level[0]}) {{ {text} }}")
    driver, said = drive(target, pattern)
    assert said.fired == []
    assert driver.visits == size - 1
    steps: list[int] = []
    original = matcher.Matcher.run

    def counted(self: matcher.Matcher) -> object:
        result = original(self)
        steps.append(self._steps)
        return result

    monkeypatch.setattr(matcher.Matcher, "run", counted)
    drive(target, pattern)
    assert max(steps) <= matcher.MAX_STEPS + 2 * size


def test_the_sink_is_told_which_rule_spoke() -> None:
    sink = Sink()
    sink.missed("pass", None, "why", "rule")
    assert sink.misses == [("rule", "", "why")]
