"""What the driver does to a graph: names, order, subgraphs, functions, provenance, fixpoints."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.errors import PassError
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.records import RemarkKind
from graphopt.rewrite.driver import Driver, apply
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Rule
from graphopt.rewrite.splice import MAX_SOURCES, RULE_KEY, SOURCES_KEY
from tests.rules.graphs import GELU, IDENTITY, drive, model, ops
from tests.rules.proof import Sink, run

ABS_OF_NEG = Rule("abs-of-neg", before="t = Neg (x); y = Abs (t)", after="y = Abs (x)")

PAIR = Rule(
    "pair",
    before="p = MatMul (x, v); q = MatMul (x, w)",
    after="""
        vw = Concat <axis = 1> (v, w)
        pq = MatMul (x, vw)
        p, q = Split <axis = 1, num_outputs = 2> (pq)
    """,
    exact=False,
)


def chain(op_types: list[str], count: int) -> ir.Model:
    """``count`` unary nodes in a row."""
    value = ir.val("x", ir.DataType.FLOAT, [2])
    start, nodes = value, []
    for index in range(count):
        nodes.append(ir.node(op_types[index % len(op_types)], [value], name=f"n{index}"))
        value = nodes[-1].outputs[0]
        value.type, value.shape, value.name = start.type, ir.Shape([2]), f"v{index}"
    return ir.Model(
        ir.Graph([start], [value], nodes=nodes, opset_imports={"": 23}, name="chain"), ir_version=10
    )


@pytest.mark.parametrize("op_types", [["Identity"], ["Neg", "Abs"], ["Exp"]])
def test_work_grows_with_the_graph(op_types: list[str]) -> None:
    """Twice the nodes cost less than three times the visits, whether rules fire everywhere or nowhere."""
    visits = []
    for count in (10_000, 20_000):
        driver = Driver(chain(op_types, count), [IDENTITY, ABS_OF_NEG], "test", Sink())
        driver.run()
        visits.append(driver.visits)
    assert visits[1] < 3 * max(visits[0], 1)


def test_one_value_with_many_copies_costs_no_more() -> None:
    visits = []
    for count in (1_000, 2_000):
        x = ir.val("x", ir.DataType.FLOAT, [2])
        copies = [ir.node("Identity", [x], name=f"c{i}") for i in range(count)]
        total = ir.node("Sum", [copy.outputs[0] for copy in copies], name="total")
        graph = ir.Graph([x], total.outputs, nodes=[*copies, total], opset_imports={"": 23})
        driver = Driver(ir.Model(graph, ir_version=10), [IDENTITY], "test", Sink())
        driver.run()
        assert driver.rewrites == count
        visits.append(driver.visits)
    assert visits[1] < 3 * visits[0]


def test_a_rewrite_that_enables_another_is_followed_up() -> None:
    target = model(
        """g (float[2] x) => (float[2] y) {
            a = Neg (x)
            b = Identity (a)
            c = Identity (b)
            y = Abs (c)
        }"""
    )
    drive(target, ABS_OF_NEG, IDENTITY)
    assert ops(target.graph) == ["Abs"]


def test_a_second_use_that_goes_away_clears_the_way() -> None:
    """t is used by a node that a later rewrite removes: the refused pattern upstream gets its chance."""
    drop = Rule("drop", before="y = Sub (x, w)", after="y = x")
    target = model(
        """g (float[2] x) => (float[2] y, float[2] z) {
            t = Neg (x)
            y = Abs (t)
            w = Mul (t, t)
            z0 = Sub (x, w)
            z = Exp (z0)
        }"""
    )
    drive(target, ABS_OF_NEG, drop)
    assert ops(target.graph) == ["Abs", "Exp"]


def test_names_of_outputs_survive_and_inputs_that_are_outputs_keep_an_identity() -> None:
    target = model(
        """g (float[2] x) => (float[2] y, float[2] z, float[2] w) {
            r = Relu (x)
            y = Identity (r)
            z = Identity (r)
            w = Identity (x)
        }"""
    )
    _, said = drive(target, IDENTITY)
    assert [value.name for value in target.graph.outputs] == ["y", "z", "w"]
    assert ops(target.graph) == ["Relu", "Identity", "Identity"]
    assert sorted(said.reasons()) == [
        "it gives 'x' the name of the graph output 'w'",
        "it gives 'y' the name of the graph output 'z'",
    ]


def test_another_rule_that_passes_an_input_through_leaves_an_identity() -> None:
    target = model("g (float[N] x) => (float[N] y) { t = Neg (x) y = Neg (t) }")
    drive(target, Rule("twice", before="t = Neg (x); y = Neg (t)", after="y = x"))
    assert ops(target.graph) == ["Identity"]
    assert str(target.graph.outputs[0].shape) == "[N]"


def test_new_nodes_have_names_types_and_provenance() -> None:
    rule = Rule("split", before="y = Sub (a, b)", after="n = Neg (b); y = Add (a, n)")
    target = model("g (float[N, 3] a, float[3] b) => (float[N, 3] y) { [first] y = Sub (a, b) }")
    drive(target, rule)
    negate, add = target.graph
    assert add.name == "first"
    assert negate.name
    assert negate.name != add.name
    assert negate.outputs[0].dtype == ir.DataType.FLOAT
    assert str(negate.outputs[0].shape) == "[3]"
    for node in (negate, add):
        assert node.metadata_props[RULE_KEY] == "test/split"
        assert node.metadata_props[SOURCES_KEY] == "first"


def test_provenance_reaches_back_to_the_model_and_stays_short() -> None:
    target = chain(["Neg"], 2 * MAX_SOURCES + 2)
    rule = Rule("merge", before="t = Neg (x); u = Neg (t); y = Neg (u)", after="y = Neg (x)")
    drive(target, rule)
    sources = target.graph[0].metadata_props[SOURCES_KEY].split("\n")
    assert sources[:3] == ["n0", "n1", "n2"]
    assert len(sources) == MAX_SOURCES


def test_subgraphs_are_rewritten_and_what_they_capture_is_respected() -> None:
    target = model(
        """g (float[2] x, bool c) => (float[2] y) {
            t = Neg (x)
            y = If (c) <
                then_branch = a () => (float[2] p) { p = Abs (t) },
                else_branch = b () => (float[2] q) { s = Neg (x) i = Identity (s) q = Abs (i) }
            >
        }"""
    )
    feeds = {"x": np.array([-1, 2], np.float32), "c": np.array(False)}
    before = run(target, feeds)
    drive(target, ABS_OF_NEG, IDENTITY)
    branches = {a.name: ops(a.as_graph()) for a in target.graph[1].attributes.values()}
    assert branches == {"then_branch": ["Abs"], "else_branch": ["Abs"]}
    assert ops(target.graph) == ["Neg", "If"]
    assert np.array_equal(run(target, feeds)["y"], before["y"])


def test_an_outer_value_is_no_output_of_a_subgraph() -> None:
    target = model(
        """g (float[2] x, bool c) => (float[2] y) {
            t = Exp (x)
            y = If (c) <
                then_branch = a () => (float[2] p) { p = Identity (t) },
                else_branch = b () => (float[2] q) { q = Identity (x) }
            >
        }"""
    )
    drive(target, IDENTITY)
    assert [ops(a.as_graph()) for a in target.graph[1].attributes.values()] == [["Identity"], ["Identity"]]


def test_constants_of_a_subgraph_live_in_the_main_graph() -> None:
    target = model(
        """g (float[2] x, bool c) => (float[2] y) {
            y = If (c) <
                then_branch = a () => (float[2] p) { p = Add (x, x) },
                else_branch = b () => (float[2] q) { q = Exp (x) }
            >
        }"""
    )
    drive(target, Rule("double", before="y = Add (x, x)", after="y = Mul (x, 2.0)"))
    assert len(target.graph.initializers) == 1
    assert run(target, {"x": np.float32([1, 3]), "c": np.array(True)})["y"].tolist() == [2, 6]


def test_functions_are_rewritten_with_constants_as_nodes() -> None:
    target = model(
        """g (float[2] x) => (float[2] y) { y = my.twice (x) }
        <domain: "my", opset_import: ["": 23]> twice (a) => (b) { i = Identity (a) b = Add (i, i) }""",
        header='ir_version: 10, opset_import: ["": 23, "my": 1]',
    )
    double = Rule(
        "double",
        before="y = Add (x, x)",
        after=lambda _: Replacement("y = Mul (x, k)", {"k": np.float32([2])}),
    )
    drive(target, IDENTITY, double)
    (function,) = target.functions.values()
    assert ops(function) == ["Constant", "Mul"]
    assert run(target, {"x": np.float32([1, 3])})["y"].tolist() == [2, 6]


def test_functions_and_domains_the_right_side_needs_come_along() -> None:
    def make(opset: int) -> ir.Function:
        text = f"""g (float[2] x) => (float[2] y) {{ y = own.Gelu2 (x) }}
        <domain: "own", opset_import: ["": {opset}]> Gelu2 (a) => (b) {{ b = Gelu (a) }}"""
        made = model(text, header=f'ir_version: 10, opset_import: ["": {opset}, "own": 1]')
        return next(iter(made.functions.values()))

    rule = Rule("r", before="y = Gelu (x)", after="y = own.Gelu2 (x)", functions=(make,))
    target = model("g (float[2] x) => (float[2] y) { y = Gelu (x) }")
    expected = run(target, {"x": np.float32([1, -3])})
    drive(target, rule)
    assert target.opset_imports["own"] == 1
    assert list(target.functions) == [("own", "Gelu2", "")]
    assert np.array_equal(run(target, {"x": np.float32([1, -3])})["y"], expected["y"])
    assert drive(target, rule)[1].fired == [], "the body of a function is never a call of itself"


def test_several_results_at_once() -> None:
    """Two products of one operand become one; a reader in between moves behind it."""
    target = model(
        """g (float[2, 3] x, float[3, 4] v, float[3, 4] w) => (float[2, 4] a, float[2, 4] b) {
            p = MatMul (x, v)
            a = Neg (p)
            q = MatMul (x, w)
            b = Exp (q)
        }"""
    )
    feeds = {
        name: np.ones(shape, np.float32) for name, shape in (("x", (2, 3)), ("v", (3, 4)), ("w", (3, 4)))
    }
    before = run(target, feeds)
    drive(target, PAIR)
    assert ops(target.graph) == ["Concat", "MatMul", "Split", "Neg", "Exp"]
    after = run(target, feeds)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_results_that_depend_on_one_another_are_refused() -> None:
    target = model(
        """g (float[2, 3] x, float[3, 4] v) => (float[2, 4] q) {
            p = MatMul (x, v)
            n = Neg (p)
            m = ReduceSum (n)
            w = Add (v, m)
            q = MatMul (x, w)
        }"""
    )
    _, said = drive(target, PAIR)
    assert said.fired == []
    assert any("depends on another" in reason for reason in said.reasons())


def test_rules_that_undo_each_other_are_named() -> None:
    there = Rule("there", before="y = Neg (x)", after="y = Abs (x)")
    back = Rule("back", before="y = Abs (x)", after="y = Neg (x)")
    target = model("g (float[2] x) => (float[2] y) { y = Neg (x) }")
    with pytest.raises(PassError) as caught:
        apply(target, [there, back], "swap", Sink())
    assert "swap: the rules back, there undo one another at 'y'" in str(caught.value)


def test_a_rule_that_grows_for_ever_runs_out_of_budget() -> None:
    grow = Rule("grow", before="y = Neg (x)", after="t = Exp (x); y = Neg (t)")
    with pytest.raises(PassError, match="grow"):
        apply(model("g (float[2] x) => (float[2] y) { y = Neg (x) }"), [grow], "p", Sink())


def test_modified_is_honest_and_a_second_run_does_nothing() -> None:
    target = model("g (float[2] x) => (float[2] y) { i = Identity (x) y = Exp (i) }")
    assert apply(target, [IDENTITY, GELU], "p", Sink())
    text = str(target)
    assert not apply(target, [IDENTITY, GELU], "p", Sink())
    assert str(target) == text


def test_an_old_opset_is_left_alone() -> None:
    rule = Rule("r", before="y = Relu (x)", after="y = x", min_opset=14)
    target = model(
        "g (float[2] x) => (float[2] y) { y = Relu (x) }", header='ir_version: 7, opset_import: ["": 13]'
    )
    assert not apply(target, [rule], "p", Sink())


def test_a_pass_context_takes_the_remarks() -> None:
    ctx = PassContext()
    apply(model("g (float[2] x) => (float[2] y) { i = Identity (x) y = Exp (i) }"), [IDENTITY], "p", ctx)
    (remark,) = ctx.remarks
    assert remark.kind is RemarkKind.APPLIED
    assert ctx.rewrites["identity"] == 1


def test_nothing_unused_is_left_behind() -> None:
    target = model(
        """g (float[2] x) => (float[2] y) {
            r = Constant <value = float {1.41421354}> ()
            d = Div (x, r)
            e = Erf (d)
            one = Constant <value = float {1}> ()
            a = Add (e, one)
            m = Mul (x, a)
            half = Constant <value = float {0.5}> ()
            y = Mul (m, half)
        }"""
    )
    drive(target, GELU)
    assert ops(target.graph) == ["Gelu"]
    assert not target.graph.initializers
