"""A wrong pass is found by random models, and shrinks to the node it gets wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx
import onnx_ir as ir
import pytest

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from tests.property.check import Failure, Subject
from tests.property.generate import Random, random_model
from tests.property.shrink import Feeds, shrink

MOST_SEEDS = 60


def _nodes(model: ir.Model, op_type: str) -> list[ir.Node]:
    return [node for node in model.graph.all_nodes() if node.op_type == op_type]


@dataclass(frozen=True)
class TanhIsErf(Pass):
    """Changes the answer."""

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        found = _nodes(model, "Tanh")
        for node in found:
            node.op_type = "Erf"
        return bool(found)


@dataclass(frozen=True)
class SwapsForever(Pass):
    """Changes nothing that counts, each time it runs."""

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        found = _nodes(model, "Mul")
        for node in found:
            first, second = node.inputs
            node.replace_input_with(0, second)
            node.replace_input_with(1, first)
        return bool(found)


@dataclass(frozen=True)
class Raises(Pass):
    """Cannot take a Softmax."""

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        assert not _nodes(model, "Softmax")
        return False


@dataclass(frozen=True)
class Untruthful(Pass):
    """Says it changed nothing."""

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        for node in _nodes(model, "Neg"):
            node.op_type = "Abs"
        return False


@pytest.mark.parametrize(
    ("wrong", "kind", "culprit"),
    [
        (TanhIsErf(), "answer", "Tanh"),
        (SwapsForever(), "again", "Mul"),
        (Raises(), "crash", "Softmax"),
        (Untruthful(), "crash", "Neg"),
    ],
    ids=lambda value: value.name() if isinstance(value, Pass) else "",
)
def test_a_wrong_pass_shrinks_to_what_it_gets_wrong(wrong: Pass, kind: str, culprit: str) -> None:
    def examine(model: onnx.ModelProto, feeds: Feeds) -> Failure | None:
        subject = Subject.prepare(model, feeds)
        return subject.examine(["sort-topologically", wrong]) if subject is not None else None

    case, failure = _first_failure(examine)
    assert failure.kind == kind
    assert wrong.name() in failure.message

    def fails(model: onnx.ModelProto, feeds: Feeds) -> bool:
        found = examine(model, feeds)
        return found is not None and found.kind == kind

    piece = shrink(case.model, case.feeds, fails)
    assert [node.op_type for node in piece.model.graph.node] == [culprit]


def _first_failure(
    examine: Callable[[onnx.ModelProto, Feeds], Failure | None],
) -> tuple[Random, Failure]:
    for seed in range(MOST_SEEDS):
        case = random_model(seed)
        found = examine(case.model, case.feeds)
        if found is not None:
            return case, found
    raise AssertionError(f"{MOST_SEEDS} models did not show it")


def test_a_seed_always_makes_the_same_model() -> None:
    first, second = random_model(7), random_model(7)
    assert first.model.SerializeToString(deterministic=True) == second.model.SerializeToString(
        deterministic=True
    )
    assert first.model != random_model(8).model
