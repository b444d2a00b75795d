"""Placing random graphs: a partition, an acyclic quotient, maximal parts, and the same answer."""

import networkx as nx
import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphopt.backends.base import Claim
from graphopt.backends.onnxruntime.runner import make_runner
from graphopt.errors import BackendError
from graphopt.ir.walk import inner_nodes
from graphopt.placement.dependencies import predecessors
from graphopt.placement.extract import extract_region
from graphopt.placement.place import place
from graphopt.placement.regions import merge_regions, quotient
from graphopt.targets.parse import parse_target

OPS = {"Add": 2, "Mul": 2, "Sub": 2, "Neg": 1, "Relu": 1, "Tanh": 1, "If": 1}
LEFT = {"Add", "Relu", "If"}
"""What the first of the two synthetic backends takes; the second takes the rest."""

CPU = parse_target("cpu:avx2")


class Synthetic:
    """A backend that claims operators by type, and any plain operator inside a branch."""

    def __init__(self, name, ops):
        self.name = name
        self._ops = ops

    def claims(self, node, target):
        inside = str(getattr(node.graph, "name", "")).startswith(("t", "e"))  # the branches of models()
        if node.op_type in self._ops or (inside and node.op_type in OPS):
            return Claim(True)
        return Claim(False, f"takes no {node.op_type}")


BACKENDS = (Synthetic("left", LEFT), Synthetic("right", set(OPS) - LEFT))


@st.composite
def models(draw, max_nodes=24):
    """A random graph over vectors: several inputs and outputs, a shared weight, captures, odd signatures."""
    values = ["x0", "x1", "w"]
    lines = []
    for index in range(draw(st.integers(0, max_nodes))):
        op = draw(st.sampled_from(sorted(OPS)))
        picks = [draw(st.sampled_from(values)) for _ in range(OPS[op])]
        name = f"v{index}"
        if op == "If":
            captured = draw(st.sampled_from(values))
            body = f"then_branch = t{index} () => (float[4] a{index}) {{ a{index} = Neg({picks[0]}) }}"
            other = f"else_branch = e{index} () => (float[4] b{index}) {{ b{index} = Add({captured}, w) }}"
            lines.append(f"[n{index}] {name} = If(c) <{body}, {other}>")
        else:
            lines.append(f"[n{index}] {name} = {op}({', '.join(picks)})")
        values.append(name)
    made = [v for v in values if v.startswith("v")]
    outputs = draw(st.lists(st.sampled_from(made), min_size=1, unique=True)) if made else []
    outputs += draw(st.lists(st.sampled_from(["w", "x1"]), max_size=2, unique=True))
    if not outputs:
        outputs = ["w"]
    signature = ", ".join(f"float[4] {name}" for name in outputs)
    text = (
        '<ir_version: 10, opset_import: ["" : 21]>\n'
        f"g (float[4] x0, float[4] x1, bool c) => ({signature})\n"
        "<float[4] w = {0.5, -1.5, 2.0, 0.25}> {\n" + "\n".join(lines) + "\n}"
    )
    return parse(text)


def parse(text):
    """A model whose every value is a float tensor, as shape inference would have found."""
    model = ir.from_onnx_text(text)
    for node in model.graph:
        node.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    return model


def run_by_regions(model, placement, feeds):
    """Compute the outputs as the runtime does: region after region, each a model of its own."""
    values = dict(feeds)
    for region in placement.regions:
        piece = extract_region(placement.model, region)
        assert [v.name for v in piece.graph.inputs] == list(region.inputs)
        assert [v.name for v in piece.graph.outputs] == list(region.outputs)
        runner = make_runner(piece, optimise=False, threads=1)
        values |= runner.run({name: values[name] for name in region.inputs})
    return {output.name: values[output.name] for output in model.graph.outputs}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(models(), st.integers(0, 2**32 - 1), st.booleans())
def test_region_by_region_equals_whole(model, seed, condition):
    rng = np.random.default_rng(seed)
    feeds = {
        "x0": rng.normal(size=4).astype("f"),
        "x1": rng.normal(size=4).astype("f"),
        "c": np.array(condition),
    }
    placement = place(model, BACKENDS, CPU)
    expected = make_runner(model, optimise=False, threads=1).run(feeds)
    actual = run_by_regions(model, placement, feeds)
    assert list(actual) == list(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value)


@settings(max_examples=150, deadline=None)
@given(models(max_nodes=40))
def test_regions_partition_the_nodes_and_run_in_order(model):
    placement = place(model, BACKENDS, CPU)
    nodes = list(model.graph)
    placed = [node for region in placement.regions for node in region.nodes]
    assert sorted(map(id, placed)) == sorted(map(id, nodes))
    available = {"x0", "x1", "c"}
    for region in placement.regions:
        assert available.issuperset(region.inputs)
        assert all((node.op_type in LEFT) == (region.backend == "left") for node in region.nodes)
        available.update(region.outputs)
    assert sum(row.nodes for row in placement.rows) == len(nodes)


@settings(max_examples=150, deadline=None)
@given(models(max_nodes=40))
def test_no_two_regions_could_be_one(model):
    nodes = list(model.graph)
    labels = [node.op_type in LEFT for node in nodes]
    before = predecessors(nodes)
    parts = merge_regions(nodes, labels)
    assert nx.is_directed_acyclic_graph(quotient(parts, before))
    for i in range(len(parts)):
        for j in range(i):
            if labels[parts[i][0]] == labels[parts[j][0]]:
                joined = [part for k, part in enumerate(parts) if k not in (i, j)] + [parts[i] + parts[j]]
                assert not nx.is_directed_acyclic_graph(quotient(joined, before))


def test_one_backend_makes_one_region_with_the_models_own_signature():
    model = parse(
        '<ir_version: 10, opset_import: ["" : 21]>\n'
        "g (float[4] x, float[4] unused) => (float[4] z, float[4] y) { y = Neg(x) z = Relu(x) }"
    )
    (region,) = place(model, [Synthetic("all", {"Neg", "Relu"})], CPU).regions
    assert region.inputs == ("x", "unused")
    assert region.outputs == ("z", "y")


def test_a_long_chain_of_alternating_backends_is_cut_at_every_change():
    lines = [f"v{i + 1} = {'Relu' if i % 2 else 'Neg'}(v{i})" for i in range(200)]
    model = parse(
        '<ir_version: 10, opset_import: ["" : 21]>\ng (float[4] v0) => (float[4] v200) {'
        + "\n".join(lines)
        + "}"
    )
    assert len(place(model, BACKENDS, CPU).regions) == 200


def test_nodes_out_of_order_are_placed_in_running_order():
    model = parse(
        '<ir_version: 10, opset_import: ["" : 21]>\n'
        "g (float[4] x) => (float[4] z) { a = Neg(x) b = Relu(a) z = Tanh(b) }"
    )
    first, *_ = model.graph
    model.graph.remove(first)
    model.graph.append(first)
    assert [node.op_type for region in place(model, BACKENDS, CPU).regions for node in region.nodes] == [
        "Neg",
        "Relu",
        "Tanh",
    ]


def test_rows_say_what_fell_back_and_why():
    model = parse(
        '<ir_version: 10, opset_import: ["" : 21]>\n'
        "g (float[4] x) => (float[4] z) { a = Relu(x) b = Neg(a) [tail] z = Tanh(b) }"
    )
    left, right = place(model, BACKENDS, CPU).rows
    assert (left.backend, left.nodes, left.regions, left.reason) == ("left", 1, 1, "")
    assert (right.backend, right.nodes, right.regions) == ("right", 2, 1)
    assert right.fell_back["left: takes no Tanh"] == ("tail",)
    assert right.to_json()["fell_back"]["left: takes no Tanh"] == ["tail"]


def test_strict_refuses_the_first_fallback_and_names_it():
    model = parse(
        '<ir_version: 10, opset_import: ["" : 21]>\ng (float[4] x) => (float[4] z) { [tail] z = Tanh(x) }'
    )
    with pytest.raises(BackendError, match=r"node 'tail' \(Tanh\) would fall back: left: takes no Tanh"):
        place(model, BACKENDS, CPU, strict=True)


def test_a_node_nobody_takes_is_named_with_every_reason():
    model = parse(
        '<ir_version: 10, opset_import: ["" : 21]>\ng (float[4] x) => (float[4] z) { [odd] z = Erf(x) }'
    )
    with pytest.raises(BackendError, match=r"'odd' \(Erf\): left: takes no Erf; right: takes no Erf"):
        place(model, BACKENDS, CPU)


FUNCTION = """
<ir_version: 10, opset_import: ["" : 21, "local" : 1]>
g (float[4] x, bool c) => (float[4] z) {
  a = local.both(x)
  z = If(c) <then_branch = t () => (p) { p = local.both(a) }, else_branch = e () => (q) { q = Neg(a) }>
}
<domain: "local", opset_import: ["" : 21]> both (x) => (y) { h = Relu(x) y = Neg(h) }
"""


def test_a_function_nobody_claims_is_inlined_and_its_nodes_are_placed():
    model = parse(FUNCTION)
    placement = place(model, BACKENDS, CPU)
    assert not placement.model.functions
    assert len(model.functions) == 1, "the model itself must not change"
    assert [n.op_type for region in placement.regions for n in region.nodes] == ["Relu", "Neg", "If"]


def test_a_claimed_function_stays_a_call_and_comes_along():
    model = parse(FUNCTION)
    placement = place(model, [Synthetic("calls", {"both"}), *BACKENDS], CPU)
    first, *_ = placement.regions
    assert [node.op_type for node in first.nodes] == ["both"]
    piece = extract_region(placement.model, first)
    assert len(piece.functions) == 1
    (branch,) = [node for region in placement.regions for node in region.nodes if node.op_type == "If"]
    # Nobody takes a branch with such a call inside, so there it is inlined.
    assert [inner.op_type for inner in inner_nodes(branch)] == ["Relu", "Neg", "Neg"]


def test_a_node_with_a_branch_nobody_takes_is_taken_by_nobody():
    model = parse(FUNCTION.replace("q = Neg(a)", "q = Sin(a)"))
    with pytest.raises(BackendError, match="takes no Sin"):
        place(model, BACKENDS, CPU)


def test_a_call_whose_body_one_backend_takes_stays_a_call():
    """So that the backend's legalisation sees it, in branches too."""
    everything = Synthetic("all", set(OPS))
    placement = place(parse(FUNCTION), [everything], CPU)
    (region,) = placement.regions
    assert [node.op_type for node in region.nodes] == ["both", "If"]
    assert [inner.op_type for inner in inner_nodes(region.nodes[1])] == ["both", "Neg"]


def test_a_call_written_for_another_opset_is_refused():
    model = parse(FUNCTION.replace('local", opset_import: ["" : 21]', 'local", opset_import: ["" : 13]'))
    with pytest.raises(BackendError, match="written for other opsets"):
        place(model, [Synthetic("all", set(OPS))], CPU)


def test_a_shared_weight_is_in_every_region_that_reads_it():
    model = parse(
        '<ir_version: 10, opset_import: ["" : 21]>\n'
        "g (float[2] x) => (float[2] z) <float[2] w = {1.0, 2.0}> { a = Add(x, w) z = Mul(a, w) }"
    )
    placement = place(model, BACKENDS, CPU)
    pieces = [extract_region(placement.model, region) for region in placement.regions]
    tensors = {id(piece.graph.initializers["w"].const_value) for piece in pieces}
    assert len(pieces) == 2
    assert len(tensors) == 1
