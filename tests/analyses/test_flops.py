"""FLOPs against published numbers, brute-force counts and decompositions into simpler operators."""

from __future__ import annotations

import itertools
from pathlib import Path

import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphopt.ir.analyses.flops import model_flops, node_flops
from graphopt.ir.analyses.formulas.table import FORMULAS
from tests.analyses.graphs import unhurried

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"

# Multiply-adds in units of 10^9 as papers and model zoos print them (one image of 224x224), to two digits.
PUBLISHED = {
    "resnet50": 4.1,  # He et al., 2016, figure 3 and table 1: 3.8 without projections; torchvision: 4.09
    "vgg19": 19.6,  # He et al., 2016, figure 3
    "densenet121": 2.9,  # torchvision: 2.83
    "squeezenet": 0.35,  # SqueezeNet 1.1, torchvision: 0.35
    "inception_v1": 1.43,  # Szegedy et al., 2015: about 1.5
    "shufflenet": 0.13,  # Zhang et al., 2018: 0.14 for g = 3 without the classifier's rounding
}


def model(text: str) -> ir.Model:
    proto = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 23, "com.microsoft" : 1]> {text}')
    for output in proto.graph.output:
        output.type.tensor_type.ClearField("shape")
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto))


def count(text: str, **bindings: int) -> int:
    counted = model_flops(model(text), bindings)
    assert counted.uncounted == 0
    return counted.total


@pytest.mark.parametrize(("name", "published"), PUBLISHED.items())
def test_known_networks(name: str, published: float) -> None:
    proto = onnx.shape_inference.infer_shapes(onnx.load(LIGHT / f"light_{name}.onnx"))
    counted = model_flops(ir.from_proto(proto))
    assert counted.uncounted == 0
    assert abs(counted.total / 2e9 / published - 1) < 0.03


def test_matmul_broadcasts_and_binds_symbols() -> None:
    text = "g (float[N,1,4,5] a, float[3,5,6] b) => (float[N,3,4,6] c) { c = MatMul(a, b) }"
    assert count(text, N=7) == 7 * 3 * 4 * 6 * 5 * 2


def test_unknown_symbol_is_unknown() -> None:
    graph = model("g (float[N,5] a, float[5,6] b) => (float[N,6] c) { c = MatMul(a, b) }").graph
    assert node_flops(graph[0]) is None
    assert node_flops(graph[0], {"N": 2}) == 2 * 2 * 5 * 6


@pytest.mark.parametrize(("left", "right", "expected"), [("5", "5", 10), ("5", "5,6", 60), ("4,5", "5", 40)])
def test_matmul_of_vectors(left: str, right: str, expected: int) -> None:
    assert count(f"g (float[{left}] a, float[{right}] b) => (float c) {{ c = MatMul(a, b) }}") == expected


@unhurried
@given(
    channels=st.integers(1, 3), outputs=st.integers(1, 3), group=st.integers(1, 2), size=st.integers(3, 6),
    kernel=st.integers(1, 3), stride=st.integers(1, 2), pad=st.integers(0, 1),
)  # fmt: skip
def test_convolution_is_the_naive_loop_nest(
    channels: int, outputs: int, group: int, size: int, kernel: int, stride: int, pad: int
) -> None:
    x = f"2,{channels * group},{size},{size}"
    w = f"{outputs * group},{channels},{kernel},{kernel}"
    options = f"group={group}, strides=[{stride},{stride}], pads=[{pad},{pad},{pad},{pad}]"
    text = f"g (float[{x}] x, float[{w}] w) => (float y) {{ y = Conv<{options}>(x, w) }}"
    places = range(0, size + 2 * pad - kernel + 1, stride)
    loops = itertools.product(range(2), range(outputs * group), places, places)
    assert count(text) == sum(2 * channels * kernel * kernel for _ in loops)


def test_transposed_convolution_scatters_each_input() -> None:
    text = (
        "g (float[1,4,5,5] x, float[4,3,2,2] w, float[6] b) => (float y)"
        " { y = ConvTranspose<group=2, strides=[2,2]>(x, w, b) }"
    )
    assert count(text) == 2 * (4 * 5 * 5) * (3 * 2 * 2) + 6 * 10 * 10


@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm(transposed: int) -> None:
    a = "6,4" if transposed else "4,6"
    operands = f"float[{a}] a, float[6,5] b, float[5] c"
    text = f"g ({operands}) => (float y) {{ y = Gemm<transA={transposed}>(a, b, c) }}"
    assert count(text) == 2 * 4 * 6 * 5 + 4 * 5


@pytest.mark.parametrize(
    ("equation", "shapes", "expected"),
    [
        ("ij,jk->ik", ("2,3", "3,4"), 2 * 2 * 3 * 4),
        ("bhqd,bhkd->bhqk", ("2,3,4,5", "2,3,6,5"), 2 * 2 * 3 * 4 * 6 * 5),
        ("i,j->ij", ("3", "4"), 3 * 4),
        ("ij->ji", ("3", "4"), None),
        ("ij->i", ("3,4",), 12),
        ("...ij,...jk->...ik", ("2,7,3,4", "2,7,4,5"), 2 * 2 * 7 * 3 * 4 * 5),
        ("ij,jk,kl->il", ("2,3", "3,4", "4,5"), 2 * 2 * 3 * 4 + 2 * 2 * 4 * 5),
        ("ij,jk", ("2,3", "3,4"), 2 * 2 * 3 * 4),
        ("ii->i", ("3,3",), 0),
    ],
)
def test_einsum_contracts_pairwise(equation: str, shapes: tuple[str, ...], expected: int | None) -> None:
    names = [f"x{i}" for i in range(len(shapes))]
    inputs = ", ".join(f"float[{s}] {n}" for n, s in zip(names, shapes, strict=True))
    text = f'g ({inputs}) => (float y) {{ y = Einsum<equation="{equation}">({", ".join(names)}) }}'
    proto = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 23]> {text}')
    assert node_flops(ir.from_proto(proto).graph[0]) == expected


def test_attention_is_its_two_products_and_softmax() -> None:
    fused = count(
        "g (float[2,3,4,8] q, float[2,3,6,8] k, float[2,3,6,10] v) => (float y) { y = Attention(q, k, v) }"
    )
    parts = count(
        "g (float[2,3,4,8] q, float[2,3,8,6] k, float[2,3,6,10] v, float s) => (float y)"
        " { a = MatMul(q, k)  b = Mul(a, s)  p = Softmax(b)  y = MatMul(p, v) }"
    )
    assert fused == parts


def test_lstm_is_its_gates() -> None:
    steps, batch, inputs, hidden = 5, 2, 3, 4
    gates = 4 * hidden
    text = (
        f"g (float[{steps},{batch},{inputs}] x, float[2,{gates},{inputs}] w, float[2,{gates},{hidden}] r)"
        f' => (float y) {{ y = LSTM<hidden_size={hidden}, direction="bidirectional">(x, w, r) }}'
    )
    products = 2 * 4 * hidden * (inputs + hidden)
    adding, cell = 4 * hidden, (3 * 4 + 2 + 3 + 1) * hidden
    assert count(text) == steps * batch * 2 * (products + adding + cell)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("MaxPool<kernel_shape=[2,2]>(x)", 2 * 3 * 3 * 3),
        ("AveragePool<kernel_shape=[2,2]>(x)", 2 * 3 * 3 * 4),
        ("GlobalAveragePool(x)", 2 * 16),
        ("ReduceMean<keepdims=1>(x)", 32 + 1),
        ("Softmax(x)", 5 * 32),
        ("Sigmoid(x)", 4 * 32),
        ("Transpose(x)", 0),
        ("Sum(x, x, x)", 2 * 32),
    ],
)
def test_formulas(call: str, expected: int) -> None:
    assert count(f"g (float[1,2,4,4] x) => (float y) {{ y = {call} }}") == expected


def test_dearest_branch_and_constant_loop() -> None:
    text = """g (bool c, float[4,4] x) => (float[4,4] y) {
      y = If(c) <then_branch = t () => (float[4,4] a) { a = MatMul(x, x) },
                 else_branch = e () => (float[4,4] b) { b = Relu(x) }> }"""
    assert count(text) == 2 * 4**3


def test_function_calls_count_their_body() -> None:
    proto = onnx.parser.parse_model("""
      <ir_version: 10, opset_import: ["" : 23, "local" : 1]>
      g (float[3,4] x, float[4,5] w) => (float[3,5] y) { y = local.Dense(x, w) }
      <domain: "local", opset_import: ["" : 23]> Dense (a, b) => (c) { m = MatMul(a, b)  c = Relu(m) }""")
    counted = model_flops(ir.from_proto(proto))
    assert (counted.total, counted.uncounted) == (2 * 3 * 4 * 5 + 15, 0)


def test_shapes_that_do_not_fit_are_unknown() -> None:
    node = ir.Node("", "MatMul", [_value("a", (3, 4)), _value("b", (5, 6))])
    assert node_flops(node) is None
    assert node_flops(ir.Node("", "Gemm", [_value("a", (3,)), _value("b", (5, 6))])) is None
    assert node_flops(ir.Node("custom", "Odd", [_value("a", (3, 4))])) is None


def _value(name: str, dims: tuple[int, ...]) -> ir.Value:
    return ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(dims))


def test_every_formula_is_of_an_operator_that_exists() -> None:
    known = {s.name for s in onnx.defs.get_all_schemas_with_history() if s.domain == ""}
    # Outside the ONNX specification, but in its domain: ONNX Runtime writes these.
    known |= {"SimplifiedLayerNormalization", "FusedConv"}
    assert set(FORMULAS[""]) <= known, set(FORMULAS[""]) - known


def test_operators_without_formula_are_few_and_named() -> None:
    current = {s.name for s in onnx.defs.get_all_schemas() if s.domain == "" and not s.deprecated}
    missing = current - set(FORMULAS[""]) - {"If", "Loop", "Scan", "SequenceMap"}
    assert missing == {
        "AffineGrid", "MaxRoiPool", "MelWeightMatrix", "Multinomial", "NonMaxSuppression", "TfIdfVectorizer",
    } & current  # fmt: skip
