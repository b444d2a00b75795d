"""Opening: whatever was done to an artifact, the answer is the right one or one line, never a crash."""

import json
import os
import shutil
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphopt.artifact.manifest import digest
from graphopt.artifact.pack import pack, unpack
from graphopt.artifact.reader import open_artifact
from graphopt.errors import ArtifactError, GraphoptError
from graphopt.runtime.session import load

from .conftest import write

X = np.ones((1, 600), np.float32)
FUZZ = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """An artifact as folder and as one file, and what it computes."""
    folder = tmp_path_factory.mktemp("pristine")
    write(folder / "model.gopt")
    pack(folder / "model.gopt", folder / "packed.gopt")
    return folder / "model.gopt", folder / "packed.gopt", load(folder / "model.gopt").run({"x": X})["y"]


def refused(path, match="model.gopt|copy.gopt|short.gopt"):
    """Opening fails with one line."""
    with pytest.raises(ArtifactError, match=match) as caught:
        load(path)
    assert "\n" not in str(caught.value)


def resign(folder, change):
    """Change manifest fields and sign them again, as a forger would."""
    raw = json.loads((folder / "manifest.json").read_text())
    change(raw)
    raw["digest"] = digest(raw)
    (folder / "manifest.json").write_text(json.dumps(raw))


def test_what_is_not_there_says_how_to_make_one(tmp_path):
    refused(tmp_path / "model.gopt", r"there is no artifact at .*graphopt compile")


def test_a_folder_without_a_manifest_is_foreign(tmp_path):
    refused(tmp_path, "is not a graphopt artifact")


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), os.urandom(5000)]
)
def test_a_foreign_file_is_refused(tmp_path, content):
    (tmp_path / "model.gopt").write_bytes(content)
    refused(tmp_path / "model.gopt", "is not a graphopt artifact")


def test_a_device_or_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "not a regular file")


@FUZZ
@given(st.data())
def test_any_changed_byte_is_found(pristine, tmp_path, data):
    folder, _, _ = pristine
    copy = tmp_path / "copy.gopt"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    names = sorted(str(p.relative_to(copy)) for p in copy.rglob("*") if p.is_file())
    file = copy / data.draw(st.sampled_from(names))
    content = bytearray(file.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    bit = 1 << data.draw(st.integers(0, 7))
    before = json.loads(content) if file.name == "manifest.json" else None
    content[position] ^= bit
    file.write_bytes(content)
    try:
        load(copy)
    except ArtifactError as error:
        assert "\n" not in str(error)
    else:
        # Only white space between the manifest's fields carries no meaning.
        assert before is not None
        assert json.loads(content) == before


@FUZZ
@given(st.data())
def test_any_truncation_is_found(pristine, tmp_path, data):
    folder, packed, _ = pristine
    copy = tmp_path / "copy.gopt"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    names = sorted(str(p.relative_to(copy)) for p in copy.rglob("*") if p.is_file())
    file = copy / data.draw(st.sampled_from(names))
    content = file.read_bytes()
    file.write_bytes(content[: data.draw(st.integers(0, len(content) - 2))])
    refused(copy)
    content = packed.read_bytes()
    short = tmp_path / "short.gopt"
    short.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    refused(short)


@FUZZ
@given(st.data())
def test_a_damaged_packed_file_is_refused_or_still_right(pristine, tmp_path, data):
    _, packed, expected = pristine
    content = bytearray(packed.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        # The directory at the end is where damage is most interesting.
        low = data.draw(st.sampled_from([0, len(content) - 700]))
        content[data.draw(st.integers(low, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.gopt"
    path.write_bytes(content)
    try:
        session = load(path)
    except ArtifactError as error:
        assert "\n" not in str(error)
    else:
        np.testing.assert_array_equal(session.run({"x": X})["y"], expected)


def test_a_missing_file_is_named(gopt):
    (gopt / "weights.bin").unlink()
    refused(gopt, r"incomplete: 'weights\.bin' is missing \(compile the model again\)")


def test_a_link_out_of_the_folder_is_refused(gopt, tmp_path):
    secret = tmp_path / "secret"
    shutil.copy(gopt / "weights.bin", secret)
    (gopt / "weights.bin").unlink()
    (gopt / "weights.bin").symlink_to(secret)
    refused(gopt, r"'weights\.bin' cannot be opened")


def test_a_linked_folder_inside_is_refused(gopt, tmp_path):
    shutil.move(gopt / "regions", tmp_path / "elsewhere")
    (gopt / "regions").symlink_to(tmp_path / "elsewhere")
    refused(gopt, "cannot be opened")


def test_a_pipe_in_place_of_a_file_is_refused_without_waiting(gopt):
    (gopt / "weights.bin").unlink()
    os.mkfifo(gopt / "weights.bin")
    refused(gopt, "not a regular file")


def test_the_artifact_itself_may_be_a_link(gopt, tmp_path):
    (tmp_path / "latest.gopt").symlink_to(gopt)
    load(tmp_path / "latest.gopt")


def test_a_giant_manifest_is_refused_before_it_is_read(gopt):
    with (gopt / "manifest.json").open("r+b") as file:
        file.truncate(1 << 40)
    refused(gopt, "too large")


@pytest.mark.parametrize(
    "table",
    [
        [],
        {"w": None},
        {"w": [1, 0]},
        {"w": [99, 0, [600]]},
        {"w": [1, -4, [600]]},
        {"w": [1, 1, [2]]},
        {"w": [1, 0, [601]]},
        {"w": [1, 0, [1 << 62, 1 << 62]]},
        {"w": [1, 0, [-600]]},
        {"w": [1, 0, ["600"]]},
        {"w": [7, 0, [300]]},
        {"nobody": [1, 0, [600]]},
    ],
)
def test_forged_weight_tables_are_refused(gopt, table):
    resign(gopt, lambda raw: raw["regions"][0]["options"].update(initializers=table))
    with pytest.raises(GraphoptError) as caught:
        load(gopt)
    assert "\n" not in str(caught.value)


def test_a_region_that_names_files_elsewhere_reads_none_of_them(gopt, tmp_path, monkeypatch):
    """Without its table the region's own references are all ONNX Runtime has: only the folder's count."""
    region = (gopt / "regions/0.onnxruntime").read_bytes()
    secret = b"../secret.b"
    assert len(secret) == len(b"weights.bin")
    (tmp_path / "secret.b").write_bytes((gopt / "weights.bin").read_bytes())
    forged = region.replace(b"weights.bin", secret)
    (gopt / "regions/0.onnxruntime").write_bytes(forged)

    def sign(raw):
        import hashlib

        raw["files"]["regions/0.onnxruntime"]["sha256"] = hashlib.sha256(forged).hexdigest()
        raw["regions"][0]["options"]["initializers"] = {}

    resign(gopt, sign)
    monkeypatch.chdir(gopt)
    with pytest.raises(GraphoptError, match="escapes"):
        load(gopt)


def test_a_region_that_computes_something_else_is_refused(gopt):
    resign(gopt, lambda raw: (raw["regions"][0].update(outputs=["z"]), raw["outputs"][0].update(name="z")))
    refused(gopt, "computes something else than the manifest says")


def test_a_backend_that_is_not_installed_is_named(gopt):
    resign(gopt, lambda raw: raw["regions"][0].update(backend="abacus"))
    with pytest.raises(GraphoptError, match="no backend 'abacus' is installed here"):
        load(gopt)
    session = load(gopt, fallback=True)
    assert any("abacus" in notice for notice in session.notices)
    assert session.run({"x": X})["y"].shape == (1, 600)


def repacked(source, target, change):
    """Copy a packed artifact entry by entry through ``change(info, data)``."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            for info, data, compression in change(entry, old.read(entry)):
                new.writestr(info, data, compression)


def test_a_zip_bomb_is_refused_before_anything_is_unpacked(pristine, tmp_path):
    def squeeze(entry, data):
        if entry.filename == "weights.bin":
            return [(entry.filename, bytes(100 << 20), zipfile.ZIP_DEFLATED)]
        return [(entry.filename, data, zipfile.ZIP_STORED)]

    repacked(pristine[1], tmp_path / "bomb.gopt", squeeze)
    refused(tmp_path / "bomb.gopt", "compressed or encrypted")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_entry_that_is_there_twice_is_refused(pristine, tmp_path):
    repacked(
        pristine[1],
        tmp_path / "twice.gopt",
        lambda e, d: [(e.filename, d, 0)] * (1 + (e.filename == "weights.bin")),
    )
    refused(tmp_path / "twice.gopt", "twice")


def test_entries_that_no_manifest_lists_are_never_written_anywhere(pristine, tmp_path):
    path, out = tmp_path / "slip.gopt", tmp_path / "deep" / "out.gopt"
    out.parent.mkdir()
    repacked(
        pristine[1],
        path,
        lambda e, d: [(e.filename, d, 0), ("../../slip", b"x", 0)][: 1 + (e.filename == "model.onnx")],
    )
    unpack(path, out)
    assert not (tmp_path / "slip").exists()
    assert not (out.parent / "slip").exists()
    open_artifact(out)
