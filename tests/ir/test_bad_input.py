"""Bad models: each is refused with one line that names the cause, and a next step."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from graphopt.errors import ModelError
from graphopt.ir.load import load_model
from tests.ir.refusal import refused
from tests.ir.samples import CONTROL, CONV, FUNCTIONS, parse

Damage = Callable[[onnx.ModelProto], None]


def _damaged(text: str, damage: Damage) -> onnx.ModelProto:
    model = parse(text)
    damage(model)
    return model


def test_no_such_file(tmp_path: Path) -> None:
    refused(tmp_path / "none.onnx", "none.onnx", "does not exist")


def test_a_folder(tmp_path: Path) -> None:
    refused(tmp_path, "folder")


def test_an_unreadable_file(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"x")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("root reads every file")
    refused(path, "Permission denied")


def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m.onnx")
    refused(tmp_path / "m.onnx", "regular file")


def test_empty(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"")
    refused(tmp_path / "m.onnx", "m.onnx", "is empty")
    refused(b"", "is empty")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
        (pickle.dumps({"weights": [1, 2]}), "pickle"),
        (json.dumps({"format": "tfjs"}).encode(), "JSON"),
        (b"\x1f\x8b\x08\x00abc", "gzip"),
        (b"\x18\x00\x00\x00ORTM" + bytes(64), ".ort"),
        (b"<html>404</html>", "text"),
        (np.random.default_rng(0).bytes(4096), "not an ONNX model"),
        (b"hello world, this is no model", "not an ONNX model"),
        (b"\x08\x07\x12\x04test", "no ONNX graph"),
    ],
    ids=["lfs", "pickle", "json", "gzip", "ort", "html", "random", "words", "header-only"],
)
def test_other_formats_are_named(content: bytes, word: str, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    refused(tmp_path / "m.onnx", word)


def test_a_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.pt", "w") as archive:
        archive.writestr("data.pkl", b"x")
    refused(tmp_path / "m.pt", "zip")


def test_cut_off_anywhere() -> None:
    model = parse(CONV)
    data = model.SerializeToString()
    rest = onnx.ModelProto(metadata_props=model.metadata_props).ByteSize()
    for length in range(1, len(data) - rest):  # Without its last field, the metadata, it is a model again.
        with pytest.raises(ModelError):
            load_model(data[:length])
    refused(data[: len(data) // 2], "cut off")


@pytest.mark.parametrize("padding", [0, 5000])
def test_nested_too_deeply(padding: int) -> None:
    """Protobuf's parser and writer stop at 100 messages, so such a file is put together by hand."""

    def field(number: int, payload: bytes) -> bytes:
        size, length = len(payload), bytearray()
        while size > 0x7F:
            length.append(size & 0x7F | 0x80)
            size >>= 7
        return bytes([number << 3 | 2, *length, size]) + payload

    graph = field(2, b"g" * (padding + 1))
    for _ in range(60):
        graph = field(1, field(4, b"If") + field(5, field(1, b"then_branch") + field(6, graph)))
    data = b"\x08\x08" + field(7, graph)
    refused(data, "too deeply" if padding == 0 else "deeper than 24")


def _unknown(model: onnx.ModelProto) -> None:
    model.graph.node[1].op_type = "Relux"


def _future(model: onnx.ModelProto) -> None:
    model.graph.node[1].op_type = "Gelu"


def _removed(model: onnx.ModelProto) -> None:
    model.graph.node[1].op_type = "Upsample"


def _undefined(model: onnx.ModelProto) -> None:
    model.graph.node[1].input[0] = "missing"


def _cycle(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = "r"


def _no_producer(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = "z"


def _twice(model: onnx.ModelProto) -> None:
    model.graph.node[1].output[0] = "c"


def _twice_input(model: onnx.ModelProto) -> None:
    model.graph.input.add().CopyFrom(model.graph.input[0])


def _too_many_inputs(model: onnx.ModelProto) -> None:
    model.graph.node[1].input.append("x")


def _too_few_inputs(model: onnx.ModelProto) -> None:
    del model.graph.node[0].input[1:]


def _omitted_input(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[1] = ""


def _wrong_attribute(model: onnx.ModelProto) -> None:
    model.graph.node[1].attribute.append(helper.make_attribute("slope", 1))


def _wrong_attribute_type(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute[0].CopyFrom(helper.make_attribute("pads", "all"))


def _missing_attribute(model: onnx.ModelProto) -> None:
    del model.graph.node[2].attribute[:]


def _no_domain(model: onnx.ModelProto) -> None:
    model.graph.node[1].domain = "com.unknown"


def _future_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 99


def _future_ir(model: onnx.ModelProto) -> None:
    model.ir_version = 99


def _no_opset(model: onnx.ModelProto) -> None:
    del model.opset_import[:]


def _two_opsets(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("ai.onnx", 11))


def _negative_dim(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[0] = -4


def _huge_dims(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [1 << 40, 1 << 40, 1 << 40]


def _terabyte(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [1 << 40]


def _short_data(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].raw_data = b"abc"
    model.graph.initializer[0].ClearField("float_data")


def _unknown_type(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_type = 77


def _rank_100(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [1] * 100


def _untyped_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].ClearField("type")


def _nameless(model: onnx.ModelProto) -> None:
    model.graph.node[1].op_type = ""


def _map(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.map_type.key_type = TensorProto.INT64


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_unknown, ["Relux", "Relu"]),
        (_future, ["Gelu", "opset 20"]),
        (_removed, ["Upsample", "removed", "opset 10"]),
        (_undefined, ["missing", "Relu", "nothing defines"]),
        (_cycle, ["cycle", "Conv", "Relu"]),
        (_no_producer, ["'z'", "no node"]),
        (_twice, ["'c'", "SSA"]),
        (_twice_input, ["two inputs named 'x'"]),
        (_too_many_inputs, ["Relu", "2 inputs", "takes 1"]),
        (_too_few_inputs, ["Conv", "1 inputs", "2 to 3"]),
        (_omitted_input, ["Conv", "input 1"]),
        (_wrong_attribute, ["Relu", "slope"]),
        (_wrong_attribute_type, ["pads", "STRING", "INTS"]),
        (_missing_attribute, ["MaxPool", "kernel_shape"]),
        (_no_domain, ["com.unknown", "does not import"]),
        (_future_opset, ["opset 99", "pip install"]),
        (_future_ir, ["IR version 99", "pip install"]),
        (_no_opset, ["no operator set"]),
        (_two_opsets, ["13 and 11"]),
        (_negative_dim, ["negative dim"]),
        (_huge_dims, ["more than can exist"]),
        (_terabyte, ["need"]),
        (_short_data, ["3 bytes", "need 16"]),
        (_unknown_type, ["data type 77"]),
        (_rank_100, ["rank 100"]),
        (_untyped_input, ["'x' has no type"]),
        (_nameless, ["no operator"]),
        (_map, ["map"]),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
def test_damaged_models(damage: Damage, words: list[str]) -> None:
    refused(_damaged(CONV, damage), *words)


def test_a_branch_that_returns_an_outer_value() -> None:
    def damage(model: onnx.ModelProto) -> None:
        branch = model.graph.node[1].attribute[0].g
        branch.output[0].name = "x"

    refused(_damaged(CONTROL, damage), "enclosing graph", "Identity")


def test_functions_that_call_each_other_in_a_circle() -> None:
    def damage(model: onnx.ModelProto) -> None:
        model.functions[0].node[1].op_type = "scaled"
        model.functions[0].node[1].domain = "local"

    refused(_damaged(FUNCTIONS, damage), "scaled", "calls itself")


def test_a_function_called_with_too_much() -> None:
    refused(_damaged(FUNCTIONS, lambda m: m.graph.node[0].input.extend(["x", "x"])), "function takes at most")


def test_names_cannot_break_the_line() -> None:
    def damage(model: onnx.ModelProto) -> None:
        model.graph.node[1].op_type = "Re\nlu" + "x" * 1000

    refused(_damaged(CONV, damage))
