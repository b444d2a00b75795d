"""The text of rules: what it can say, and what is wrong with a text that cannot be read."""

from __future__ import annotations

import onnx.parser
import pytest

from graphopt.rewrite.parse import RuleSyntaxError, parse
from graphopt.rewrite.pattern import spellings
from graphopt.rewrite.rule import Rule
from graphopt.rewrite.syntax import AttrRef, Call, Literal, Name
from tests.rules import proof


def _call(text: str) -> Call:
    (term,) = parse(text).statements[0].terms
    assert isinstance(term, Call)
    return term


def test_a_node() -> None:
    call = _call(
        'y, _, *zs = com.microsoft.Op <axis: int = 1, mode = "edge", scale = 0.5, ks = [1, 2]> (a, , *xs)'
    )
    assert call.key == ("com.microsoft", "Op")
    assert call.outputs == (Name("y"), None, Name("zs", variadic=True))
    assert call.attributes == (("axis", 1), ("mode", "edge"), ("scale", 0.5), ("ks", (1, 2)))
    assert call.inputs == (Name("a"), None, Name("xs", variadic=True))


def test_bindings_of_attributes() -> None:
    call = _call("y = Conv <group = @g, **others> (x, w, b?)")
    assert call.attributes == (("group", AttrRef("g")),)
    assert call.rest == "others"
    assert call.inputs[2] == Name("b", optional=True)


@pytest.mark.parametrize(
    ("text", "values", "is_scalar"),
    [("1", (1,), True), ("-2.5e-3", (-0.0025,), True), ("{1, -1}", (1, -1), False), ("{}", (), False)],
)
def test_literals(text: str, values: tuple[float, ...], is_scalar: bool) -> None:
    assert _call(f"y = Op (x, {text})").inputs[1] == Literal(values, is_scalar)


def test_a_typed_literal() -> None:
    literal = _call("y = Op (x, int64 {3})").inputs[1]
    assert isinstance(literal, Literal)
    assert literal.dtype is not None
    assert literal.dtype.name == "INT64"


def test_a_function_header_orders_the_outputs() -> None:
    body = parse("norm <eps> (x) => (b, a) { a = Relu (x)  # first\n b = Neg (a) }")
    assert body.outputs == ("b", "a")
    assert parse("a = Relu (x); b = Neg (a)").outputs == ("b",)


def test_spellings_multiply_and_resolve_steps_that_may_be_missing() -> None:
    found = spellings(parse("h = Cast <to = 1> (x) | x; s = Pow (h, 2.0) | Mul (h, h); y = Sqrt (s)"))
    assert [[call.op_type for call in pattern.calls] for pattern in found] == [
        ["Cast", "Pow", "Sqrt"],
        ["Cast", "Mul", "Sqrt"],
        ["Pow", "Sqrt"],
        ["Mul", "Sqrt"],
    ]
    assert found[3].calls[0].inputs == (Name("x"), Name("x"))


def test_a_result_that_may_be_passed_through_keeps_its_name() -> None:
    long, short = spellings(parse("h = Relu (x); y = Neg (h) | h"))
    assert long.outputs == short.outputs == ("y",)
    assert [call.op_type for call in short.calls] == ["Relu"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("y = Relu (x", "line 1 ('y = Relu (x'): expected ')', found the end"),
        ("\ny = Relu [x]", "line 2"),
        ("y = $ (x)", "unexpected '$'"),
        ("", "at least one statement"),
        ("y = Op <a = @> (x)", "expected a name after '@'"),
        ("y = Op (x, floaty {1})", "an element type"),
        ("(x) => (y) { y = Relu (x)", "expected '}'"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, message: str) -> None:
    with pytest.raises(RuleSyntaxError) as caught:
        parse(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("y = Relu (x)", "z = Neg (x)", "does not define 'y'"),
        ("y = Relu (x)", "y = Neg (w)", "uses 'w'"),
        ("y = Softmax <axis = @a> (x)", "y = Softmax <axis = @b> (x)", "uses 'b'"),
        ("y = Relu (x); y = Neg (x)", "y = x", "'y' is produced twice"),
        ("y = Neg (t); t = Relu (x)", "y = x", "'t' is used before it is produced"),
        ("y = Concat <axis = 0> (*xs, z)", "y = z", "only at the last input"),
        ("y = Relu (x) | x", "y = x", "straight through"),
        ("y = Relu (x)", "y = Neg (x) | x", "one spelling"),
        ("; ".join(f"v{i + 1} = Neg (v{i}) | Abs (v{i})" for i in range(7)), "v7 = v0", "128 spellings"),
    ],
)
def test_a_rule_that_makes_no_sense_fails_where_it_is_written(before: str, after: str, message: str) -> None:
    with pytest.raises(RuleSyntaxError) as caught:
        Rule("odd", before, after)
    assert "rule 'odd'" in str(caught.value)
    assert message in str(caught.value)


def test_sharing_something_that_is_no_inner_value_is_an_error() -> None:
    with pytest.raises(RuleSyntaxError, match="no inner value"):
        Rule("odd", "y = Relu (x)", "y = x", shared=("x",))


def test_without_marks_the_text_is_onnx_text() -> None:
    """The same text read by ONNX's own parser gives the same nodes."""
    text = (
        'd = Div (x, r)\n t = Transpose <perm: ints = [1, 0]> (d)\n y, z = a.b.Two <m: string = "k"> (t, , x)'
    )
    function = onnx.parser.parse_function(
        f'<domain: "d", opset_import: ["": 23]> f (x, r) => (y, z) {{ {text} }}'
    )
    ours = [
        term for statement in parse(text).statements for term in statement.terms if isinstance(term, Call)
    ]
    assert len(function.node) == len(ours)
    for theirs, call in zip(function.node, ours, strict=True):
        assert (theirs.domain, theirs.op_type) == call.key
        assert list(theirs.output) == [name.name for name in call.outputs if name is not None]
        assert list(theirs.input) == [arg.name if isinstance(arg, Name) else "" for arg in call.inputs]
        assert [attribute.name for attribute in theirs.attribute] == [name for name, _ in call.attributes]


def test_the_shipped_rules_are_read_at_import() -> None:
    assert all(rule.patterns for _, rule in proof.rules())
