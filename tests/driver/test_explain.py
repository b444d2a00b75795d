"""``explain``: what fired, and the nearest miss laid out node by node."""

from __future__ import annotations

import pytest
from onnx import parser

from graphopt.driver.explain import explain
from graphopt.errors import UsageError
from graphopt.ir.load import load_model
from graphopt.pipeline.pass_base import kebab
from graphopt.rewrite.rule import Rule
from graphopt.rewrite.trace import NearMiss, near_misses

HEADER = '<ir_version: 10, opset_import: ["": 23]>\n'

RULE = Rule(
    "standardise",
    before="m = ReduceMean <keepdims = 1> (x, axes); d = Sub (x, m); v = Add (d, 0.5); y = Sqrt (v)",
    after="y = Relu (x)",
    guard=lambda match: None if match.is_constant("axes") else "the axes are computed",
)


def _near(body: str) -> list[NearMiss]:
    graph = "g (float[2, 3] x, int64[1] n) => (float[2, 3] y) "
    return near_misses(load_model(parser.parse_model(HEADER + graph + "{" + body + "}")), (RULE,))


def test_every_node_of_the_pattern_is_accounted_for() -> None:
    (near,) = _near(
        "a = Constant <value_ints = [1]> () m = ReduceMean (x, a) d = Mul (x, m)"
        "h = Constant <value_float = 0.5> () v = Add (h, d) y = Sqrt (v)"
    )
    assert [step.expected.split(" = ")[0] for step in near.steps] == ["m", "d", "v", "y"]
    mean, sub, add, root = near.steps
    assert root.holds
    assert add.holds
    assert root.found.endswith("(Sqrt)")
    assert not sub.holds
    assert sub.reason == "expected Sub, found Mul" == near.reason
    assert (mean.holds, mean.found, mean.reason) == (False, "", ""), "matching never got as far"


def test_a_constant_of_another_value_is_blamed_on_its_node() -> None:
    (near,) = _near(
        "a = Constant <value_ints = [1]> () m = ReduceMean (x, a) d = Sub (x, m)"
        "h = Constant <value_float = 0.25> () v = Add (d, h) y = Sqrt (v)"
    )
    assert [step.holds for step in near.steps] == [True, True, False, True]
    assert "0.25" in near.steps[2].reason


def test_a_guard_speaks_when_every_node_is_there() -> None:
    (near,) = _near(
        "m = ReduceMean (x, n) d = Sub (x, m) h = Constant <value_float = 0.5> () v = Add (d, h) y = Sqrt (v)"
    )
    assert near.reason == "the axes are computed"
    assert [step.reason for step in near.steps] == ["", "", "", "the axes are computed"]
    assert near.score == near.parts


def test_where_the_rule_fires_nothing_is_missed() -> None:
    body = (
        "a = Constant <value_ints = [1]> () m = ReduceMean (x, a) d = Sub (x, m)"
        "h = Constant <value_float = 0.5> () v = Add (d, h) y = Sqrt (v)"
    )
    assert _near(body) == []


def test_the_nearest_place_is_shown_not_the_first() -> None:
    (near,) = _near(
        "p = Sqrt (x) q = Relu (p) h = Constant <value_float = 0.5> () r = Add (q, h)"
        "s = Sqrt (r) t = Sub (s, x) u = Add (t, h) y = Sqrt (u)"
    )
    assert near.steps[1].holds, "the last Sqrt has a Sub below its Add, the second only a Relu"


def test_explain_on_a_model() -> None:
    text = (
        HEADER
        + "g (float[2, 3] x) => (float[2, 3] y) { a = Identity (x) b = Neg (a) c = Neg (b) y = Exp (c) }"
    )
    found = explain(parser.parse_model(text))
    assert found.applied["eliminate-identity"] == {"identity": 1}
    only = explain(parser.parse_model(text), why_not="EliminateIdentity")
    assert only.asked == ("eliminate-identity",)
    assert set(only.applied) == {"eliminate-identity"}


def test_a_name_nothing_looks_for_is_refused() -> None:
    with pytest.raises(UsageError, match="no pass looks for 'Sandwich'"):
        explain(
            parser.parse_model(HEADER + "g (float[1] x) => (float[1] y) { y = Exp (x) }"), why_not="Sandwich"
        )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("LayerNormalization", "layer-normalization"),
        ("RMSNormalization", "rms-normalization"),
        ("hard_swish", "hard-swish"),
        ("fuse-gelu", "fuse-gelu"),
        ("LSTM", "lstm"),
    ],
)
def test_operators_and_passes_are_found_in_either_spelling(name: str, expected: str) -> None:
    assert kebab(name) == expected
