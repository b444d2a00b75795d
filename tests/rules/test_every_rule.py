"""Every rule of every pass computes what it replaces, and keeps its hands off what it must not touch."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from graphopt.rewrite.instantiate import instantiate
from graphopt.rewrite.rule import Refusal, Rule
from tests.rules import proof
from tests.rules.proof import Trial

ALL = list(proof.rules())
SEEDS = 3


def _spellings() -> list[object]:
    return [
        pytest.param(rule, index, id=f"{module}-{rule.name}-{index}")
        for module, rule in ALL
        for index in range(len(rule.patterns))
    ]


def _refusals() -> list[object]:
    return [
        pytest.param(rule, refusal, id=f"{module}-{rule.name}-{index}")
        for module, rule in ALL
        for index, refusal in enumerate(rule.refusals)
    ]


def _dtypes(rule: Rule) -> list[ir.DataType]:
    return [dtype for dtype in rule.dtypes if dtype not in proof.UNPROVABLE]


@pytest.mark.parametrize(("rule", "spelling"), _spellings())
def test_both_sides_compute_the_same(rule: Rule, spelling: int) -> None:
    assert rule.draw is not None, "a rule says how to draw cases for its proof"
    pattern = rule.patterns[spelling]
    avoid = proof.ops(rule)
    for dtype in _dtypes(rule):
        for seed in range(SEEDS):
            trial = Trial(rule, pattern, dtype, seed)
            case = trial.draw(rule.draw)
            model = proof.consume_results(instantiate(pattern, case), avoid)
            proof.check(model)
            before = proof.run(model, case.feeds)
            changed, said = proof.fire(rule, model)
            assert changed, (trial.label, said.misses)
            assert rule.name in said.fired, trial.label
            proof.check(model)
            after = proof.run(model, case.feeds)
            assert list(before) == list(after), trial.label
            for name, expected in before.items():
                assert proof.agree(rule, expected, after[name]), (trial.label, expected, after[name])


@pytest.mark.parametrize(("rule", "spelling"), _spellings())
def test_results_that_are_graph_outputs_keep_their_names(rule: Rule, spelling: int) -> None:
    assert rule.draw is not None
    trial = Trial(rule, rule.patterns[spelling], _dtypes(rule)[0], SEEDS)
    case = trial.draw(rule.draw)
    model = instantiate(trial.pattern, case)
    inputs = [value.name for value in model.graph.inputs]
    outputs = [(value.name, value.dtype, str(value.shape)) for value in model.graph.outputs]
    before = proof.run(model, case.feeds)
    proof.fire(rule, model)
    proof.check(model)
    assert [value.name for value in model.graph.inputs] == inputs
    kept = [(value.name, value.dtype, str(value.shape)) for value in model.graph.outputs]
    assert kept == outputs
    after = proof.run(model, case.feeds)
    assert all(proof.agree(rule, before[name], after[name]) for name in before)


@pytest.mark.parametrize(("rule", "spelling"), _spellings())
def test_an_inner_value_that_is_needed_elsewhere_survives(rule: Rule, spelling: int) -> None:
    """As an output of the graph, an inner value is a refusal or, where the rule shares it, stays."""
    assert rule.draw is not None
    pattern = rule.patterns[spelling]
    for name in pattern.interior:
        trial = Trial(rule, pattern, _dtypes(rule)[0], SEEDS + 1)
        case = trial.draw(rule.draw)
        model = proof.consume_results(instantiate(pattern, case), proof.ops(rule))
        inner = next(v for node in model.graph for v in node.outputs if v.name == name)
        model.graph.outputs.append(inner)
        before = proof.run(model, case.feeds)
        changed, said = proof.fire(rule, model)
        assert changed == (name in rule.shared), (trial.label, name)
        assert changed or any("is an output of the graph" in reason for reason in said.reasons())
        proof.check(model)
        after = proof.run(model, case.feeds)
        assert list(after) == list(before)
        assert all(proof.agree(rule, before[output], after[output]) for output in before)


@pytest.mark.parametrize(("rule", "refusal"), _refusals())
def test_it_refuses_and_says_why(rule: Rule, refusal: Refusal) -> None:
    for index, pattern in enumerate(rule.patterns):
        for dtype in _dtypes(rule):
            trial = Trial(rule, pattern, dtype, index)
            case = trial.draw(refusal.draw)
            model = instantiate(pattern, case)
            text = str(model)
            changed, said = proof.fire(rule, model)
            assert not changed, trial.label
            assert str(model) == text, trial.label
            if refusal.because:
                assert any(refusal.because in reason for reason in said.reasons()), (trial.label, said.misses)


def test_rules_have_names_of_their_own() -> None:
    names = [(module, rule.name) for module, rule in ALL]
    assert len(names) == len(set(names))
    assert len(names) >= 20
