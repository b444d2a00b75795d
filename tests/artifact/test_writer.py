"""Writing: complete or not at all, weights stored once and aligned, plain tools can read the model."""

import errno
import json
import os
import subprocess
import sys
import textwrap

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from graphopt.artifact import atomic
from graphopt.artifact.reader import open_artifact
from graphopt.artifact.weights import LARGE_ALIGNMENT, LARGE_FROM, SMALL_ALIGNMENT, WeightFile
from graphopt.artifact.writer import ArtifactWriter
from graphopt.errors import ArtifactError
from graphopt.runtime.session import load

from .conftest import affine_model, write


def leftovers(folder):
    """Everything in a folder but the artifact itself."""
    return sorted(p.name for p in folder.iterdir() if p.name != "model.gopt")


def test_the_folder_holds_what_the_manifest_lists_and_nothing_else(gopt):
    manifest = open_artifact(gopt).manifest
    found = {str(p.relative_to(gopt)) for p in gopt.rglob("*") if p.is_file()}
    assert found == {*manifest.files, "manifest.json"}
    assert found == {"manifest.json", "model.onnx", "regions/0.onnxruntime", "report.json", "weights.bin"}
    assert leftovers(gopt.parent) == []


def test_the_model_inside_runs_in_plain_onnxruntime_and_passes_the_checker(gopt):
    onnx.checker.check_model(str(gopt / "model.onnx"), full_check=True)
    x = np.ones((2, 600), np.float32)
    plain = ort.InferenceSession(gopt / "model.onnx", providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(plain.run(None, {"x": x})[0], load(gopt).run({"x": x})["y"])
    assert plain.get_modelmeta().custom_metadata_map["author"] == "someone"


def test_equal_weights_are_stored_once(gopt):
    assert (gopt / "weights.bin").stat().st_size == 600 * 4


def test_weights_are_aligned_for_mapping_and_shared_by_content(tmp_path):
    path = tmp_path / "weights.bin"
    file = WeightFile(path, lambda error: ArtifactError(str(error)))
    small = ir.tensor(np.arange(10, dtype=np.int8))
    large = ir.tensor(np.arange(LARGE_FROM // 4 + 1, dtype=np.float32))
    twin = ir.tensor(large.numpy().copy())
    places = [file.place("a", small), file.place("b", small), file.place("c", large), file.place("d", twin)]
    entry = file.close()
    assert places[0] == places[1] == (0, 10)
    assert places[2] == places[3]
    assert places[2][0] % LARGE_ALIGNMENT == 0
    assert SMALL_ALIGNMENT >= 64
    data = path.read_bytes()
    assert len(data) == entry.size
    assert data[places[2][0] :][: places[2][1]] == large.tobytes()


def test_packed_and_foreign_dtypes_are_stored_as_onnx_spells_them(tmp_path):
    file = WeightFile(tmp_path / "w", lambda error: ArtifactError(str(error)))
    tensors = [
        ir.Tensor(np.arange(-8, 8, dtype=np.int8), dtype=ir.DataType.INT4),
        ir.tensor(np.arange(16, dtype=ml_dtypes.bfloat16)),
        ir.tensor(np.array(3.0, np.float32)),
        ir.tensor(np.arange(6, dtype=">i4").reshape(2, 3).astype("i4").T),
    ]
    places = [file.place(str(i), tensor) for i, tensor in enumerate(tensors)]
    file.close()
    data = (tmp_path / "w").read_bytes()
    for tensor, (offset, length) in zip(tensors, places, strict=True):
        assert data[offset : offset + length] == tensor.tobytes()


def test_an_exception_leaves_nothing_behind(tmp_path):
    def interrupted():
        with ArtifactWriter(tmp_path / "model.gopt") as writer:
            writer.weights.place("w", ir.tensor(np.ones(1000, np.float32)))
            writer.add_file("report.json", "{}")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_leaving_without_commit_leaves_nothing_behind(tmp_path):
    with ArtifactWriter(tmp_path / "model.gopt") as writer:
        writer.add_file("report.json", "{}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["write", "fsync", "rename"])
def test_a_failing_disk_is_one_line_and_keeps_the_old_artifact(tmp_path, monkeypatch, step):
    path = tmp_path / "model.gopt"
    write(path, details={"versions": {"first": "1"}})

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    if step == "write":
        monkeypatch.setattr(WeightFile, "_write", full)
    elif step == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr(atomic, "_swap", full)
    with pytest.raises(ArtifactError, match=r"cannot write .*model\.gopt: No space left on device") as caught:
        write(path, details={"versions": {"second": "2"}})
    monkeypatch.undo()
    assert "\n" not in str(caught.value)
    assert leftovers(tmp_path) == []
    assert open_artifact(path).manifest.details["versions"] == {"first": "1"}


def test_a_real_full_disk_is_one_line(tmp_path):
    """RLIMIT_FSIZE makes the kernel refuse the write, as a full disk would."""
    script = """
    import resource, signal, sys
    import numpy as np, onnx_ir as ir
    from graphopt.artifact.writer import ArtifactWriter
    from graphopt.errors import ArtifactError
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        with ArtifactWriter(sys.argv[1]) as writer:
            for seed in range(9):
                writer.weights.place("w", ir.tensor(np.full(10_000, seed, np.float32)))
            writer.commit(inputs=[], outputs=[])
    except ArtifactError as error:
        print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "model.gopt")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "File too large" in done.stdout
    assert done.stdout.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_overwriting_is_one_step_and_whoever_has_the_old_one_open_keeps_it(tmp_path):
    path = tmp_path / "model.gopt"
    write(path, details={"versions": {"first": "1"}})
    session, x = load(path), np.ones((1, 600), np.float32)
    before = session.run({"x": x})["y"]
    write(path, model=affine_model(700), details={"versions": {"second": "2"}})
    assert open_artifact(path).manifest.details["versions"] == {"second": "2"}
    np.testing.assert_array_equal(session.run({"x": x})["y"], before)
    assert leftovers(tmp_path) == []


def test_without_an_atomic_exchange_overwriting_still_works(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "_exchange", lambda a, b: False)
    for name in ("first", "second"):
        write(tmp_path / "model.gopt", details={"versions": {name: "1"}})
    assert open_artifact(tmp_path / "model.gopt").manifest.details["versions"] == {"second": "1"}
    assert leftovers(tmp_path) == []


def test_what_is_not_an_artifact_is_not_overwritten(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "cat.jpg").write_bytes(b"cat")
    file = tmp_path / "notes.txt"
    file.write_text("notes")
    for path in (folder, file):
        with pytest.raises(ArtifactError, match="exists and is not an artifact"):
            write(path)
    assert (folder / "cat.jpg").read_bytes() == b"cat"
    assert file.read_text() == "notes"
    assert len(list(tmp_path.iterdir())) == 2


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "model.gopt").mkdir()
    write(tmp_path / "model.gopt")
    open_artifact(tmp_path / "model.gopt")


def test_an_output_in_no_folder_names_the_folder(tmp_path):
    with pytest.raises(ArtifactError, match=r"the folder .*nowhere does not exist \(choose another output"):
        write(tmp_path / "nowhere" / "model.gopt")


def test_an_output_below_a_file_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match=r"cannot write .*Not a directory"):
        write(tmp_path / "file" / "model.gopt")


def test_a_file_cannot_be_added_twice_or_over_the_manifest(tmp_path):
    with ArtifactWriter(tmp_path / "model.gopt") as writer:
        writer.add_file("report.json", "{}")
        for name in ("report.json", "manifest.json", "weights.bin"):
            with pytest.raises(ArtifactError, match="already has a file"):
                writer.add_file(name, "{}")


def test_the_same_artifact_is_the_same_bytes(tmp_path):
    write(tmp_path / "a.gopt")
    write(tmp_path / "b.gopt")
    for file in (tmp_path / "a.gopt").rglob("*"):
        if file.is_file():
            assert (
                file.read_bytes()
                == (tmp_path / "b.gopt" / file.relative_to(tmp_path / "a.gopt")).read_bytes()
            )
    assert json.loads((tmp_path / "a.gopt/manifest.json").read_text())["writer"] == "graphopt test"
