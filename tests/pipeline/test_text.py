"""The pipeline string: it parses, prints back, and says what is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphopt.errors import UsageError
from graphopt.pipeline.manager import Repeat, flatten, keep_passes, pipeline_text
from graphopt.pipeline.text import parse
from tests.pipeline.toys import TOYS, Flip, RemoveOneRelu

GROUPS = {"relu": (RemoveOneRelu, Flip)}

_passes = st.one_of(
    st.builds(
        RemoveOneRelu,
        keep_last=st.booleans(),
        domains=st.lists(st.sampled_from(["ai.onnx.ml", "a", "com.x"]), min_size=1, max_size=3).map(tuple),
        limit=st.integers(-5, 5),
    ),
    st.just(Flip()),
)
_steps = st.recursive(
    st.lists(_passes, min_size=1, max_size=4).map(tuple),
    lambda inner: st.builds(lambda steps, limit: (Repeat(steps, limit), Flip()), inner, st.integers(1, 30)),
    max_leaves=5,
)


@given(_steps)
def test_what_is_printed_parses_back(steps):
    assert parse(pipeline_text(steps), TOYS) == steps


def test_options_are_converted_by_the_type_of_the_field():
    (step,) = parse("remove-one-relu{keep-last=true domains=a+b limit=7}", TOYS)
    assert step == RemoveOneRelu(keep_last=True, domains=("a", "b"), limit=7)


def test_white_space_and_commas_between_options_do_not_matter():
    assert parse(" flip , remove-one-relu { keep-last=true , limit=1 } ", TOYS) == (
        Flip(),
        RemoveOneRelu(keep_last=True, limit=1),
    )


def test_a_group_stands_for_its_passes_and_hands_options_to_those_that_have_them():
    assert parse("relu{keep-last=true}", TOYS, GROUPS) == (RemoveOneRelu(keep_last=True), Flip())


def test_an_empty_string_is_an_empty_pipeline():
    assert parse("", TOYS) == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flap", "did you mean flip"),
        ("flip,", "expected a name"),
        ("flip flip", "did not expect 'flip'"),
        ("repeat(flip", r"expected '\)'"),
        ("flip{x=1}", "has no option 'x'"),
        ("remove-one-relu{keep-last=maybe}", "is not a bool"),
        ("remove-one-relu{limit=many}", "is not a int"),
        ("repeat{times=3}(flip)", "only the option limit"),
        ("relu{nothing=1}", "no pass of the group relu has an option 'nothing'"),
        ("flip{", "expected a name"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text, message):
    with pytest.raises(UsageError, match=message) as caught:
        parse(text, TOYS, GROUPS)
    assert "\n" not in str(caught.value)


def test_keep_passes_drops_empty_repeats():
    steps = parse("flip,repeat(remove-one-relu,repeat(flip))", TOYS)
    assert keep_passes(steps, frozenset({"flip"})) == (Flip(), Repeat((Repeat((Flip(),)),)))
    assert keep_passes(steps, frozenset()) == ()
    assert [p.name() for p in flatten(steps)] == ["flip", "remove-one-relu", "flip"]
