"""Names of dims through inference: one size gets one name, and different sizes never share one."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.ir.dims import same_dim
from graphopt.ir.shapes import infer_shapes


def _shapes(text: str) -> dict[str, list[str | int]]:
    model = ir.from_onnx_text(f'<ir_version: 10, opset_import: ["" : 21]> {text}')
    infer_shapes(model)
    values = [value for node in model.graph for value in node.outputs]
    return {str(v.name): [d if isinstance(d, int) else str(d) for d in v.shape or ()] for v in values}


def test_the_same_dims_broadcast_to_the_same_size():
    found = _shapes(
        """g (float[N, 1] x, float[M] z, float[M] v) => (float[A, B] y) {
        a = Add (x, z) b = Mul (v, x) p = Relu (z) c = Sub (p, v) y = Add (a, b) }"""
    )
    assert found["a"] == found["b"] == found["y"] == ["N", "M"]
    assert found["c"] == ["M"]


def test_what_unrelated_dims_broadcast_to_has_one_name_of_its_own():
    found = _shapes(
        """g (float[N] x, float[M] z, float[K] k) => (float[A] y, float[B] v) {
        a = Add (x, z) b = Mul (z, x) c = Add (a, x) d = Add (x, k) y = Add (b, c) v = Neg (d) }"""
    )
    assert found["a"] == found["b"] == found["c"] == found["y"]
    assert found["a"] not in (["N"], ["M"], found["d"])


def test_a_slice_of_at_most_so_many_broadcasts_with_the_dim_it_is_cut_to():
    """Position ids: the table has 512 rows, the sentence N words; either there are as many or it fails."""
    found = _shapes(
        """g (float[2, N] x, float[1, 512] table) => (float[A, B] y)
        <int64[1] zero = {0}, int64[1] axis = {1}>
        { n = Shape <start = 1, end = 2> (x) rows = Slice (table, zero, n, axis) y = Add (x, rows) }"""
    )
    assert found["y"] == [2, "N"]


def test_constants_of_a_computed_shape():
    found = _shapes(
        """g (float[N, 3] x) => (float[A, B] y) {
        h = Relu (x) s = Shape (h) r = ConstantOfShape (s)
        l = NonZero (x) k = Shape (l) m = ConstantOfShape (k)
        y = Add (r, x) }"""
    )
    assert found["r"] == found["y"] == ["N", 3]
    assert found["m"] == found["l"]


def test_members_of_a_sequence_do_not_share_their_sizes():
    model = ir.from_onnx_text(
        """<ir_version: 10, opset_import: ["" : 21]>
        g (seq(float[H, 3]) s, float[H] x) => (float[A, B] a, float[C, D] b) <int64 i = {0}, int64 j = {1}>
        { p = SequenceAt (s, i) q = SequenceAt (s, j) a = Relu (p) b = Relu (q) c = Neg (x) }"""
    )
    infer_shapes(model)
    found = {v.name: v.shape for node in model.graph for v in node.outputs}
    assert found["a"] is not None
    assert found["b"] is not None
    assert found["c"] is not None
    assert not same_dim(found["a"][0], found["b"][0])
    assert not same_dim(found["a"][0], found["c"][0])
    assert found["a"][1] == found["b"][1] == 3
    assert str(found["c"][0]) == "H"
