"""Import of good models: every source, every place a weight can lie, every oddity that must survive."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from graphopt.ir.levels import Level
from graphopt.ir.load import load_model
from graphopt.ir.save import save_model, to_bytes, to_proto
from graphopt.ir.verify import verify
from tests.ir.samples import CONTROL, CONV, FUNCTIONS, TEXTS, all_samples, chain, parse

GIB = 1 << 30


def _big_conv() -> onnx.ModelProto:
    """The sample with weights large enough to leave the skeleton."""
    model = parse(CONV.replace("float[4, 3, 3, 3] w", "float[4, 3, 3, 3] w, float[64, 64] spare"))
    assert len(model.graph.initializer) == 3
    return model


@pytest.mark.parametrize("source", ["path", "string", "bytes", "proto", "ir"])
def test_every_source(source: str, tmp_path: Path) -> None:
    proto = _big_conv()
    path = tmp_path / "m.onnx"
    onnx.save(proto, path)
    given = {
        "path": path,
        "string": str(path),
        "bytes": path.read_bytes(),
        "proto": proto,
        "ir": ir.from_proto(proto),
    }[source]
    model = load_model(given)
    assert [v.name for v in model.graph.inputs] == ["x"]
    for tensor in proto.graph.initializer:
        loaded = model.graph.initializers[tensor.name].const_value
        assert loaded is not None
        np.testing.assert_array_equal(loaded.numpy(), numpy_helper.to_array(tensor))


def test_the_source_is_left_alone() -> None:
    proto = _big_conv()
    before = proto.SerializeToString()
    model = load_model(proto)
    model.graph.initializers["w"].name = "renamed"
    assert proto.SerializeToString() == before
    other = ir.from_proto(proto)
    copy = load_model(other)
    copy.graph.outputs[0].name = "renamed"
    assert other.graph.outputs[0].name == "y"


def test_weights_are_views_not_copies() -> None:
    data = _big_conv().SerializeToString()
    model = load_model(data)
    spare = model.graph.initializers["spare"].const_value
    assert spare is not None
    array = spare.numpy()
    assert not array.flags.owndata
    assert not array.flags.writeable
    assert np.shares_memory(array, np.frombuffer(data, np.uint8))


def test_saving_over_the_input_keeps_the_weights(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(_big_conv(), path, save_as_external_data=True, location="w.bin", size_threshold=16)
    model = load_model(path)
    before = {n: v.const_value.numpy().copy() for n, v in model.graph.initializers.items() if v.const_value}
    save_model(model, path, weights_name="w.bin", inline_below=16)
    for name, array in before.items():
        kept = model.graph.initializers[name].const_value
        again = load_model(path).graph.initializers[name].const_value
        assert kept is not None
        assert again is not None
        np.testing.assert_array_equal(kept.numpy(), array)
        np.testing.assert_array_equal(again.numpy(), array)


def _sparse_file(path: Path, size: int, tail: bytes) -> None:
    """A file of ``size`` bytes, zeros but for its end; takes no room on disk."""
    with path.open("wb") as file:
        file.truncate(size)
        file.seek(size - len(tail))
        file.write(tail)


def test_external_data_beyond_2_gib(tmp_path: Path) -> None:
    rows = 3 * GIB // 4096
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[rows, 1024])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="w.bin")
    _sparse_file(tmp_path / "w.bin", rows * 4096, np.float32(7).tobytes())
    graph = helper.make_graph(
        [helper.make_node("Gather", ["w", "i"], ["y"])],
        "g",
        [helper.make_tensor_value_info("i", TensorProto.INT64, [])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1024])],
        [tensor],
    )
    (tmp_path / "m.onnx").write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString()
    )
    model = load_model(tmp_path / "m.onnx")
    weight = model.graph.initializers["w"].const_value
    assert weight is not None
    assert weight.nbytes == 3 * GIB
    assert weight.numpy()[-1, -1] == 7
    assert len(to_proto(model, keep_below=1024).SerializeToString()) < 1000


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def test_one_file_beyond_2_gib(tmp_path: Path) -> None:
    """Protobuf cannot parse such a file; the importer never asks it to."""
    count = (2 * GIB + 4096) // 4
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[count]).SerializeToString()
    tensor = weight + b"\x4a" + _varint(count * 4)
    graph = helper.make_graph(
        [helper.make_node("Gather", ["w", "i"], ["y"])],
        "g",
        [helper.make_tensor_value_info("i", TensorProto.INT64, [])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [])],
    ).SerializeToString()
    graph += b"\x2a" + _varint(len(tensor) + count * 4) + tensor
    head = onnx.ModelProto(ir_version=8, opset_import=[helper.make_opsetid("", 18)]).SerializeToString()
    head += b"\x3a" + _varint(len(graph) + count * 4) + graph
    path = tmp_path / "m.onnx"
    path.write_bytes(head)
    os.truncate(path, len(head) + count * 4)
    model = load_model(path)
    loaded = model.graph.initializers["w"].const_value
    assert loaded is not None
    assert loaded.nbytes > 2 * GIB
    assert loaded.numpy()[-1] == 0


def test_blobs_linked_in_by_a_cache(tmp_path: Path) -> None:
    """Hugging Face's layout: model and weights are links into one folder elsewhere."""
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "abc"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    onnx.save(_big_conv(), blobs / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=16)
    (blobs / "w.bin").rename(blobs / "8f3a")
    (blobs / "m.onnx").rename(blobs / "77b1")
    (snapshot / "m.onnx").symlink_to(blobs / "77b1")
    (snapshot / "w.bin").symlink_to(blobs / "8f3a")
    assert load_model(snapshot / "m.onnx").graph.initializers["w"].const_value is not None


def test_two_tensors_over_the_same_bytes_are_one(tmp_path: Path) -> None:
    proto = _big_conv()
    twin = numpy_helper.from_array(numpy_helper.to_array(proto.graph.initializer[-1]), "twin")
    proto.graph.initializer.append(twin)
    onnx.save(proto, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=16)
    saved = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    first, twin = saved.graph.initializer[-2:]
    del twin.external_data[:]
    twin.external_data.extend(first.external_data)
    (tmp_path / "m.onnx").write_bytes(saved.SerializeToString())
    model = load_model(tmp_path / "m.onnx")
    weights = model.graph.initializers
    assert weights["twin"].const_value is weights[first.name].const_value
    save_model(model, tmp_path / "out.onnx", weights_name="out.bin", inline_below=16)
    places = {
        t.name: {e.key: e.value for e in t.external_data}
        for t in onnx.load(tmp_path / "out.onnx", load_external_data=False).graph.initializer
    }
    assert places["twin"] == places[first.name]


@pytest.mark.parametrize("text", TEXTS)
def test_nodes_in_any_order(text: str) -> None:
    proto = parse(text)
    rng = random.Random(0)
    for graph in [proto.graph, *(a.g for n in proto.graph.node for a in n.attribute if a.HasField("g"))]:
        nodes = list(graph.node)
        rng.shuffle(nodes)
        del graph.node[:]
        graph.node.extend(nodes)
    model = load_model(proto)
    assert verify(model, Level.IMPORTED) == []


def test_twenty_thousand_nodes_in_a_chain() -> None:
    proto = chain(20_000)
    nodes = list(proto.graph.node)[::-1]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    model = load_model(proto)
    assert [v.name for v in (model.graph[0].outputs[0], model.graph[-1].outputs[0])] == ["v1", "v20000"]


def test_functions_custom_domains_and_metadata_survive() -> None:
    proto = parse(FUNCTIONS)
    proto.metadata_props.add(key="author", value="someone")
    proto.graph.node[1].metadata_props.add(key="from", value="layer 3")
    back = onnx.load_from_string(to_bytes(load_model(proto)))
    assert [n.domain for n in back.graph.node] == ["local", "com.example"]
    assert {o.domain: o.version for o in back.opset_import} == {"": 18, "local": 1, "com.example": 2}
    assert [f.name for f in back.functions] == ["scaled"]
    assert {p.key: p.value for p in back.metadata_props} == {"author": "someone"}
    assert back.graph.node[1].metadata_props[0].value == "layer 3"
    assert back.ir_version == proto.ir_version


def test_initializers_that_are_inputs_stay_defaults() -> None:
    proto = parse(CONV)
    proto.graph.input.append(helper.make_tensor_value_info("b", TensorProto.FLOAT, [4]))
    model = load_model(proto)
    bias = model.graph.initializers["b"]
    assert bias.is_graph_input()
    assert [v.name for v in model.graph.inputs] == ["x", "b"]
    assert [v.name for v in onnx.load_from_string(to_bytes(model)).graph.input] == ["x", "b"]


ODD_DIMS = [
    "?",
    "-1",
    "",
    "unk__12",
    "batch size",
    "p2o.DynamicDimension.0",
    "4 lines",
    "max",
    "2*s0 + 1",
    -1,
    None,
]


def _with_dims(dims: list[object]) -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, dims)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, dims)
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def _dims(values: object) -> list[tuple[object, ...]]:
    return [
        tuple(getattr(d, d.WhichOneof("value") or "", None) for d in v.type.tensor_type.shape.dim)
        for v in values  # type: ignore[attr-defined]
    ]


def test_odd_dims_become_identifiers_and_come_back() -> None:
    proto = _with_dims(ODD_DIMS)
    model = load_model(proto)
    shape = model.graph.inputs[0].shape
    assert shape is not None
    names = [d.value for d in shape if isinstance(d, ir.SymbolicDim)]
    assert len(names) == len(ODD_DIMS)
    assert all(name is not None for name in names)
    assert all(str(name).isidentifier() or name == "2*s0 + 1" for name in names)
    assert all(d.evaluate({}) is not None for d in shape if isinstance(d, ir.SymbolicDim))
    back = onnx.load_from_string(to_bytes(model))
    assert _dims(back.graph.input) == _dims(proto.graph.input)
    assert _dims(back.graph.output) == _dims(proto.graph.output)


def test_unknown_dims_never_equal_one_another() -> None:
    model = load_model(_with_dims(["?", "?", -1, "-1", "", "unk__1", "unk__1", None, None]))
    values = [*model.graph.inputs, *model.graph.outputs]
    names = [d.value for v in values for d in v.shape or () if isinstance(d, ir.SymbolicDim)]
    assert len(names) == len(set(names)) == 18


def test_one_name_is_one_dim_even_when_it_must_be_respelled() -> None:
    model = load_model(_with_dims(["batch size", "batch_size", "batch size"]))
    shape = model.graph.inputs[0].shape
    assert shape is not None
    assert shape[0] == shape[2] != shape[1]
    assert model.graph.outputs[0].shape == shape


def test_sparse_constants_become_dense() -> None:
    values = helper.make_tensor("sparse", TensorProto.FLOAT, [2], [1.5, -2.0])
    flat = helper.make_tensor("", TensorProto.INT64, [2], [1, 5])
    rows = helper.make_tensor("", TensorProto.INT64, [2, 2], [0, 1, 1, 2])
    graph = helper.make_graph(
        [
            helper.make_node(
                "Constant", [], ["c"], sparse_value=helper.make_sparse_tensor(values, rows, [2, 3])
            ),
            helper.make_node("Add", ["c", "sparse"], ["s"]),
            helper.make_node("Add", ["s", "x"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3])],
        sparse_initializer=[helper.make_sparse_tensor(values, flat, [2, 3])],
    )
    model = load_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8))
    want = np.array([[0, 1.5, 0], [0, 0, -2.0]], np.float32)
    constant = model.graph.initializers["sparse"].const_value
    assert constant is not None
    np.testing.assert_array_equal(constant.numpy(), want)
    np.testing.assert_array_equal(model.graph[0].attributes["value"].as_tensor().numpy(), want)


def test_text_that_is_not_utf8_is_made_so() -> None:
    data = parse(CONV).SerializeToString().replace(b"\x12\x04conv", b"\x12\x04c\xffnv")
    assert load_model(data).graph.name == "c\\xffnv"


def test_attributes_without_a_type_get_that_of_the_field_that_is_set() -> None:
    proto = parse(CONV)
    for attribute in proto.graph.node[0].attribute:
        attribute.ClearField("type")
    assert load_model(proto).graph[0].attributes["pads"].as_ints() == (1, 1, 1, 1)


def test_operators_onnxruntime_puts_in_the_standard_domain() -> None:
    proto = parse(CONV)
    proto.graph.node[1].op_type = "SimplifiedLayerNormalization"
    assert verify(load_model(proto), Level.IMPORTED) == []


def test_a_round_trip_changes_nothing_more() -> None:
    for proto in all_samples():
        once = to_bytes(load_model(proto))
        assert to_bytes(load_model(once)) == once


def test_captures_of_subgraphs_are_found() -> None:
    model = load_model(parse(CONTROL))
    branch = next(a.as_graph() for a in model.graph[1].attributes.values())
    assert branch[0].inputs[0] is model.graph.inputs[0]
