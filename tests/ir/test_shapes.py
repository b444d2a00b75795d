"""Shape inference says nothing that is not so."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import pytest

from graphopt.errors import ModelError
from graphopt.ir import shape_sources, shapes
from graphopt.ir.dims import is_made_up, same_dim, same_shape
from graphopt.ir.freeze import all_values
from graphopt.ir.load import load_model
from graphopt.ir.save import to_bytes
from graphopt.ir.shape_sources import Fact, Names
from graphopt.ir.shapes import infer_shapes
from graphopt.measure.memory import peak_rss_bytes
from tests.conftest import Zoo
from tests.ir.samples import all_samples, chain
from tests.ir.suite import arrays, cases


def _symbolic(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with a name for every input dim and nothing declared of the outputs."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    count = 0
    for value in copy.graph.input:
        if value.type.WhichOneof("value") == "tensor_type":
            for dim in value.type.tensor_type.shape.dim:
                dim.dim_param = f"s{count}"
                count += 1
    for value in copy.graph.output:
        if value.type.WhichOneof("value") == "tensor_type":
            value.type.tensor_type.ClearField("shape")
    del copy.graph.value_info[:]
    return copy


def contradicts(value: ir.Value, shape: tuple[int, ...], bindings: dict[str, int]) -> bool:
    """Whether a value's inferred shape denies the one it has; names met first here are bound by it."""
    if value.shape is None:
        return False
    if len(value.shape) != len(shape):
        return True
    for dim, size in zip(value.shape, shape, strict=True):
        known = dim if isinstance(dim, int) else dim.evaluate(bindings)
        if isinstance(known, ir.SymbolicDim) and known.value is not None and known.value.isidentifier():
            known = bindings.setdefault(known.value, size)
        if isinstance(known, int) and known != size:
            return True
    return False


def bind(model: ir.Model, feeds: dict[str, Any]) -> dict[str, int]:
    """What the feeds say about the names of the inputs' dims."""
    bindings: dict[str, int] = {}
    for value in model.graph.inputs:
        if isinstance(feeds.get(value.name or ""), np.ndarray) and value.shape is not None:
            for dim, size in zip(value.shape, feeds[value.name or ""].shape, strict=True):
                if isinstance(dim, ir.SymbolicDim) and dim.value is not None and dim.value.isidentifier():
                    bindings[dim.value] = size
    return bindings


def test_every_operator_with_all_dims_unknown(record_property: pytest.RecordProperty) -> None:
    """The suite's own outputs are the truth; both libraries guess some of them wrong by themselves."""
    wrong, outputs, ranked = [], 0, 0
    for case in cases():
        try:
            model = load_model(_symbolic(case.model))
        except ModelError:
            continue  # an operator newer than graphopt's newest opset is another test's business
        infer_shapes(model)
        inputs, expected = (arrays(values) for values in case.data_sets[0])
        names = [v.name or "" for v in model.graph.inputs]
        bindings = bind(model, dict(zip(names, inputs, strict=False)))
        for value, array in zip(model.graph.outputs, expected, strict=True):
            if isinstance(array, np.ndarray):
                outputs += 1
                ranked += value.shape is not None
                if contradicts(value, array.shape, bindings):
                    wrong.append(f"{case.name}: {value.shape} is {array.shape}")
    assert not wrong, wrong
    record_property("shape inference: outputs of the operator suite checked", outputs)
    record_property("shape inference: of them, ranks known", ranked)
    assert ranked > 0.85 * outputs


@pytest.mark.zoo
@pytest.mark.parametrize(
    "name", ["ppocr_cls", "magika", "basic_pitch", "tashkeel_bilstm_int8", "bert_minilm_l3"]
)
def test_every_value_of_a_real_model(name: str, zoo: Zoo) -> None:
    ort = pytest.importorskip("onnxruntime")
    path = zoo(name)
    model = load_model(path)
    infer_shapes(model)
    values = {v.name: v for node in model.graph for v in node.outputs if v.name}
    proto = onnx.load(path)
    returned = {v.name for v in proto.graph.output}
    proto.graph.output.extend(onnx.ValueInfoProto(name=n) for n in values if n not in returned)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = ort.InferenceSession(proto.SerializeToString(), options)
    feeds = zoo.feeds(name, 0)
    bindings = bind(model, feeds)
    wrong = [
        f"{entry.name}: {values[entry.name].shape} is {array.shape}"
        for entry, array in zip(session.get_outputs(), session.run(None, feeds), strict=True)
        if contradicts(values[entry.name], array.shape, bindings)
    ]
    assert not wrong, wrong
    assert all(v.type is not None for v in values.values())


@pytest.mark.parametrize("index", range(len(all_samples())))
def test_a_second_run_finds_nothing_new(index: int) -> None:
    model = load_model(all_samples()[index])
    infer_shapes(model)
    assert not infer_shapes(model)


def test_inputs_and_declared_outputs_are_kept() -> None:
    text = """<ir_version: 8, opset_import: ["": 18]>
    g (float["batch size", 4] x) => (float["batch size", "width"] y) { y = Neg (x) }"""
    proto = onnx.parser.parse_model(text)
    model = load_model(proto)
    infer_shapes(model)
    back = onnx.load_from_string(to_bytes(model))
    assert back.graph.input == proto.graph.input
    assert back.graph.output == proto.graph.output


def test_wrong_declarations_are_overruled() -> None:
    text = """<ir_version: 8, opset_import: ["": 18]>
    g (float[2, 3] x) => (float[7] y) <float[9, 9] a> { a = Neg (x)  y = Flatten (a) }"""
    model = load_model(onnx.parser.parse_model(text))
    infer_shapes(model)
    assert [n.outputs[0].shape for n in model.graph] == [[2, 3], [2, 3]]


def test_declarations_fill_gaps() -> None:
    text = """<ir_version: 8, opset_import: ["": 18, "custom": 1]>
    g (float[2, 3] x) => (float y) <float[n, 5] a> { a = custom.Op (x)  y = Relu (a) }"""
    model = load_model(onnx.parser.parse_model(text))
    infer_shapes(model)
    assert str(model.graph[0].outputs[0].shape) == "[n,5]"


@pytest.mark.parametrize("which", ["ask_onnx", "ask_symbolic"])
def test_a_library_that_fails_costs_only_what_it_knew(which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("internal error")

    if which == "ask_onnx":
        monkeypatch.setattr(onnx.shape_inference, "infer_shapes", explode)
    else:
        monkeypatch.setattr(shape_sources, "make_sound", lambda: None)
        import onnx_shape_inference

        monkeypatch.setattr(onnx_shape_inference, "infer_symbolic_shapes", explode)
    model = load_model(chain(3))
    infer_shapes(model)
    assert model.graph[-1].outputs[0].shape == [2]


def test_the_symbolic_library_runs_only_when_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "ask_symbolic", lambda *_: pytest.fail("not needed"))
    infer_shapes(load_model(chain(3)))


NAMES = Names(load_model(chain(1)))
MADE_UP = NAMES.fresh()


@pytest.mark.parametrize(
    ("a", "b", "merged"),
    [
        ((2, 3), (2, 3), (2, 3)),
        (("n", 3), (4, "m"), (4, 3)),
        ((MADE_UP, 3), ("n", 3), ("n", 3)),
        (("n", 3), (MADE_UP, 3), ("n", 3)),
        ((0, 3), ("n", 3), ("n", 3)),
        (None, (2, 3), (2, 3)),
        ((2, 3), None, (2, 3)),
        ((2, 3), (2, 3, 4), None),
    ],
)
def test_merging(a: Any, b: Any, merged: Any) -> None:
    assert shapes._merge_facts(Fact(None, a), Fact(None, b), NAMES).dims == merged


def test_contradictions_leave_neither() -> None:
    for a, b in (((2,), (3,)), (("n",), ("m",))):
        dims = shapes._merge_facts(Fact(None, a), Fact(None, b), NAMES).dims
        assert dims is not None
        assert is_made_up(str(dims[0]))
        assert dims[0] not in (*a, *b)


def test_dims_that_are_the_same() -> None:
    n, m = ir.SymbolicDim("n"), ir.SymbolicDim("m")
    nobody = ir.SymbolicDim(None)
    assert same_dim(3, 3)
    assert same_dim(n, ir.SymbolicDim("n"))
    assert not same_dim(n, m)
    assert not same_dim(3, n)
    assert not same_dim(nobody, nobody)
    assert not same_dim(-1, -1)
    assert same_shape(ir.Shape([2, "n"]), ir.Shape([2, "n"]))
    assert not same_shape(ir.Shape([2, None]), ir.Shape([2, None]))
    assert not same_shape(None, None)


def test_names_of_dims_are_never_reused() -> None:
    """Two runs must not give one name to two dims that have nothing to do with each other."""
    text = """<ir_version: 8, opset_import: ["": 18]>
    g (float[N] x, float[M] y) => (c, d) {
      a = NonZero (x)  b = NonZero (y)  c = Add (a, a)  d = Add (b, b)
    }"""
    model = load_model(onnx.parser.parse_model(text))
    for _ in range(3):
        infer_shapes(model)
        lengths = [v.shape[1] for v in all_values(model) if v.shape is not None and len(v.shape) == 2]
        assert not same_dim(lengths[0], lengths[1])


@pytest.mark.parametrize(
    ("data", "indices", "dims"),
    [("4", "N, 3", (1, None)), ("4", "N", (1, "N")), ("N, 5", "1, 2", ("N", 2)), ("4", "2, 3", (1, 6))],
)
def test_extracted_features_are_as_many_as_the_indices(
    data: str, indices: str, dims: tuple[object, ...]
) -> None:
    model = ir.from_onnx_text(
        '<ir_version: 8, opset_import: ["" : 15, "ai.onnx.ml" : 1]>'
        f"g (float[{data}] x, int64[{indices}] i) => (float[A, B] y) {{"
        "f = ai.onnx.ml.ArrayFeatureExtractor(x, i) y = Neg(f) }"
    )
    infer_shapes(model)
    found = model.graph.node(0).outputs[0].shape
    assert found is not None
    assert len(found) == len(dims)
    for got, want in zip(found, dims, strict=True):
        assert want is None or got == want
    assert dims[1] is not None or not isinstance(found[1], int)


def test_a_quantised_gemm_is_of_the_type_of_its_zero_point() -> None:
    model = ir.from_onnx_text(
        '<ir_version: 8, opset_import: ["" : 15, "com.microsoft" : 1]>'
        "g (uint8[2, 3] a) => (uint8[2, 4] y)"
        "<float s = {0.5}, uint8 z = {3}, int8 v = {0}, "
        "int8[3, 4] b = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}> {"
        "q = com.microsoft.QGemm(a, s, z, b, s, v, , s, z) y = Transpose(q) }"
    )
    infer_shapes(model)
    assert model.graph.node(0).outputs[0].dtype == ir.DataType.UINT8


@pytest.mark.parametrize(
    ("pool", "size"),
    [
        ("QLinearGlobalAveragePool", [2, 3, 1, 1]),
        ("QLinearGlobalAveragePool <channels_last = 1>", [2, 1, 1, 9]),
        ("QLinearAveragePool <kernel_shape = [3, 2], strides = [2, 2], pads = [1, 0, 1, 0]>", [2, 3, 4, 4]),
        ("QLinearAveragePool <kernel_shape = [3, 2], strides = [2, 2], ceil_mode = 1>", [2, 3, None, None]),
        ("QLinearAveragePool <kernel_shape = [2, 2], auto_pad = 'SAME_UPPER'>", [2, 3, None, None]),
    ],
)
def test_a_quantised_pool_makes_images_smaller(pool: str, size: list[int | None]) -> None:
    model = ir.from_onnx_text(
        '<ir_version: 8, opset_import: ["" : 15, "com.microsoft" : 1]>'
        "g (uint8[2, 3, 7, 9] x) => (uint8[A, B, C, D] y) <float s = {0.5}, uint8 z = {3}> {"
        f"q = com.microsoft.{pool.replace(chr(39), chr(34))} (x, s, z, s, z) y = Identity(q) }}"
    )
    infer_shapes(model)
    found = model.graph.node(0).outputs[0].shape
    assert found is not None
    assert [dim if isinstance(dim, int) else None for dim in found] == size


def test_a_long_range_is_not_listed_element_by_element() -> None:
    """onnx would hold every element as a dim: seconds and gigabytes for what nobody reads."""
    text = """<ir_version: 8, opset_import: ["" : 17]> g (float[N] x) => (float[M] y)
        <int64 a = {0}, int64 b = {40000000}, int64 c = {2}> {
            r = Range(a, b, c)
            y = Cast<to = 1>(r)
        }"""
    model = ir.from_onnx_text(text)
    before = peak_rss_bytes()
    infer_shapes(model)
    assert list(model.graph.node(0).outputs[0].shape or ()) == [20_000_000]
    assert peak_rss_bytes() - before < 1 << 30


def test_a_transposed_convolution_that_cuts_keeps_its_rank() -> None:
    """onnx stops at the first dim of the output shape that is smaller than the input's."""
    text = """<ir_version: 8, opset_import: ["" : 17]>
        g (float[N,4,3,2,3] x, float[4,7,1,1,3] w) => (float[a,b,c,d,e] z) {
            y = ConvTranspose<output_shape = [3, 1, 4]>(x, w)
            z = Relu(y)
        }"""
    model = ir.from_onnx_text(text)
    infer_shapes(model)
    for node in model.graph:
        assert node.outputs[0].shape == ["N", 7, 3, 1, 4]


def test_a_quotient_that_is_a_number_is_one() -> None:
    """[batch, 192, 32, 32] as [0, -1, 1024] has 192 rows, and a Split of them equal parts."""
    text = (
        '<ir_version: 10, opset_import: ["": 23]>'
        "g (float[batch, 192, 32, 32] x) => (float[P, Q, R] y) <int64[3] target = {0, -1, 1024}> {"
        " v = Reshape (x, target) a, b, y = Split <axis = 1, num_outputs = 3> (v) }"
    )
    model = ir.from_onnx_text(text)
    infer_shapes(model)
    split = model.graph[1]
    assert [str(value.shape) for value in split.outputs[:2]] == ["[batch,64,1024]"] * 2
