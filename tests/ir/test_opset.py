"""Opset conversion: every operator change between opsets is known, and every adapter computes the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from graphopt.errors import ModelError
from graphopt.ir.levels import Level
from graphopt.ir.load import load_model
from graphopt.ir.opset.convert import ADAPTERS, CANONICAL, NEWEST, OLDEST, changed_operators, convert, widens
from graphopt.ir.opset.scene import Refused
from graphopt.ir.save import to_bytes
from graphopt.ir.schemas import schema
from graphopt.ir.shapes import infer_shapes
from graphopt.ir.verify import verify

Array = npt.NDArray[Any]


@pytest.mark.parametrize("version", range(OLDEST, NEWEST))
def test_every_change_of_an_operator_is_known(version: int) -> None:
    """A change is one of two kinds: the schema widens, or an adapter knows what to do."""
    target = max(version, CANONICAL)
    for name in changed_operators(version, target):
        before, after = schema("", name, version), schema("", name, target)
        assert before is not None
        if name in ADAPTERS and version < ADAPTERS[name][0]:
            continue
        assert after is not None, f"{name}-{before.since} is gone at {target} and has no adapter"
        assert widens(name, before.since, after.since), f"{name}-{before.since} changed by {target}"


def test_adapters_end_where_their_operator_changed() -> None:
    for name, (until, _) in ADAPTERS.items():
        versions = {s.since_version for s in onnx.defs.get_all_schemas_with_history() if s.name == name}
        assert until in versions or name == "Upsample", name


def build(
    op_type: str,
    opset: int,
    inputs: Sequence[Array | None],
    *,
    constants: Sequence[int] = (),
    outputs: int = 1,
    **attributes: Any,
) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """A model of one node, and its feeds; the inputs numbered in ``constants`` are initializers."""
    names = ["" if array is None else f"i{k}" for k, array in enumerate(inputs)]
    given = {f"i{k}": a for k, a in enumerate(inputs) if a is not None}
    constant = {f"i{k}" for k in constants}
    node = helper.make_node(op_type, names, [f"o{k}" for k in range(outputs)], name="n", **attributes)
    graph = helper.make_graph(
        [node],
        "g",
        [
            helper.make_tensor_value_info(
                n, helper.np_dtype_to_tensor_dtype(a.dtype), [f"{n}_{d}" for d in a.shape]
            )
            for n, a in given.items()
            if n not in constant
        ],
        [helper.make_tensor_value_info(f"o{k}", TensorProto.FLOAT, None) for k in range(outputs)],
        [onnx.numpy_helper.from_array(a, n) for n, a in given.items() if n in constant],
    )
    for value in graph.output:
        value.type.Clear()
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    model = onnx.shape_inference.infer_shapes(model)
    return model, {n: a for n, a in given.items() if n not in constant}


def run(data: bytes, feeds: dict[str, Array]) -> list[Array]:
    ort = pytest.importorskip("onnxruntime")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    outputs: list[Array] = ort.InferenceSession(data, options).run(None, feeds)
    return outputs


def _x(*dims: int, dtype: Any = np.float32) -> Array:
    values = np.random.default_rng(sum(dims)).standard_normal(dims)
    return (values * 4).astype(dtype)


def _at(*numbers: float, dtype: Any = np.int64) -> Array:
    return np.array(numbers, dtype)


X, IMAGE = _x(2, 3, 4), _x(1, 2, 4, 6)
CASES: list[tuple[str, int, Sequence[Array | None], dict[str, Any]]] = [
    *[
        (op, v, [abs(X) + 1], {"axes": [-1] if v > 10 else [2], "keepdims": k})
        for op in ("ReduceL1", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceProd", "ReduceSumSquare")
        for v, k in ((7, 1), (11, 0), (13, 1))
    ],
    ("ReduceSum", 11, [X], {"axes": [0, 1], "keepdims": 0}),
    ("ReduceSum", 8, [X], {}),
    ("ReduceMean", 17, [X], {"keepdims": 0}),
    ("Squeeze", 7, [_x(1, 3, 1)], {"axes": [0]}),
    ("Squeeze", 11, [_x(1, 3, 1)], {}),
    ("Unsqueeze", 11, [X], {"axes": [0, -1]}),
    *[
        (op, v, [X], {} if axis is None else {"axis": axis})
        for op in ("Softmax", "LogSoftmax", "Hardmax")
        for v, axis in ((7, None), (7, 2), (11, 0), (11, -1), (12, -2))
    ],
    ("BatchNormalization", 7, [IMAGE, _x(2), _x(2), _x(2), abs(_x(2))], {"epsilon": 1e-3}),
    ("BatchNormalization", 9, [IMAGE, _x(2), _x(2), _x(2), abs(_x(2))], {"momentum": 0.5}),
    ("Clip", 7, [X], {"min": -1.0, "max": 2.0}),
    ("Clip", 7, [X], {"max": 0.5}),
    ("Clip", 8, [X], {}),
    ("DFT", 17, [_x(2, 8, 3, 1)], {}),
    ("DFT", 17, [_x(2, 8, 4, 1)], {"axis": 2, "onesided": 1}),
    ("Dropout", 7, [X], {"ratio": 0.9}),
    ("Dropout", 10, [X], {}),
    ("GridSample", 16, [IMAGE, np.clip(_x(1, 3, 3, 2), -1, 1)], {"mode": "bilinear"}),
    ("GridSample", 16, [IMAGE, np.clip(_x(1, 3, 3, 2), -1, 1)], {"mode": "bicubic"}),
    ("GridSample", 16, [IMAGE, np.clip(_x(1, 3, 3, 2), -1, 1)], {"mode": "nearest", "align_corners": 1}),
    ("Pad", 7, [X], {"pads": [0, 1, 0, 0, 0, 2], "value": 1.5}),
    ("Pad", 8, [X], {"pads": [0, 1, 0, 0, 0, 2], "mode": "reflect"}),
    ("Scatter", 9, [X, np.zeros((1, 2, 2), np.int64), _x(1, 2, 2)], {"axis": 1}),
    ("Slice", 7, [X], {"starts": [1, -3], "ends": [9, -1], "axes": [1, 2]}),
    ("Slice", 9, [X], {"starts": [1], "ends": [2]}),
    ("Split", 7, [X], {"split": [1, 3], "axis": 2, "outputs": 2}),
    ("Split", 11, [X], {"axis": 2, "outputs": 2}),
    ("Split", 13, [X, _at(1, 2)], {"axis": 1, "outputs": 2, "constants": [1]}),
    ("Split", 13, [X], {"axis": 2, "outputs": 2}),
    ("TopK", 7, [X], {"k": 2, "axis": 2, "outputs": 2}),
    ("TopK", 10, [X, _at(2)], {"outputs": 2}),
    ("Upsample", 7, [IMAGE], {"scales": [1.0, 1.0, 2.0, 2.5]}),
    ("Upsample", 9, [IMAGE, _at(1, 1, 2, 1.5, dtype=np.float32)], {"mode": "linear"}),
    ("Upsample", 9, [IMAGE, _at(1, 1, 2, 3, dtype=np.float32)], {"constants": [1]}),
    ("Resize", 10, [IMAGE, _at(1, 1, 2, 1.7, dtype=np.float32)], {"constants": [1]}),
    ("Resize", 10, [IMAGE, _at(1, 1, 0.6, 0.5, dtype=np.float32)], {"constants": [1]}),
    ("Resize", 10, [IMAGE, _at(1, 1, 2, 0.5, dtype=np.float32)], {"mode": "linear"}),
    ("Resize", 11, [IMAGE, _at(dtype=np.float32), _at(dtype=np.float32), _at(1, 2, 7, 3)],
     {"constants": [1, 2, 3], "mode": "linear"}),
    ("Resize", 11, [IMAGE, _at(dtype=np.float32), _at(1, 1, 1.3, 2, dtype=np.float32)],
     {"constants": [1, 2], "mode": "cubic", "coordinate_transformation_mode": "align_corners"}),
    # Only wider types, or optional parts: the schemas say so, the results confirm it.
    ("AveragePool", 7, [IMAGE], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
    ("AveragePool", 11, [IMAGE],
     {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1, "pads": [0, 0, 1, 1]}),
    ("MaxPool", 8, [IMAGE], {"kernel_shape": [2, 2], "outputs": 2}),
    ("ConvTranspose", 7, [IMAGE, _x(2, 1, 3, 3)], {"strides": [2, 2], "output_padding": [1, 1]}),
    ("Flatten", 7, [X], {"axis": 2}),
    ("Gather", 7, [X, _at([0, 1])], {"axis": 1}),
    ("OneHot", 9, [_at(0, 2), _at(4), _at(0, 1, dtype=np.float32)], {}),
    ("LSTM", 7, [_x(2, 1, 3), _x(1, 8, 3), _x(1, 8, 2)], {"hidden_size": 2, "outputs": 3}),
    ("PRelu", 7, [X, _x(3, 1)], {}),
    ("ScatterElements", 11, [X, np.zeros((1, 2, 2), np.int64), _x(1, 2, 2)], {}),
    ("Reshape", 7, [X, _at(0, -1)], {}),
    ("Gemm", 7, [_x(2, 3), _x(3, 4), _x(4)], {"alpha": 0.5}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("op_type", "opset", "inputs", "options"), CASES, ids=[f"{c[0]}-{c[1]}-{i}" for i, c in enumerate(CASES)]
)
def test_the_converted_node_computes_the_same(
    op_type: str, opset: int, inputs: Sequence[Array | None], options: dict[str, Any]
) -> None:
    proto, feeds = build(op_type, opset, inputs, **options)
    model = load_model(proto)
    assert convert(model, lambda: infer_shapes(model))
    assert model.opset_imports[""] == CANONICAL
    assert verify(model, Level.IMPORTED) == []
    names = [v.name for v in model.graph.outputs]
    assert names == [v.name for v in proto.graph.output]
    model.ir_version = 11
    for name, want, got in zip(
        names, run(proto.SerializeToString(), feeds), run(to_bytes(model), feeds), strict=True
    ):
        assert want.dtype == got.dtype
        assert want.shape == got.shape
        # The same kernel, or one that adds in another order.
        scale = np.abs(want).max(initial=0) if want.dtype.kind == "f" else 0
        assert np.abs(want - got).max(initial=0) <= 4 * np.finfo(np.float32).eps * scale, name


@pytest.mark.parametrize(
    ("op_type", "opset", "inputs", "options", "words"),
    [
        ("BatchNormalization", 9, [IMAGE, _x(2), _x(2), _x(2), _x(2)], {"outputs": 5}, "training mode"),
        ("BatchNormalization", 7, [IMAGE, _x(2), _x(2), _x(2), _x(2)], {"spatial": 0}, "spatial"),
        ("Dropout", 7, [X], {"outputs": 2}, "mask"),
        ("Resize", 10, [IMAGE, _at(1, 1, 2, 2, dtype=np.float32)], {}, "scales that are unknown"),
        ("Resize", 10, [IMAGE, _at(1, 1, 2, 0.5, dtype=np.float32)], {"constants": [1]}, "above and below"),
        ("Relu", 6, [X], {}, "older than 7"),
    ],
)
def test_what_cannot_be_converted_is_left_as_it_is(
    op_type: str, opset: int, inputs: Sequence[Array], options: dict[str, Any], words: str
) -> None:
    proto, _ = build(op_type, opset, inputs, **options)
    model = load_model(proto)
    before = to_bytes(model)
    with pytest.raises(Refused, match=words):
        convert(model, lambda: infer_shapes(model))
    assert model.opset_imports[""] == opset
    assert to_bytes(model) == before or op_type == "Softmax"


def test_roi_align_keeps_its_coordinates() -> None:
    """ONNX Runtime has no kernel for the newest version: the attribute is checked, not the result."""
    proto, _ = build("RoiAlign", 10, [IMAGE, _at([0, 0, 3, 3], dtype=np.float32), _at(0)])
    model = load_model(proto)
    convert(model, lambda: None)
    assert model.graph[0].attributes["coordinate_transformation_mode"].as_string() == "output_half_pixel"


def test_function_bodies_follow() -> None:
    text = """<ir_version: 8, opset_import: ["": 12, "f": 1]>
    g (float[2, 3] x) => (float[2] y) { y = f.total (x) }
    <domain: "f", opset_import: ["": 11]>
    total (x) => (y) { s = ReduceSum <axes = [1], keepdims = 0> (x)  y = Clip <max = 1.0> (s) }"""
    text = text.replace("Clip <max = 1.0> (s)", "Relu (s)")
    model = load_model(onnx.parser.parse_model(text))
    convert(model, lambda: infer_shapes(model))
    function = next(iter(model.functions.values()))
    assert function.opset_imports[""] == CANONICAL
    assert [n.op_type for n in function] == ["Constant", "ReduceSum", "Relu"]
    model.ir_version = 11
    assert run(to_bytes(model), {"x": np.ones((2, 3), np.float32)})[0].tolist() == [3, 3]


def test_a_parameter_of_a_function_cannot_become_an_input() -> None:
    text = """<ir_version: 8, opset_import: ["": 12, "f": 1]>
    g (float[2, 3] x) => (float[2] y) { y = f.total <dims = [1]> (x) }
    <domain: "f", opset_import: ["": 12]>
    total <dims> (x) => (y) { y = ReduceSum <axes : ints = @dims, keepdims = 0> (x) }"""
    model = load_model(onnx.parser.parse_model(text))
    with pytest.raises(Refused, match="parameter of the function"):
        convert(model, lambda: infer_shapes(model))


def test_names_metadata_and_shared_weights_survive() -> None:
    proto, _ = build("Softmax", 11, [X])
    proto.graph.node[0].metadata_props.add(key="k", value="v")
    proto.metadata_props.add(key="who", value="me")
    model = load_model(proto)
    convert(model, lambda: infer_shapes(model))
    softmax = next(n for n in model.graph if n.op_type == "Softmax")
    assert softmax.metadata_props == {"k": "v"}
    assert model.metadata_props == {"who": "me"}
    assert [v.name for v in model.graph.outputs] == ["o0"]


def test_models_beyond_the_newest_opset() -> None:
    proto, _ = build("Relu", 28, [X])
    model = load_model(proto)
    assert convert(model, lambda: None)
    assert model.opset_imports[""] == NEWEST
    proto, _ = build("Celu", 28, [X])
    with pytest.raises(ModelError, match="up to 26"):
        convert(load_model(proto), lambda: None)


@pytest.mark.parametrize("opset", [23, 24, 25, 26])
def test_models_near_the_canonical_opset_keep_theirs(opset: int) -> None:
    proto, _ = build("Relu", opset, [X])
    model = load_model(proto)
    assert not convert(model, lambda: None)
    assert model.opset_imports[""] == opset


def test_a_model_without_standard_operators_gets_the_canonical_opset() -> None:
    text = """<ir_version: 8, opset_import: ["com.example": 1]>
    g (float[2] x) => (float[2] y) { y = com.example.Custom (x) }"""
    model = load_model(onnx.parser.parse_model(text))
    assert convert(model, lambda: None)
    assert model.opset_imports == {"com.example": 1, "": CANONICAL}


def test_constants_made_for_subgraphs_stay_in_scope() -> None:
    text = """<ir_version: 8, opset_import: ["": 11]>
    g (float[1, N] x, bool c) => (float[N] y) {
      y = If (c) <
        then_branch = t () => (float[N] p) { p = Squeeze <axes = [0]> (x) },
        else_branch = e () => (float[N] q) { q = Squeeze <axes = [0]> (x) }
      >
    }"""
    model = load_model(onnx.parser.parse_model(text))
    convert(model, lambda: infer_shapes(model))
    assert verify(model, Level.IMPORTED) == []
    assert [type(n.graph) for n in model.graph.all_nodes() if n.op_type == "Constant"] == [ir.Graph] * 2


@pytest.mark.parametrize("opset", [9, 13])
def test_batch_normalization_trains_when_its_statistics_are_named_but_not_read(opset: int) -> None:
    inputs = [_x(3, 2, 4, 6), _x(2), _x(2), _x(2), abs(_x(2))]
    proto, feeds = build("BatchNormalization", opset, inputs, outputs=5)
    del proto.graph.output[1:]
    model = load_model(proto)
    assert convert(model, lambda: infer_shapes(model))
    (want,), (got,) = run(proto.SerializeToString(), feeds), run(to_bytes(model), feeds)
    assert np.array_equal(want, got)
