"""The verifier: sound models pass, and each rule catches what breaks it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.errors import ModelError
from graphopt.ir.levels import Level
from graphopt.ir.load import load_model
from graphopt.ir.verify import RULES, check, verify
from graphopt.passes.canonical import CANONICAL_PASSES
from graphopt.pipeline.context import PassContext
from tests.ir.samples import CONTROL, CONV, FUNCTIONS, TEXTS, all_samples, parse


def canonical(text: str) -> ir.Model:
    model = load_model(parse(text))
    for cls in CANONICAL_PASSES:
        cls().run(model, PassContext())
    return model


@pytest.mark.parametrize("text", TEXTS)
def test_sound_models_pass_at_every_level(text: str) -> None:
    for level in Level:
        assert verify(canonical(text), level) == []


def test_the_imported_level_asks_less() -> None:
    for proto in all_samples():
        assert verify(load_model(proto), Level.IMPORTED) == []
    assert {v.rule for v in verify(load_model(parse(CONTROL)), Level.CANONICAL)} >= {"constants-lifted"}


def _dangling(model: ir.Model) -> None:
    model.graph[1].replace_input_with(0, ir.Value(name="nowhere"))


def _removed_producer(model: ir.Model) -> None:
    model.graph.remove(model.graph[0])


def _out_of_order(model: ir.Model) -> None:
    first = model.graph[0]
    model.graph.remove(first)
    model.graph.append(first)


def _lost_output(model: ir.Model) -> None:
    model.graph.outputs[0] = ir.Value(name="lost")


def _out_of_scope(model: ir.Model) -> None:
    """The second branch reads what only the first one has."""
    then, other = (a.as_graph() for a in model.graph[1].attributes.values())
    other[-1].replace_input_with(0, then[0].outputs[0])


def _same_name(model: ir.Model) -> None:
    model.graph[0].outputs[0].name = "r"


def _no_name(model: ir.Model) -> None:
    model.graph[0].outputs[0].name = ""


def _unknown(model: ir.Model) -> None:
    model.graph[1].op_type = "Frobnicate"


def _arity(model: ir.Model) -> None:
    model.graph[1].resize_inputs(2)
    model.graph[1].replace_input_with(1, model.graph.inputs[0])


def _attribute(model: ir.Model) -> None:
    model.graph[1].attributes.add(ir.AttrInt64("alpha", 1))


def _recursion(model: ir.Model) -> None:
    function = next(iter(model.functions.values()))
    function[1].domain, function[1].op_type = "local", "scaled"
    function[1].resize_inputs(1)


def _two_opsets(model: ir.Model) -> None:
    next(iter(model.functions.values())).opset_imports[""] = 13


def _constant(model: ir.Model) -> None:
    node = ir.node("Constant", [], attributes={"value_float": 1.0}, name="k")
    node.outputs[0].name = "k"
    node.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    model.graph.insert_before(model.graph[0], [node])


def _wrong_tensor(model: ir.Model) -> None:
    model.graph.initializers["b"].const_value = ir.Tensor(np.zeros(7, np.float32), name="b")


def _untyped(model: ir.Model) -> None:
    model.graph[0].outputs[0].type = None


def _no_body(model: ir.Model) -> None:
    model.graph[1].domain = "graphopt"
    model.opset_imports["graphopt"] = 1


@pytest.mark.parametrize(
    ("rule", "text", "damage"),
    [
        ("scopes", CONV, _dangling),
        ("scopes", CONV, _removed_producer),
        ("scopes", CONV, _out_of_order),
        ("scopes", CONV, _lost_output),
        ("scopes", CONTROL, _out_of_scope),
        ("names", CONV, _same_name),
        ("names", CONV, _no_name),
        ("operators", CONV, _unknown),
        ("operators", CONV, _arity),
        ("operators", CONV, _attribute),
        ("acyclic-functions", FUNCTIONS, _recursion),
        ("one-opset", FUNCTIONS, _two_opsets),
        ("constants-lifted", CONV, _constant),
        ("constants-typed", CONV, _wrong_tensor),
        ("typed", CONV, _untyped),
        ("composites", CONV, _no_body),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
def test_each_rule_catches(rule: str, text: str, damage: Callable[[ir.Model], None]) -> None:
    model = canonical(text)
    damage(model)
    found = verify(model, Level.FUSED)
    assert rule in {v.rule for v in found}, found
    with pytest.raises(ModelError) as caught:
        check(model, Level.FUSED)
    assert "\n" not in str(caught.value)
    assert caught.value.hint


def test_every_rule_is_seen_to_catch_something() -> None:
    marks = test_each_rule_catches.pytestmark  # type: ignore[attr-defined]
    assert {name for _, name, _ in RULES} == {case[0] for case in marks[0].args[1]}


def test_the_first_violation_counts_the_others() -> None:
    model = canonical(CONV)
    _unknown(model)
    _attribute(model)
    model.graph[2].op_type = "Frobnicate"
    with pytest.raises(ModelError, match=r"and \d+ more"):
        check(model, Level.CANONICAL)
