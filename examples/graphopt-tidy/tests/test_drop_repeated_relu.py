"""The proof of the rule: random cases, computed before and after by ONNX Runtime as they are."""

from functools import partial

import pytest
from graphopt_tidy.drop_repeated_relu import RULES

from graphopt.backends.onnxruntime.runner import make_runner
from graphopt.rewrite.proof import prove


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_rule(rule):
    """Both sides compute the same."""
    assert prove(rule, partial(make_runner, optimise=False)) > 0
