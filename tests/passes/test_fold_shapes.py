"""Folding of shape arithmetic: the same bits for every size, idempotent, and what is left of real graphs."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphopt.driver.opt import optimize_model, pipeline
from tests.ir.shape_programs import DIMS, Program, feeds_of, programs, run

PASSES = "fold-known-elements,fold-shape-targets,merge-equal-elements,read-dims-directly,dead-code"
unhurried = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


@st.composite
def graphs(draw: st.DrawFn) -> Program:
    """A program whose sizes are used: nothing it computes on the way is an output by itself."""
    program = draw(programs())
    h = program.add("Relu", ["x"])
    for _ in range(draw(st.integers(1, 4))):
        draw(st.sampled_from(USES))(program, draw, h)
    shown = draw(st.integers(0, 2))
    made = [name for name, _ in program.vectors + program.flags if name.startswith("v")]
    kept = set(draw(st.lists(st.sampled_from(made), max_size=shown)))
    program.scalars = []
    program.vectors = [(n, size) for n, size in program.vectors if n in kept]
    program.flags = [(n, size) for n, size in program.flags if n in kept]
    if not program.results:
        program.results.append(h)
    return program


def _back_to_shape(program: Program, draw: st.DrawFn, h: str) -> None:
    """Flattened and back, the target pieced together from single dims."""
    flat = program.add("Reshape", [h, program.constant([-1])])
    whole = program.add("Shape", [draw(st.sampled_from(["x", h]))])
    parts = []
    for axis, dim in enumerate(DIMS):
        how = draw(st.integers(0, 2))
        if how == 0 and isinstance(dim, int):
            parts.append(program.constant([dim]))
        elif how == 1:
            parts.append(program.add("Gather", [whole, program.constant([axis])]))
        else:
            scalar = program.add("Gather", [whole, program.constant(axis)])
            parts.append(program.add("Unsqueeze", [scalar, program.constant([0])]))
    target = program.add("Concat", parts, axis=0)
    program.results.append(program.add("Reshape", [draw(st.sampled_from([flat, h])), target]))


def _heads(program: Program, draw: st.DrawFn, h: str) -> None:
    """Two dims joined by Mul, or one split by Div."""
    whole = program.add("Shape", ["x"])
    n, m = (program.add("Gather", [whole, program.constant([axis])]) for axis in (0, 2))
    joined = program.add("Mul", [n, m])
    rest = program.constant(draw(st.sampled_from([[12], [3, 4], [2, 6]])))
    parts = draw(st.sampled_from([[joined, rest], [n, rest, m], [n, m, rest]]))
    program.results.append(program.add("Reshape", [h, program.add("Concat", parts, axis=0)]))


def _expand(program: Program, draw: st.DrawFn, h: str) -> None:
    whole = program.add("Shape", [h])
    target = draw(st.sampled_from(["whole", "wide", "chosen"]))
    name = whole
    if target == "wide":
        name = program.add("Concat", [program.constant([2]), whole], axis=0)
    elif target == "chosen":
        ones = program.constant([1, 1, 1, 1])
        keep = program.add("Equal", [whole, program.constant([-1] * 4)])
        name = program.add("Where", [keep, ones, whole])
    program.results.append(program.add("Expand", [h, name]))


def _cut(program: Program, draw: st.DrawFn, h: str) -> None:
    axis = draw(st.sampled_from([0, 1, 2, 3]))
    end = program.add("Gather", [program.add("Shape", ["x"]), program.constant([axis])])
    start = program.constant([draw(st.sampled_from([0, 1, -1]))])
    program.results.append(program.add("Slice", [h, start, end, program.constant([axis])]))


def _fill(program: Program, draw: st.DrawFn, h: str) -> None:
    name = program.add("Shape", [h], start=draw(st.integers(0, 3)))
    program.results.append(program.add("ConstantOfShape", [name]))


USES = (_back_to_shape, _back_to_shape, _heads, _expand, _cut, _fill)


@unhurried
@given(
    program=graphs(), sizes=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 6)), min_size=2, max_size=2)
)
def test_folding_changes_no_bit_for_any_size(program: Program, sizes: list[tuple[int, int]]) -> None:
    before = program.model()
    names = [value.name for value in before.graph.outputs]
    done = optimize_model(program.model(), pipeline(f"repeat({PASSES},infer-shapes)")).model
    assert [value.name for value in done.graph.outputs] == names
    assert len(done.graph) <= len(before.graph)
    for seed, (n, m) in enumerate(sizes):
        feeds = feeds_of(n, m, seed)
        expected, actual = run(before, feeds), run(done, feeds)
        for name, array in expected.items():
            np.testing.assert_array_equal(actual[name], array)
    again = optimize_model(done, pipeline(PASSES))
    assert not any(effect.modified for effect in again.effects), again.remarks


def test_an_empty_batch_still_runs():
    """What is copied may be zero: no -1 beside it."""
    program = Program()
    h = program.add("Relu", ["x"])
    whole = program.add("Shape", [h])
    n, m = (program.add("Gather", [whole, program.constant([axis])]) for axis in (0, 2))
    twelve = program.constant([12])
    program.results.append(program.add("Reshape", [h, program.add("Concat", [n, m, twelve], axis=0)]))
    done = optimize_model(program.model(), pipeline(PASSES)).model
    for n_rows in (0, 2):
        feeds = feeds_of(n_rows, 5, 0)
        (expected,), (actual,) = run(program.model(), feeds).values(), run(done, feeds).values()
        np.testing.assert_array_equal(actual, expected)


def _zoo_counts(model: ir.Model) -> dict[str, int]:
    found: dict[str, int] = {}
    for node in model.graph.all_nodes():
        found[node.op_type] = found.get(node.op_type, 0) + 1
    return found


@pytest.mark.zoo
def test_silero_with_a_known_rate_has_no_control_flow(zoo: Any) -> None:
    import graphopt

    feeds = dict(zoo.feeds("silero_vad", 0))
    before = run(ir.load(zoo("silero_vad")), feeds)
    frozen = graphopt.optimize(
        zoo("silero_vad"), "canonical,repeat{limit=8}(fold,infer-shapes)", constants=["sr=16000"]
    )
    assert not {"If", "Loop", "Scan", "Equal"} & _zoo_counts(frozen).keys()
    after = run(frozen, feeds)
    for name, array in before.items():
        # An LSTM whose weights are constants is multiplied in another order.
        assert np.max(np.abs(after[name] - array)) <= 8 * np.finfo(np.float32).eps * np.max(np.abs(array))


@pytest.mark.zoo
@pytest.mark.parametrize("name", ["bert_minilm_l3", "vit_s_focus", "t5_encoder_int8", "smart_turn_qdq"])
def test_the_shape_arithmetic_of_transformers_goes(name: str, zoo: Any) -> None:
    import graphopt

    feeds = dict(zoo.feeds(name, 0))
    canonical = graphopt.optimize(zoo(name), "canonical")
    folded = graphopt.optimize(zoo(name), "canonical,repeat{limit=8}(simplify,fold,infer-shapes)")
    counts = _zoo_counts(folded)
    assert counts.get("Shape", 0) <= 3
    assert counts["Reshape"] >= 1
    targets = [n.inputs[1] for n in folded.graph if n.op_type == "Reshape"]
    assert all(target is not None and target.const_value is not None for target in targets)
    before, after = run(canonical, feeds), run(folded, feeds)
    for output, array in before.items():
        np.testing.assert_array_equal(after[output], array)
