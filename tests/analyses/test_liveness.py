"""Liveness against a quadratic count, and against graphs small enough to count by hand."""

from __future__ import annotations

import onnx
import onnx_ir as ir
from hypothesis import given

from graphopt.ir.analyses.bytes import is_view
from graphopt.ir.analyses.liveness import liveness, peak_activation_bytes
from tests.analyses.graphs import chain, recipes, unhurried


def brute_force(model: ir.Model) -> tuple[int, ...]:
    """Bytes alive while each node runs: a memory counts from its first writer to its last reader."""
    nodes = list(model.graph)
    memory = {v: v for v in model.graph.inputs}
    for node in nodes:
        source = node.inputs[0] if is_view(node) else None
        for v in node.outputs:
            memory[v] = memory.get(source, v) if source is not None else v
    born = dict.fromkeys(model.graph.inputs, 0)
    dies = dict.fromkeys(model.graph.inputs, -1)
    for index, node in enumerate(nodes):
        for v in node.outputs:
            born.setdefault(memory[v], index)
            dies[memory[v]] = max(dies.get(memory[v], -1), index)
        for v in node.inputs:
            if v in memory:
                dies[memory[v]] = index
    for v in model.graph.outputs:
        dies[memory[v]] = len(nodes)
    alive = []
    for index in range(len(nodes)):
        # An input nobody reads is still there while the model runs its first nodes: it never dies early.
        held = [m for m in set(memory.values()) if born[m] <= index and (dies[m] >= index or dies[m] == -1)]
        alive.append(16 * len(held))
    return tuple(alive)


@unhurried
@given(recipes())
def test_agrees_with_a_quadratic_count(recipe: object) -> None:
    model = recipe.build()  # type: ignore[attr-defined]
    result = liveness(model)
    assert result.live_bytes == brute_force(model)
    assert result.peak_bytes == max(result.live_bytes)


def test_a_chain_holds_two_values() -> None:
    assert peak_activation_bytes(chain(50)) == 2 * 16


def test_unknown_sizes_are_said() -> None:
    model = ir.from_onnx_text(
        '<ir_version: 10, opset_import: ["" : 20]> g (float[N] x) => (float[N] y) { y = Relu(x) }'
    )
    assert peak_activation_bytes(model) is None
    assert liveness(model).unknown == 2
    assert peak_activation_bytes(model, {"N": 3}) == 24


def test_captured_values_stay_alive_and_bodies_add() -> None:
    text = """<ir_version: 10, opset_import: ["" : 20]>
    g (bool c, float[4] x) => (float[4] y) {
      a = Relu(x)
      b = Neg(x)
      y = If(c) <then_branch = t () => (float[4] p) { q = Abs(a)  p = Add(q, b) },
                 else_branch = e () => (float[4] r) { r = Relu(b) }>
    }"""
    model = ir.from_proto(onnx.shape_inference.infer_shapes(onnx.parser.parse_model(text)))
    # While If runs: c, a, b, y and, in the dearer branch, q and p.
    assert liveness(model).live_bytes[-1] == 1 + 16 * 3 + 16 * 2


def test_long_chains_need_no_recursion() -> None:
    assert peak_activation_bytes(chain(20_000)) == 32
