"""A model as nodes and edges."""

from __future__ import annotations

import onnx
import onnx_ir as ir
from hypothesis import given

from graphopt.report import graph_view as module
from graphopt.report.graph_view import graph_view
from tests.analyses.graphs import Recipe, chain, recipes, unhurried
from tests.report.sample import BEFORE, model


def test_nodes_edges_and_constants() -> None:
    view = graph_view(model(BEFORE), {"N": 2}, {"act": "some-pass"})
    assert [n["op"] for n in view["nodes"]] == ["Input", "Identity", "MatMul", "Add", "Relu", "Output"]
    assert view["edges"] == [[0, 1, 0], [1, 2, 0], [2, 3, 0], [3, 4, 0], [4, 5, 0]]
    matmul, relu = view["nodes"][2], view["nodes"][4]
    assert matmul == {
        "name": "matmul", "op": "MatMul", "outs": ["m: float32[N,4]"], "flops": 2 * 2 * 8 * 4,
        "consts": ["w: float32[8,4]"],
    }  # fmt: skip
    assert relu["by"] == "some-pass"


@unhurried
@given(recipes())
def test_edges_are_the_operands(recipe: Recipe) -> None:
    built = recipe.build()
    view = graph_view(built)
    assert all(a < b < len(view["nodes"]) for a, b, _ in view["edges"])
    operands = {
        (v, node) for node in built.graph for v in node.inputs if v is not None and v.const_value is None
    }
    assert len(view["edges"]) == len(operands) + len(built.graph.outputs)


def test_subgraphs_stand_before_their_node() -> None:
    text = """<ir_version: 10, opset_import: ["" : 20]>
    g (bool c, float[4] x) => (float[4] y) {
      a = Relu(x)
      [branch] y = If(c) <then_branch = t () => (float[4] p) { p = Neg(a) },
                          else_branch = e () => (float[4] q) { q = Abs(x) }> }"""
    view = graph_view(ir.from_proto(onnx.parser.parse_model(text)))
    ops = [n["op"] for n in view["nodes"]]
    scopes = {n["op"]: n.get("scope", "") for n in view["nodes"]}
    assert scopes["Neg"] == "branch.then_branch"
    edges = {(ops[a], ops[b]) for a, b, _ in view["edges"]}
    assert {("Relu", "Neg"), ("Neg", "If"), ("Abs", "If"), ("Input", "Abs"), ("If", "Output")} <= edges


def test_functions_bring_their_text() -> None:
    text = """<ir_version: 10, opset_import: ["" : 20, "local" : 1]>
      g (float[2] x) => (float[2] y) { y = local.F(x) }
      <domain: "local", opset_import: ["" : 20]> F (a) => (b) { b = Relu(a) }"""
    view = graph_view(ir.from_proto(onnx.parser.parse_model(text)))
    assert view["nodes"][1]["op"] in view["functions"]
    assert "Relu(%a)" in view["functions"]["local::F"]


def test_endless_graphs_are_cut(monkeypatch: object) -> None:
    monkeypatch.setattr(module, "MAX_NODES", 100)  # type: ignore[attr-defined]
    view = graph_view(chain(20_000))
    assert len(view["nodes"]) <= 101
    assert view["omitted"] + len(view["nodes"]) == 20_003
