"""Saving: whole or not at all, weights where asked, nothing lost."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from graphopt.errors import ModelError
from graphopt.ir import save
from graphopt.ir.load import load_model
from graphopt.ir.save import save_model, to_bytes, to_proto
from tests.ir.samples import CONTROL, CONV, all_samples, parse


@pytest.fixture
def model() -> Iterator[ir.Model]:
    """A model with a weight of 16 KiB, which must be the same after the test."""
    proto = parse(CONV.replace("float[4, 3, 3, 3] w", "float[4, 3, 3, 3] w, float[64, 64] spare"))
    loaded = load_model(proto)
    before = to_bytes(loaded)
    yield loaded
    assert to_bytes(loaded) == before


@pytest.mark.parametrize("weights_name", [None, "w.bin"])
def test_round_trip(model: ir.Model, weights_name: str | None, tmp_path: Path) -> None:
    save_model(model, tmp_path / "m.onnx", weights_name=weights_name)
    assert {p.name for p in tmp_path.iterdir()} == {"m.onnx", weights_name or "m.onnx"}
    assert to_bytes(load_model(tmp_path / "m.onnx")) == to_bytes(model)
    onnx.checker.check_model(str(tmp_path / "m.onnx"))


def test_large_weights_lie_beside_small_ones_inside(model: ir.Model, tmp_path: Path) -> None:
    save_model(model, tmp_path / "m.onnx", weights_name="w.bin", inline_below=1024)
    saved = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    external = {t.name for t in saved.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL}
    assert external == {"spare"}
    assert (tmp_path / "m.onnx").stat().st_size < 4096
    assert (tmp_path / "w.bin").stat().st_size == 16384


def test_tensors_in_attributes_go_out_too(tmp_path: Path) -> None:
    array = np.arange(4096, dtype=np.float32)
    constant = onnx.helper.make_node("Constant", [], ["c"], value=onnx.numpy_helper.from_array(array))
    proto = parse(CONTROL)
    proto.graph.node[1].attribute[0].g.node.insert(0, constant)
    model = load_model(proto)
    save_model(model, tmp_path / "m.onnx", weights_name="w.bin")
    assert (tmp_path / "w.bin").stat().st_size == array.nbytes
    branch = (
        load_model(tmp_path / "m.onnx").graph[1].attributes[proto.graph.node[1].attribute[0].name].as_graph()
    )
    np.testing.assert_array_equal(branch[0].attributes["value"].as_tensor().numpy(), array)


def test_beyond_the_limit_weights_go_out_by_themselves(
    model: ir.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(save, "PROTOBUF_LIMIT", 8192)
        save_model(model, tmp_path / "m.onnx")
        with pytest.raises(ModelError, match="weights_name"):
            to_bytes(model)
    assert (tmp_path / "m.onnx.data").exists()
    assert to_bytes(load_model(tmp_path / "m.onnx")) == to_bytes(model)


def test_stripped_of_weights(model: ir.Model) -> None:
    proto = to_proto(model, keep_below=1024)
    assert proto.ByteSize() < 4096
    assert {t.name: list(t.dims) for t in proto.graph.initializer}["spare"] == [64, 64]


@pytest.mark.parametrize("weights_name", ["../w.bin", "/tmp/w.bin", "a/b", "m.onnx"])
def test_weights_stay_in_the_folder(model: ir.Model, weights_name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="own folder"):
        save_model(model, tmp_path / "m.onnx", weights_name=weights_name)


def test_no_folder(model: ir.Model, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be written: No such file"):
        save_model(model, tmp_path / "none" / "m.onnx")


@pytest.mark.parametrize("weights_name", [None, "w.bin"])
def test_a_failure_leaves_what_was_there(
    model: ir.Model, weights_name: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(save.os, "fsync", full)
        with pytest.raises(ModelError, match="No space left"):
            save_model(model, path, weights_name=weights_name)
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]
    assert path.read_bytes() == b"old"


def test_the_mode_of_a_replaced_file_stays(model: ir.Model, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"old")
    path.chmod(0o640)
    save_model(model, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_weights_are_aligned_to_pages(model: ir.Model, tmp_path: Path) -> None:
    save_model(model, tmp_path / "m.onnx", weights_name="w.bin", inline_below=16)
    saved = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    offsets = {
        t.name: int({e.key: e.value for e in t.external_data}["offset"]) for t in saved.graph.initializer
    }
    assert offsets["spare"] % 4096 == 0
    assert all(offset % 64 == 0 for offset in offsets.values())


def test_what_cannot_be_serialised_is_named() -> None:
    model = load_model(parse(CONV))
    model.graph[0].outputs[0].name = None
    with pytest.raises(ModelError, match="cannot be serialised"):
        to_bytes(model)


def test_every_sample_passes_the_checker() -> None:
    for proto in all_samples():
        onnx.checker.check_model(to_bytes(load_model(proto)))
