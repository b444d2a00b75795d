"""Every rule of every pass computes what it replaces, and keeps its hands off what it must not touch."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from graphopt.rewrite.draw import Draw
from graphopt.rewrite.instantiate import instantiate
from graphopt.rewrite.proof import ProofError, Trial, check, prove, trials, with_readers
from graphopt.rewrite.rule import Refusal, Rule
from tests.rules import proof

ALL = list(proof.rules())


def _every_rule() -> list[object]:
    return [pytest.param(rule, id=f"{module}-{rule.name}") for module, rule in ALL]


def _one_per_spelling(rule: Rule, seed: int) -> list[tuple[Trial, Callable[[Draw], object]]]:
    assert rule.draw is not None
    first = next(trials(rule, 1)).dtype
    return [(Trial(rule, pattern, first, seed), rule.draw) for pattern in rule.patterns]


@pytest.mark.parametrize("rule", _every_rule())
def test_both_sides_compute_the_same_and_refusals_hold(rule: Rule) -> None:
    assert prove(rule, proof.plain_runner, agree=proof.is_rounding) >= 3


@pytest.mark.parametrize("rule", _every_rule())
def test_results_that_are_graph_outputs_keep_their_names(rule: Rule) -> None:
    for trial, fill in _one_per_spelling(rule, 3):
        case = trial.draw(fill)
        model = instantiate(trial.pattern, case)
        inputs = [value.name for value in model.graph.inputs]
        outputs = [(value.name, value.dtype, str(value.shape)) for value in model.graph.outputs]
        before = proof.run(model, case.feeds)
        proof.fire(rule, model)
        check(model)
        assert [value.name for value in model.graph.inputs] == inputs
        kept = [(value.name, value.dtype, str(value.shape)) for value in model.graph.outputs]
        assert kept == outputs, trial.label
        after = proof.run(model, case.feeds)
        assert all(proof.agree(rule, before[name], after[name]) for name in before), trial.label


@pytest.mark.parametrize("rule", _every_rule())
def test_an_inner_value_that_is_needed_elsewhere_survives(rule: Rule) -> None:
    """As an output of the graph, an inner value is a refusal or, where the rule shares it, stays."""
    for trial, fill in _one_per_spelling(rule, 4):
        for name in trial.pattern.interior:
            case = trial.draw(fill)
            model = with_readers(instantiate(trial.pattern, case), rule)
            inner = next(v for node in model.graph for v in node.outputs if v.name == name)
            model.graph.outputs.append(inner)
            before = proof.run(model, case.feeds)
            changed, said = proof.fire(rule, model)
            assert changed == (name in rule.shared), (trial.label, name)
            assert changed or any("is an output of the graph" in reason for reason in said.reasons())
            check(model)
            after = proof.run(model, case.feeds)
            assert list(after) == list(before)
            assert all(proof.agree(rule, before[output], after[output]) for output in before), trial.label


def test_rules_have_names_of_their_own() -> None:
    names = [(module, rule.name) for module, rule in ALL]
    assert len(names) == len(set(names))
    assert len(names) >= 20


def _x(draw: Draw) -> None:
    draw.input("x", "N", 3)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (Rule("wrong", "y = Neg (x)", "y = Abs (x)", draw=_x), "was"),
        (Rule("sign-of-zero", "t = Abs (x); y = Neg (t)", "t = Abs (x); y = Sub (0.0, t)", draw=_x), "was"),
        (Rule("never", "y = Neg (x)", "y = x", draw=_x, guard=lambda _: "never"), "it does not fire: never"),
        (Rule("undrawn", "y = Neg (x)", "y = x"), "how to draw"),
        (Rule("eager", "t = Neg (x); y = Neg (t)", "y = x", draw=_x, refusals=(Refusal(_x),)), "must refuse"),
        (
            Rule("vague", "y = Identity (x)", "y = x", draw=_x, refusals=(Refusal(_x, "because"),)),
            "not 'because'",
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Rule) else "",
)
def test_a_wrong_rule_is_caught(rule: Rule, message: str) -> None:
    with pytest.raises(ProofError, match=message):
        prove(rule, proof.plain_runner, count=8)


def test_rules_that_round_are_held_to_the_limits_of_equality() -> None:
    def products(draw: Draw) -> None:
        for name in ("x", "z", "w"):
            draw.input(name, "N", 3)

    before = "a = Mul (x, w); b = Mul (z, w); y = Add (a, b)"
    close = Rule("close", before, "s = Add (x, z); y = Mul (s, w)", exact=False, draw=products)
    assert prove(close, proof.plain_runner, agree=proof.is_rounding) > 0
    off = Rule("off", before, "s = Add (x, z); t = Mul (s, w); y = Mul (t, 1.01)", exact=False, draw=products)
    with pytest.raises(ProofError):
        prove(off, proof.plain_runner, agree=proof.is_rounding)
    with pytest.raises(ProofError, match="up to rounding"):
        prove(close, proof.plain_runner)
