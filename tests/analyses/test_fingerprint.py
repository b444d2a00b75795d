"""What the fingerprint must not see, and what it must."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphopt.errors import ModelError
from graphopt.ir.fingerprint import fingerprint, tensor_digest
from tests.analyses.graphs import Recipe, Step, chain, recipes, unhurried

HEADER = '<ir_version: 10, opset_import: ["" : 20]>'


def parsed(text: str, header: str = HEADER) -> ir.Model:
    return ir.from_proto(onnx.parser.parse_model(f"{header} {text}"))


@unhurried
@given(recipes(), st.randoms(use_true_random=False))
def test_names_and_node_order_leave_no_trace(recipe: Recipe, random: object) -> None:
    order = list(range(len(recipe.steps)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert fingerprint(recipe.build()) == fingerprint(recipe.build("renamed_", tuple(order)))


@unhurried
@given(recipes(), st.data())
def test_every_change_of_an_operator_or_operand_shows(recipe: Recipe, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(recipe.steps) - 1))
    step = recipe.steps[index]
    other = Step("Sqrt" if len(step.reads) == 1 else "Div", step.reads)
    changed = Recipe(
        recipe.inputs,
        recipe.weights,
        (*recipe.steps[:index], other, *recipe.steps[index + 1 :]),
        recipe.outputs,
    )
    assert fingerprint(recipe.build()) != fingerprint(changed.build())


@unhurried
@given(recipes())
def test_input_shapes_show(recipe: Recipe) -> None:
    assert fingerprint(recipe.build()) != fingerprint(recipe.build(shape=(5,)))


BASE = (
    "g (float[N,2] x, float[N,2] z) => (float[N,2] y) <float[2] w = {1, 2}> { a = Sub(x, z)  y = Add(a, w) }"
)


@pytest.mark.parametrize(
    "other",
    [
        BASE.replace("{1, 2}", "{1, 3}"),  # a weight
        BASE.replace("{1, 2}", "{2, 1}"),
        BASE.replace("Sub(x, z)", "Sub(z, x)"),  # operand order
        BASE.replace("[N,2]", "[M,2]"),  # a symbol
        BASE.replace("(float[N,2] x, float[N,2] z)", "(float[N,2] z, float[N,2] x)"),  # input order
        BASE.replace("x", "renamed_input"),
        BASE.replace("y", "renamed_output"),
        BASE.replace("float", "double"),
        BASE.replace("a = Sub(x, z)", "a = Sub(x, z)  b = Sub(x, z)"),  # a dead duplicate
        BASE.replace("float[2] w = {1, 2}", "float[2] w = {1, 2}, float[2] unused = {1, 2}"),
        BASE.replace("y = Add(a, w)", "b = Neg(a)  y = Add(b, w)"),
    ],
)
def test_what_computes_differently_shows(other: str) -> None:
    assert fingerprint(parsed(BASE)) != fingerprint(parsed(other))


def test_opset_shows_and_two_spellings_of_the_domain_are_one() -> None:
    assert fingerprint(parsed(BASE)) != fingerprint(parsed(BASE, '<ir_version: 10, opset_import: ["" : 21]>'))
    spelled = parsed(BASE, '<ir_version: 10, opset_import: ["ai.onnx" : 20]>')
    assert fingerprint(parsed(BASE)) == fingerprint(spelled)


@pytest.mark.parametrize("other", ["axis = 1", "axis = -1"])
def test_attributes_show(other: str) -> None:
    text = "g (float[2,3] x) => (float[2,3] y) { y = Softmax<axis = 0>(x) }"
    assert fingerprint(parsed(text)) != fingerprint(parsed(text.replace("axis = 0", other)))


def test_negative_zero_is_another_weight() -> None:
    assert tensor_digest(ir.tensor(np.array([0.0]))) != tensor_digest(ir.tensor(np.array([-0.0])))


def test_where_a_tensor_lies_leaves_no_trace(tmp_path: Path) -> None:
    model = parsed(BASE)
    before = fingerprint(model)
    ir.save(model, tmp_path / "m.onnx", external_data="weights.bin", size_threshold_bytes=0)
    assert isinstance(ir.load(tmp_path / "m.onnx").graph.initializers["w"].const_value, ir.ExternalTensor)
    assert fingerprint(ir.load(tmp_path / "m.onnx")) == before


def test_packed_and_unpacked_storage_are_one() -> None:
    values = np.array([1, -3, 7], dtype=np.int8)
    packed = onnx.helper.make_tensor("t", onnx.TensorProto.INT4, [3], values)
    raw = onnx.helper.make_tensor("t", onnx.TensorProto.INT4, [3], bytes([0xD1, 0x07]), raw=True)
    digests = {tensor_digest(ir.from_proto(t)) for t in (packed, raw)}
    assert len(digests) == 1


BRANCHES = """g (bool c, float[2] x) => (float[2] y) {
  a = Relu(x)
  y = If(c) <then_branch = t () => (float[2] p) { p = Neg(a) },
             else_branch = e () => (float[2] q) { q = Abs(x) }>
}"""


@pytest.mark.parametrize("change", [("Neg(a)", "Neg(x)"), ("Abs(x)", "Abs(a)"), ("Abs", "Sqrt")])
def test_captures_and_bodies_show(change: tuple[str, str]) -> None:
    assert fingerprint(parsed(BRANCHES)) != fingerprint(parsed(BRANCHES.replace(*change)))


def test_names_inside_subgraphs_leave_no_trace() -> None:
    renamed = BRANCHES.replace(" p", " other").replace("(float[2] other)", "(float[2] other)")
    assert fingerprint(parsed(BRANCHES)) == fingerprint(parsed(renamed.replace(" q", " third")))


def test_swapped_defaults_of_inputs_show() -> None:
    text = "g (float[1] x = {1}, float[1] z = {2}) => (float[1] y) { y = Add(x, z) }"
    swapped = text.replace("{1}", "{9}").replace("{2}", "{1}").replace("{9}", "{2}")
    assert fingerprint(parsed(text)) != fingerprint(parsed(swapped))


def test_function_bodies_show() -> None:
    text = """g (float[2] x) => (float[2] y) { y = local.F<k = 2>(x) }
      <domain: "local", opset_import: ["" : 20]> F<k>(a) => (b) { b = Relu(a) }"""
    header = '<ir_version: 10, opset_import: ["" : 20, "local" : 1]>'
    base = fingerprint(parsed(text, header))
    assert base != fingerprint(parsed(text.replace("Relu", "Abs"), header))
    assert base != fingerprint(parsed(text.replace("k = 2", "k = 3"), header))
    assert base == fingerprint(parsed(text.replace("(a)", "(r)"), header))


def test_long_chains_need_no_recursion() -> None:
    assert fingerprint(chain(20_000)) != fingerprint(chain(19_999))


def test_a_cycle_is_an_error() -> None:
    model = parsed("g (float[2] x) => (float[2] y) { a = Add(x, x)  y = Relu(a) }")
    first, last = model.graph
    first.replace_input_with(1, last.outputs[0])
    with pytest.raises(ModelError, match="cycle"):
        fingerprint(model)


def test_digests_are_reused_while_tensors_live() -> None:
    model, digests = parsed(BASE), {}
    assert fingerprint(model, digests) == fingerprint(model, digests)
    assert len(digests) == 1
