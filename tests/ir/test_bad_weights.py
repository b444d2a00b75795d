"""Weights that are not where the model says, or do not fit into memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper

from graphopt.ir.load import load_model
from tests.ir.refusal import refused
from tests.ir.samples import CONV, parse


def _external(folder: Path, **entries: str) -> Path:
    """A model in ``folder`` with one external tensor of 4096 bytes; ``entries`` replace what it says."""
    model = parse(CONV)
    weight = numpy_helper.from_array(np.zeros((32, 32), np.float32), "spare")
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in ({"location": "w.bin", "offset": "0", "length": "4096"} | entries).items():
        weight.external_data.add(key=key, value=value)
    model.graph.initializer.append(weight)
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with sound weights, and a secret outside it."""
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "w.bin").write_bytes(bytes(4096))
    (tmp_path / "secret").write_bytes(bytes(4096))
    return inside


def test_sound_external_data(folder: Path) -> None:
    assert load_model(_external(folder)).graph.initializers["spare"].const_value is not None


@pytest.mark.parametrize("location", ["../secret", "a/../../secret", "w.bin/../../secret"])
def test_external_data_outside_the_folder(folder: Path, location: str) -> None:
    refused(_external(folder, location=location), "outside", "spare")


def test_external_data_at_an_absolute_path(folder: Path) -> None:
    refused(_external(folder, location=str(folder.parent / "secret")), "absolute")
    refused(_external(folder, location="C:\\weights"), "absolute")


def test_external_data_through_a_link(folder: Path) -> None:
    (folder / "link").symlink_to(folder.parent / "secret")
    (folder / "up").symlink_to(folder.parent)
    refused(_external(folder, location="link"), "outside")
    refused(_external(folder, location="up/secret"), "outside")
    (folder / "good").symlink_to(folder / "w.bin")
    assert load_model(_external(folder, location="good")) is not None


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"offset": "8"}, ["too short", "8 to 4104", "4096"]),
        ({"offset": "-8"}, ["offset", "-8"]),
        ({"offset": "x"}, ["offset", "'x'"]),
        ({"offset": str(1 << 70)}, ["offset"]),
        ({"length": "12"}, ["12 bytes", "say 4096"]),
        ({"length": "-1"}, ["length"]),
        ({"location": "gone.bin"}, ["gone.bin", "missing"]),
        ({"location": ""}, ["external data file"]),
        ({"location": "."}, ["folder"]),
        ({"location": "w\0.bin"}, ["external data file"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_bad_references(folder: Path, entries: dict[str, str], words: list[str]) -> None:
    refused(_external(folder, **entries), *words)


def test_external_data_without_a_folder(folder: Path) -> None:
    data = _external(folder).read_bytes()
    refused(data, "without a folder")
    assert load_model(data, folder=folder) is not None


_LIMITED = """
import resource, sys
from pathlib import Path
from graphopt.errors import ModelError
from graphopt.ir.load import load_model
from graphopt.ir.shapes import infer_shapes
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), resource.RLIM_INFINITY))
try:
    load_model(sys.argv[1])
except ModelError as error:
    print(error)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads memory use from /proc")
@pytest.mark.parametrize("kind", ["weights", "nodes"])
def test_out_of_memory(kind: str, tmp_path: Path) -> None:
    if kind == "weights":
        path = _external(tmp_path)
        (tmp_path / "w.bin").write_bytes(b"")
        os.truncate(tmp_path / "w.bin", 1 << 30)
    else:
        model = parse(CONV)
        model.graph.doc_string = "x" * (100 << 20)
        path = tmp_path / "m.onnx"
        path.write_bytes(model.SerializeToString())
    done = subprocess.run([sys.executable, "-c", _LIMITED, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "ran out of memory while loading the model" in done.stdout
    assert "ulimit -v" in done.stdout
    assert done.stdout.count("\n") == 1
