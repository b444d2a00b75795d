"""One file and back."""

import zipfile

import numpy as np
import pytest

from graphopt.artifact.pack import pack, unpack
from graphopt.artifact.reader import open_artifact
from graphopt.errors import ArtifactError
from graphopt.runtime.session import load

X = np.linspace(-1, 1, 1200, dtype=np.float32).reshape(2, 600)


def test_one_file_computes_the_same_and_unpacks_to_the_same_bytes(gopt, tmp_path):
    one = pack(gopt, tmp_path / "one.gopt")
    np.testing.assert_array_equal(load(one).run({"x": X})["y"], load(gopt).run({"x": X})["y"])
    back = unpack(one, tmp_path / "back.gopt")
    for name in (*open_artifact(gopt).manifest.files, "manifest.json"):
        assert (back / name).read_bytes() == (gopt / name).read_bytes()


def test_nothing_is_compressed_and_weights_start_on_a_page(gopt, tmp_path):
    one = pack(gopt, tmp_path / "one.gopt")
    data = one.read_bytes()
    weights = (gopt / "weights.bin").read_bytes()
    assert data.index(weights) % 4096 == 0
    with zipfile.ZipFile(one) as archive:
        assert archive.testzip() is None
        assert archive.namelist()[0] == "manifest.json"
        assert all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())


def test_packing_again_is_the_same_file(gopt, tmp_path):
    one = pack(gopt, tmp_path / "one.gopt")
    two = pack(one, tmp_path / "two.gopt")
    assert one.read_bytes() == two.read_bytes()


def test_a_packed_file_may_be_replaced_by_either_form(gopt, tmp_path):
    one = pack(gopt, tmp_path / "one.gopt")
    pack(gopt, one)
    unpack(pack(gopt, tmp_path / "two.gopt"), one)
    assert one.is_dir()
    pack(gopt, one)
    assert one.is_file()
    open_artifact(one)


def test_packing_onto_itself_is_refused(gopt):
    with pytest.raises(ArtifactError, match="onto itself"):
        pack(gopt, gopt)


def test_an_unwritable_output_is_one_line_and_leaves_nothing(gopt, tmp_path):
    with pytest.raises(ArtifactError, match="does not exist"):
        pack(gopt, tmp_path / "nowhere" / "one.gopt")
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="Not a directory"):
        unpack(gopt, tmp_path / "file" / "out.gopt")
    assert {p.name for p in tmp_path.iterdir()} == {"model.gopt", "file"}


def test_something_else_is_not_overwritten(gopt, tmp_path):
    (tmp_path / "thesis.zip").write_bytes(b"PK\x03\x04 thesis")
    with pytest.raises(ArtifactError, match="exists and is not an artifact"):
        pack(gopt, tmp_path / "thesis.zip")


def test_packing_a_damaged_artifact_is_refused(gopt, tmp_path):
    (gopt / "report.json").write_text("{ }")
    with pytest.raises(ArtifactError, match=r"'report\.json' has 3 bytes, not 2"):
        pack(gopt, tmp_path / "one.gopt")
    assert not (tmp_path / "one.gopt").exists()
