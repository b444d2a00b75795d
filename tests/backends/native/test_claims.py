"""What the native core takes and what it leaves to others, with the reason."""

from __future__ import annotations

import onnx.parser
import onnx_ir as ir
import pytest

from graphopt.backends.base import BuildOptions, RegionRefused
from graphopt.backends.native.backend import BACKEND
from tests.backends.native.plans import model_of
from tests.backends.native.whole import host


def _reasons(text: str) -> list[str]:
    """Why each node is refused; empty where it is claimed."""
    model = model_of(text)
    return [BACKEND.claims(node, host()).reason for node in model.graph if node.op_type != "Constant"]


def test_shapes_may_come_from_shapes_and_small_inputs() -> None:
    assert (
        _reasons(
            """ok (float[a,b] x, int64[2] target) => (y, z) {
             s = Shape (x)  two = Constant <value_ints = [2]> ()  d = Mul (s, two)
             z = Expand (x, d)  y = Reshape (x, target) }"""
        )
        == [""] * 4
    )


def test_shapes_may_not_come_from_data() -> None:
    (*_, why) = _reasons("data (float[a,b] x, int64[n] i) => (y) { y = Reshape (x, i) }")
    assert why == "a shape depends on the data in 'i'"
    (*_, why) = _reasons(
        "data (float[n] x) => (y) { m = ReduceSum (x)  k = Cast <to = 7> (m)  y = Expand (x, k) }"
    )
    assert "depends on the data in 'k'" in why


@pytest.mark.parametrize(
    ("node", "why"),
    [
        ("y = NonZero (x)", "it has no NonZero"),
        ("y = Cast <to = 8> (x)", "it has no string"),
        ("h = Cast <to = 10> (x) y = MatMul (h, h)", "its matmul computes in float32, not float16"),
        ("y, m = MaxPool <kernel_shape = [2, 2]> (x)", "its max pool gives no indices"),
        ('y = Einsum <equation = "abcc->abc"> (x)', "its einsum has no diagonals"),
    ],
)
def test_what_it_lacks_is_named(node: str, why: str) -> None:
    outputs = "y, m" if "m =" in node else "y"
    assert _reasons(f"lacks (float[1,1,4,4] x) => ({outputs}) {{ {node} }}")[-1] == why


def test_what_lies_between_quantisers_is_left_alone() -> None:
    reasons = _reasons(
        """qdq (uint8[1,4] q, float s, uint8 z, float[4,4] w, float[4,4] v)
               => (uint8[1,4] p, float[1,4] free) {
             x = DequantizeLinear (q, s, z)
             a = MatMul (x, w)
             r = Relu (a)
             p = QuantizeLinear (r, s, z)
             f = Cast <to = 1> (q)
             free = MatMul (f, v) }"""
    )
    assert [bool(reason) for reason in reasons] == [True, True, True, True, False, False]


def test_nothing_is_claimed_on_a_gpu() -> None:
    from graphopt.targets.parse import parse_target

    node = next(iter(model_of("g (float[1] x) => (y) { y = Exp (x) }").graph))
    assert "not cuda" in BACKEND.claims(node, parse_target("cuda:sm_80")).reason


def test_a_refusal_while_building_names_the_node() -> None:
    model = model_of("late (float[4] x) => (y) { y = NonZero (x) }")
    with pytest.raises(RegionRefused, match="NonZero") as caught:
        BACKEND.build(model, BuildOptions(host(), 1))
    assert caught.value.reasons == {"NonZero_0": "it has no NonZero"}


def test_branches_of_different_shapes_are_refused() -> None:
    (why,) = _reasons(
        """shapes (bool c, float[4] x, float[5] z) => (y) {
             y = If (c) <then_branch = t () => (float[4] p) { p = Exp (x) },
                         else_branch = e () => (float[5] q) { q = Exp (z) }> }"""
    )
    assert why == "its branches give results of equal shapes"


def test_old_opsets_are_refused() -> None:
    model = model_of("old (float[3,4,5] x) => (float[3,4,5] y) { y = Softmax (x) }", opset=11)
    (node,) = model.graph
    assert BACKEND.claims(node, host()).reason == "it knows operators from opset 13 on, not those of 11"
    with pytest.raises(RegionRefused, match="opset 13"):
        BACKEND.build(model, BuildOptions(host(), 1))


def test_a_constant_that_each_call_of_a_function_decides_is_claimed() -> None:
    model = ir.from_proto(
        onnx.parser.parse_model(
            """<ir_version: 10, opset_import: ["": 20, "own": 1]>
               calls (float[2,4] x) => (float[2,4] y) { y = own.Scale <by = 3.0> (x) }
               <domain: "own", opset_import: ["": 20]>
               Scale <by: float = 2.0> (x) => (y) {
                 n = Constant <value_float: float = @by> ()  y = Mul (x, n) }"""
        )
    )
    (function,) = model.functions.values()
    assert [BACKEND.claims(node, host()).reason for node in function] == ["", ""]
