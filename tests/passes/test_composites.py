"""Composites say what was there before: inlining them gives the same model back."""

from __future__ import annotations

import pytest

from graphopt.driver.opt import import_model, optimize_model, pipeline
from graphopt.driver.runners import evaluator
from graphopt.ir.fingerprint import fingerprint
from graphopt.ir.levels import Level
from graphopt.ir.verify import verify
from graphopt.ir.walk import nodes
from graphopt.ops.op import DOMAIN
from graphopt.rewrite.inline import inline_functions
from tests.property.generate import random_model

SEEDS = range(60)


@pytest.mark.parametrize("shard", range(4))
def test_outlining_and_inlining_is_the_identity(shard: int) -> None:
    made = 0
    for seed in SEEDS[shard::4]:
        model = import_model(random_model(seed).model)
        optimize_model(model, pipeline(level=2), evaluate=evaluator())
        inline_functions(model)
        optimize_model(model, pipeline("canonical,fold"), evaluate=evaluator())
        model.opset_imports.pop(DOMAIN, None)
        before = fingerprint(model)
        optimize_model(model, pipeline("composite"))
        assert not verify(model, Level.FUSED), seed
        calls = [node for node in nodes(model) if node.op_type.startswith("Composite_")]
        made += len(calls)
        assert all(len(model.functions[call.op_identifier()]) > 1 for call in calls), seed
        again = optimize_model(model, pipeline("composite"))
        assert not any(effect.modified for effect in again.effects), f"{seed}: a second run found more"
        inline_functions(model)
        # Constants inside bodies are nodes where they were initializers.
        optimize_model(model, pipeline("canonical,fold"), evaluate=evaluator())
        model.opset_imports.pop(DOMAIN, None)
        assert fingerprint(model) == before, seed
    assert made > 5
