"""The simplifying passes on real models: the same bits, and nothing left to do the second time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir
import pytest

from graphopt.driver.opt import optimize_model, pipeline
from graphopt.ir.load import load_model
from tests.rules import proof

if TYPE_CHECKING:
    from tests.conftest import Zoo


@pytest.mark.zoo
@pytest.mark.parametrize("name", ["bert_minilm_l3", "silero_vad", "vit_s_focus", "basic_pitch"])
def test_simplifying_changes_no_bit(zoo: Zoo, name: str) -> None:
    model = optimize_model(load_model(zoo(name)), pipeline("canonical")).model
    feeds = zoo.feeds(name, 0)
    before = proof.run(model, feeds)
    outputs = [value.name for value in model.graph.outputs]
    nodes = ir.to_proto(model).graph.node
    done = optimize_model(model, pipeline("repeat{limit=8}(simplify)"))
    assert any(effect.modified for effect in done.effects)
    assert len(done.model.graph) < len(nodes)
    assert [value.name for value in done.model.graph.outputs] == outputs
    after = proof.run(done.model, feeds)
    assert all(proof.same_bits(before[name], after[name]) for name in outputs if name is not None)
    again = optimize_model(done.model, pipeline("simplify"))
    assert not any(effect.modified for effect in again.effects)
