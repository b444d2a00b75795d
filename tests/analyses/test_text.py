"""The text of a model: readable, stable, safe on a terminal."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphopt.ir.tensor_text import shape_text, tensor_text, word
from graphopt.ir.text import print_model, print_node
from tests.analyses.graphs import Recipe, chain, recipes, unhurried

MODEL = """
<ir_version: 10, opset_import: ["" : 20, "local" : 1], producer_name: "a tool",
 metadata_props: ["who" : "me"]>
main (float[N,3] x, bool c) => (float[N,3] y)
<float[3] w = {1, -0.5, 3}, float[10] big = {0,1,2,3,4,5,6,7,8,9}> {
  [first] h = Add(x, w)
  t = Cast<to = 10>(h)
  k = Clip(h, , w)
  y = If(c) <then_branch = yes () => (float[N,3] p) { p = local.Twice(h) },
             else_branch = no () => (float[N,3] q) { q = Softmax<axis = -1>(h) }>
}
<domain: "local", opset_import: ["" : 20]> Twice (a) => (b) { b = Add(a, a) }
"""

EXPECTED = """\
model ir_version=10 producer="a tool"
opset {ai.onnx: 20, local: 1}
metadata {who: "me"}

graph main (%x: float32[N,3], %c: bool[]) -> (%y: float32[N,3]) {
  %w: float32[3] = weight {1, -0.5, 3}
  %big: float32[10] = weight {mean 4.5, std 2.872, in [0, 9]}
  %h: ?[*] = Add(%x, %w)  # first
  %t: ?[*] = Cast(%h) {to=float16}
  %k: ?[*] = Clip(%h, none, %w)
  %y: float32[N,3] = If(%c) {else_branch=graph(1), then_branch=graph(1)}
    else_branch:
      graph no () -> (%q: float32[N,3]) {
        %q: float32[N,3] = Softmax(%h) {axis=-1}
      }
    then_branch:
      graph yes () -> (%p: float32[N,3]) {
        %p: float32[N,3] = local::Twice(%h)
      }
}

function local::Twice opset {ai.onnx: 20} (%a: ?[*]) -> (%b: ?[*]) {
  %b: ?[*] = Add(%a, %a)
}
"""


def test_a_whole_model() -> None:
    assert print_model(ir.from_proto(onnx.parser.parse_model(MODEL))) == EXPECTED


@unhurried
@given(recipes())
def test_one_line_per_node_and_stable(recipe: Recipe) -> None:
    model = recipe.build()
    text = print_model(model)
    assert text == print_model(recipe.build())
    assert sum(" = " in line and "weight" not in line for line in text.splitlines()) == len(model.graph)


@unhurried
@given(st.text(min_size=1))
def test_hostile_names_stay_on_their_line(name: str) -> None:
    node = ir.Node("", "Relu", [ir.Value(name=name)], name=name)
    assert print_node(node).isprintable()
    assert word(name).isprintable()


def test_hostile_dims_and_metadata() -> None:
    assert shape_text(ir.Shape(["a\x1b[31m", "x\ny", None, "floor(N/2)"])) == "[a??31m,x?y,?,floor(N/2)]"


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.array(2.5), "{2.5}"),
        (np.array([], np.float32), "{}"),
        (np.array([True, False]), "{true, false}"),
        (np.array([1, np.nan] * 8), "{mean 1, std 0, in [1, 1], 8 not finite}"),
        (np.arange(10, dtype=np.int8), "{mean 4.5, std 2.872, in [0, 9]}"),
        (np.ones(16, bool), "{16 of 16 true}"),
        (np.full(9, np.inf), "{9 not finite}"),
    ],
)
def test_tensors(array: np.ndarray, text: str) -> None:
    assert tensor_text(ir.tensor(array)) == text


def test_without_statistics_large_weights_are_not_read() -> None:
    def explode() -> ir.TensorProtocol:
        raise AssertionError("read")

    lazy = ir.LazyTensor(explode, dtype=ir.DataType.FLOAT, shape=ir.Shape([100]), name="w")
    assert tensor_text(lazy, statistics=False) == "{…}"


def test_long_models_print_in_one_go() -> None:
    assert print_model(chain(20_000)).count("Relu") == 20_000
