"""Opening: whatever was done to an artifact, the answer is the right one or one line, never a crash."""

import contextlib
import hashlib
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


def _copy_and_a_file_of_it(folder, tmp_path, data):
    copy = tmp_path / "copy.gopt"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    names = sorted(str(p.relative_to(copy)) for p in copy.rglob("*") if p.is_file())
    return copy, copy / data.draw(st.sampled_from(names))


@FUZZ
@given(st.data())
def test_any_changed_byte_is_found(pristine, tmp_path, data):
    folder, _, _ = pristine
    copy, file = _copy_and_a_file_of_it(folder, tmp_path, data)
    content = bytearray(file.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    bit = 1 << data.draw(st.integers(0, 7))
    before = json.loads(content) if file.name == "manifest.json" else None
    content[position] ^= bit
    file.write_bytes(content)
    with contextlib.suppress(ArtifactError):
        load(copy)
        # Only white space between the manifest's fields carries no meaning.
        assert before is not None
        assert json.loads(content) == before


@FUZZ
@given(st.data())
def test_any_truncation_is_found(pristine, tmp_path, data):
    folder, packed, _ = pristine
    copy, file = _copy_and_a_file_of_it(folder, tmp_path, data)
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
    with contextlib.suppress(ArtifactError):
        session = load(path)
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


def forge(gopt, change):
    """Change a region's bytes and sign everything again."""
    region = gopt / "regions/0.onnxruntime"
    forged = change(region.read_bytes())
    region.write_bytes(forged)
    entry = {"size": len(forged), "sha256": hashlib.sha256(forged).hexdigest()}
    resign(gopt, lambda raw: raw["files"].update({"regions/0.onnxruntime": entry}))


@pytest.mark.parametrize("packing", [False, True])
@pytest.mark.parametrize("data", [b"", b"junk", bytes(1000)])
def test_a_region_that_is_no_model_is_refused(gopt, tmp_path, data, packing):
    forge(gopt, lambda _: data)
    path = pack(gopt, tmp_path / "one.gopt") if packing else gopt
    with pytest.raises(GraphoptError, match="onnxruntime refuses the model") as caught:
        load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("packing", [False, True])
def test_weights_outside_the_weights_file_are_refused(gopt, tmp_path, packing):
    forge(gopt, lambda region: region.replace(b"\x06offset\x12\x010", b"\x06offset\x12\x019"))
    path = pack(gopt, tmp_path / "one.gopt") if packing else gopt
    with pytest.raises(GraphoptError, match=r"out of bounds|exceeds|too short|outside"):
        load(path)


@pytest.mark.parametrize("packing", [False, True])
def test_a_region_that_names_files_elsewhere_reads_none_of_them(gopt, tmp_path, monkeypatch, packing):
    secret = b"../secret.b"
    assert len(secret) == len(b"weights.bin")
    (tmp_path / "secret.b").write_bytes((gopt / "weights.bin").read_bytes())
    forge(gopt, lambda region: region.replace(b"weights.bin", secret))
    path = pack(gopt, tmp_path / "one.gopt") if packing else gopt
    monkeypatch.chdir(gopt)
    with pytest.raises(GraphoptError, match=r"escapes|not found"):
        load(path)


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
