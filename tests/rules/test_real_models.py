"""The simplifying passes on real models: the same bits or rounding, and nothing left to do afterwards."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import onnx_ir as ir
import pytest

from graphopt.driver.opt import optimize_model, pipeline
from graphopt.driver.verify import verify
from graphopt.ir.load import load_model
from graphopt.passes.simplify import SIMPLIFY_PASSES
from tests.rules import proof

if TYPE_CHECKING:
    from tests.conftest import Zoo

REORDERS = {"sink-transposes"}
"""Passes without rules that let a reduction see its elements in another order."""


def _rounds() -> set[str]:
    """The passes that may change how results are rounded."""
    found = set(REORDERS)
    for cls in SIMPLIFY_PASSES:
        rules = getattr(importlib.import_module(cls.__module__), "RULES", ())
        if not all(rule.exact for rule in rules):
            found.add(cls.name())
    return found


@pytest.mark.zoo
@pytest.mark.parametrize("name", ["bert_minilm_l3", "silero_vad", "vit_s_focus", "basic_pitch"])
def test_exact_passes_change_no_bit(zoo: Zoo, name: str) -> None:
    model = optimize_model(load_model(zoo(name)), pipeline("canonical")).model
    feeds = zoo.feeds(name, 0)
    before = proof.run(model, feeds)
    outputs = [value.name for value in model.graph.outputs]
    nodes = ir.to_proto(model).graph.node
    steps = pipeline("repeat{limit=8}(simplify)", disabled=_rounds())
    done = optimize_model(model, steps)
    assert any(effect.modified for effect in done.effects)
    assert len(done.model.graph) < len(nodes)
    assert [value.name for value in done.model.graph.outputs] == outputs
    after = proof.run(done.model, feeds)
    assert all(proof.same_bits(before[name], after[name]) for name in outputs if name is not None)
    again = optimize_model(done.model, steps)
    assert not any(effect.modified for effect in again.effects)


@pytest.mark.zoo
@pytest.mark.parametrize("name", ["silero_vad", "basic_pitch", "magika", "tashkeel_bilstm_int8"])
def test_all_passes_round_at_most(zoo: Zoo, name: str) -> None:
    steps = pipeline("canonical,repeat{limit=8}(simplify,fold,infer-shapes)")
    done = optimize_model(load_model(zoo(name)), steps)
    report = verify(zoo(name), ir.to_proto(done.model))
    assert report.equal, report.sentence()
    again = optimize_model(done.model, pipeline("simplify"))
    assert not any(effect.modified for effect in again.effects)
