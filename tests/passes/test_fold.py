"""Folding passes: what they fold, what they must leave, and that the answer stays the same bits."""

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from graphopt.passes.fold import DeadCode, FoldConstants, MergeDuplicates
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.manager import PassManager

HEADER = '<ir_version: 10, opset_import: ["" : 21]>'


def _model(text: str) -> ir.Model:
    return ir.from_onnx_text(f"{HEADER} {text}")


def _weight(model: ir.Model, name: str, array: np.ndarray) -> None:
    """Turn the input ``name`` into an initializer: ONNX text has no room for large ones."""
    (value,) = [v for v in model.graph.inputs if v.name == name]
    model.graph.inputs.remove(value)
    value.const_value = ir.tensor(array, name=name)
    model.graph.register_initializer(value)


def _ops(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def _run(model: ir.Model, **feeds: np.ndarray) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    data = ir.to_proto(model).SerializeToString()
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"]).run(None, feeds)


def _optimise(model: ir.Model, *passes: object, **context: object) -> PassContext:
    ctx = PassContext(**context)
    PassManager(passes or (FoldConstants(), DeadCode())).run(model, ctx)
    return ctx


def test_a_chain_of_constants_folds_to_one_initializer_of_the_same_bits():
    model = _model(
        """g (float[2,2] x) => (float[2,2] y)
        <float[2,2] a = {1.1, 2.2, 3.3, 4.4}, float[2,2] b = {0.1, 0.2, 0.3, 0.4}>
        { c = Mul(a, b) d = Sqrt(c) e = Add(d, a) y = MatMul(x, e) }"""
    )
    x = np.random.default_rng(0).standard_normal((2, 2)).astype(np.float32)
    before = _run(model, x=x)
    _optimise(model)
    assert _ops(model) == ["MatMul"]
    assert list(model.graph.initializers) == ["e"]
    np.testing.assert_array_equal(_run(model, x=x)[0], before[0])


def test_an_initializer_that_is_also_an_input_is_not_a_constant():
    model = _model(
        """g (float[2] x, float[2] a) => (float[2] y) <float[2] a = {1.0, 2.0}>
        { b = Sqrt(a) y = Add(x, b) }"""
    )
    _optimise(model)
    assert _ops(model) == ["Sqrt", "Add"]


def test_random_operators_and_graph_outputs_stay():
    model = _model(
        """g (float[2] x) => (float[2] y, float[2] z) <float[2] a = {1.0, 2.0}>
        { r = RandomNormalLike(a) y = Add(x, r) z = Sqrt(a) }"""
    )
    _optimise(model)
    assert _ops(model) == ["RandomNormalLike", "Add", "Sqrt"]


def test_compressed_weights_stay_compressed():
    model = _model(
        """g (float[4,8] x, int8[8,4] w) => (float[4,4] y) <float s = {0.1}>
        { f = DequantizeLinear(w, s) y = MatMul(x, f) }"""
    )
    _weight(model, "w", np.arange(32, dtype=np.int8).reshape(8, 4))
    _optimise(model)
    assert "DequantizeLinear" in _ops(model)


def test_a_giant_behind_constant_of_shape_stays_symbolic():
    model = _model(
        """g (float[1] x) => (float[4096,4096] y) <int64[2] s = {4096, 4096}>
        { big = ConstantOfShape(s) y = Add(x, big) }"""
    )
    ctx = _optimise(model)
    assert _ops(model) == ["ConstantOfShape", "Add"]
    assert model.graph.initializers["s"].const_value.nbytes == 16
    assert ctx.rewrites == {}


def test_a_growing_operator_of_known_size_is_refused_with_its_bytes():
    model = _model(
        """g (float[1] x) => (float[1024,1024] y) <int64[2] s = {1024, 1024}>
        { big = ConstantOfShape(s) y = Add(x, big) }"""
    )
    big = model.graph.node(0).outputs[0]
    big.shape, big.dtype = ir.Shape([1024, 1024]), ir.DataType.FLOAT
    ctx = _optimise(model, fold_budget_bytes=1 << 20)
    assert _ops(model) == ["ConstantOfShape", "Add"]
    assert [r.reason for r in ctx.remarks if r.pass_name == "fold-constants"] == [
        "the folded value has 4194304 bytes, its inputs 16"
    ]


def test_a_small_value_folds_though_the_large_one_it_is_computed_from_stays():
    model = _model(
        """g (float[1] x) => (float[1024,1024] y) <int64[2] s = {1024, 1024}>
        { big = ConstantOfShape(s) sum = ReduceSum <keepdims = 0> (big) z = Add(x, sum) y = Add(z, big) }"""
    )
    big = model.graph.node(0).outputs[0]
    big.shape, big.dtype = ir.Shape([1024, 1024]), ir.DataType.FLOAT
    _optimise(model, fold_budget_bytes=1 << 20)
    assert _ops(model) == ["ConstantOfShape", "Add", "Add"]
    assert model.graph.initializers["sum"].const_value.numpy() == 0


def test_a_weight_used_twice_is_not_copied_but_one_used_once_is_transposed():
    text = """g (float[300,400] x, float[400,300] w) => (float[300,300] y {extra_out})
        {{ t = Transpose(w) u = Transpose(x) y = MatMul(x, w) {extra} }}"""
    weight = np.ones((400, 300), np.float32)

    shared = _model(text.format(extra_out=", float[400,400] z", extra="z = MatMul(u, t)"))
    _weight(shared, "w", weight)
    shared.graph.node(0).outputs[0].shape = ir.Shape([300, 400])
    shared.graph.node(0).outputs[0].dtype = ir.DataType.FLOAT
    _optimise(shared, fold_budget_bytes=1000)
    assert _ops(shared).count("Transpose") == 2

    alone = _model(
        "g (float[2,300] x, float[400,300] w) => (float[2,400] y) { t = Transpose(w) y = MatMul(x, t) }"
    )
    _weight(alone, "w", weight)
    _optimise(alone, fold_budget_bytes=0)
    assert _ops(alone) == ["MatMul"]
    assert alone.graph.initializers["t"].const_value.shape == (300, 400)


def test_constants_inside_a_subgraph_fold_there():
    model = _model(
        """g (bool c, float[2] x) => (float[2] y) <float[2] a = {4.0, 9.0}>
        { y = If (c) <
            then_branch = t () => (float[2] p) { s = Sqrt(a) p = Add(x, s) },
            else_branch = e () => (float[2] q) { q = Neg(x) }
        > }"""
    )
    x = np.array([1, 2], np.float32)
    _optimise(model)
    then = model.graph.node(0).attributes["then_branch"].as_graph()
    assert [node.op_type for node in then] == ["Add"]
    np.testing.assert_array_equal(_run(model, c=np.array(True), x=x)[0], np.array([3, 5], np.float32))


def test_one_node_that_cannot_be_evaluated_does_not_stop_the_others():
    model = _model(
        """g (float[2] x) => (float[2] y) <float[2] a = {1.0, 4.0}, int64[1] bad = {7}>
        { s = Sqrt(a) g = Gather(a, bad) t = Add(x, s) y = Add(t, g) }"""
    )
    ctx = _optimise(model)
    assert _ops(model) == ["Gather", "Add", "Add"]
    assert any("could not be evaluated" in r.reason for r in ctx.remarks)


def test_dead_code_frees_what_only_dead_subgraphs_captured():
    model = _model(
        """g (bool c, float[2] x) => (float[2] y) <float[2] a = {1.0, 2.0}>
        { k = Sqrt(a)
          dead = If (c) <
            then_branch = t () => (float[2] p) { p = Add(x, k) },
            else_branch = e () => (float[2] q) { q = Neg(x) }
          >
          y = Relu(x) }"""
    )
    _optimise(model, DeadCode())
    assert _ops(model) == ["Relu"]
    assert not model.graph.initializers
    assert [v.name for v in model.graph.inputs] == ["c", "x"]


def test_duplicates_merge_in_chains_and_outputs_keep_their_names():
    model = _model(
        """g (float[2] x) => (float[2] y, float[2] z)
        { a = Relu(x) b = Relu(x) c = Exp(a) d = Exp(b) e = Add(c, d) y = Neg(e) z = Neg(e) }"""
    )
    _optimise(model, MergeDuplicates())
    assert _ops(model) == ["Relu", "Exp", "Add", "Neg", "Neg"]
    assert [v.name for v in model.graph.outputs] == ["y", "z"]


@pytest.mark.parametrize(
    "body",
    [
        "a = LeakyRelu<alpha=0.1>(x) b = LeakyRelu<alpha=0.2>(x) y = Add(a, b)",
        "a = Dropout(x) b = Dropout(x) y = Add(a, b)",
        "a = Sub(x, w) b = Sub(w, x) y = Add(a, b)",
        "a = RandomNormalLike(x) b = RandomNormalLike(x) y = Add(a, b)",
    ],
)
def test_what_differs_is_not_merged(body):
    model = _model(f"g (float[2] x, float[2] w) => (float[2] y) {{ {body} }}")
    before = len(model.graph)
    _optimise(model, MergeDuplicates())
    assert len(model.graph) == before


def test_initializers_of_equal_bytes_merge_and_equal_values_of_other_types_do_not():
    model = _model(
        """g (float[2] x) => (float[2] y)
        <float[2] a = {1.0, 2.0}, float[2] b = {1.0, 2.0}, float[2] c = {2.0, 1.0}>
        { p = Add(x, a) q = Mul(p, b) y = Sub(q, c) }"""
    )
    _optimise(model, MergeDuplicates())
    assert sorted(model.graph.initializers) == ["a", "c"]


def test_a_folded_scalar_stays_a_scalar():
    """Range, Dropout and others refuse one element in a row where they want a number."""
    model = _model(
        """g (float[4] x) => (int64[N] r) <int64[2] sizes = {5, 6}, int64 zero = {0}, int64 one = {1}>
        { k = Gather(sizes, zero) r = Range(zero, k, one) }"""
    )
    _optimise(model, FoldConstants(), DeadCode())
    assert _ops(model) in ([], ["Range"])
    assert all(v.const_value.shape.rank() == 0 for n, v in model.graph.initializers.items() if n == "k")
    np.testing.assert_array_equal(_run(model, x=np.zeros(4, np.float32))[0], np.arange(5))


def test_a_weight_cut_into_pieces_and_put_together_in_another_order_is_one_weight():
    """All of its bytes go, though two nodes read it: the model does not grow."""
    model = _model(
        """g (float[2,4] x, float[4,1000] w) => (float[2,1000] y)
        <int64[1] zero = {0}, int64[1] half = {500}, int64[1] end = {1000}, int64[1] axis = {1}>
        { a = Slice(w, zero, half, axis) b = Slice(w, half, end, axis)
          v = Concat<axis=1>(b, a) y = MatMul(x, v) }"""
    )
    _weight(model, "w", np.random.default_rng(0).standard_normal((4, 1000)).astype(np.float32))
    x = np.random.default_rng(1).standard_normal((2, 4)).astype(np.float32)
    before = _run(model, x=x)
    _optimise(model, FoldConstants(), DeadCode(), fold_budget_bytes=0)
    assert _ops(model) == ["MatMul"]
    np.testing.assert_array_equal(_run(model, x=x)[0], before[0])


def test_a_weight_that_something_else_reads_whole_is_not_cut():
    model = _model(
        """g (float[2,4] x, float[4,1000] w) => (float[2,500] y, float[2,1000] z)
        <int64[1] zero = {0}, int64[1] half = {500}, int64[1] axis = {1}>
        { a = Slice(w, zero, half, axis) y = MatMul(x, a) z = MatMul(x, w) }"""
    )
    _weight(model, "w", np.random.default_rng(0).standard_normal((4, 1000)).astype(np.float32))
    _optimise(model, FoldConstants(), DeadCode(), fold_budget_bytes=0)
    assert _ops(model) == ["Slice", "MatMul", "MatMul"]
