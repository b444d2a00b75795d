"""Damaged, foreign and future artifacts: one line, exit code 1."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from graphopt.artifact.manifest import digest
from tests.cli.conftest import Run


def _flip_a_bit(folder: Path) -> None:
    path = next(
        path for path in sorted(folder.rglob("*")) if path.is_file() and path.parent.name == "regions"
    )
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _remove_a_region(folder: Path) -> None:
    shutil.rmtree(folder / "regions")


def _cut_the_manifest(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_bytes(path.read_bytes()[:200])


def _edit(folder: Path, **changes: object) -> None:
    path = folder / "manifest.json"
    fields = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(fields | {"digest": digest(fields)}))


def _from_the_future(folder: Path) -> None:
    _edit(folder, schema="99.0")


def _from_another_program(folder: Path) -> None:
    _edit(folder, format="somebody-elses-bundle")


def _path_out_of_the_folder(folder: Path) -> None:
    files = json.loads((folder / "manifest.json").read_text())["files"]
    _edit(folder, files={**files, "../../etc/passwd": {"size": 1, "sha256": "0" * 64}})


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "a flipped bit": (_flip_a_bit, "damaged"),
    "a missing file": (_remove_a_region, "missing"),
    "a cut manifest": (_cut_the_manifest, "damaged"),
    "the future": (_from_the_future, "99.0"),
    "another program": (_from_another_program, "not a graphopt artifact"),
    "a path out of the folder": (_path_out_of_the_folder, ".."),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_run_refuses(name: str, folder: Path, workshop: Path, graphopt: Run) -> None:
    damage, word = DAMAGE[name]
    shutil.copytree(workshop / "tiny.gopt", folder / "bad.gopt")
    damage(folder / "bad.gopt")
    graphopt("run", "bad.gopt", "--inputs", "in.npz", "--outputs", "out.npz", cwd=folder).fails(1, word)
    assert not (folder / "out.npz").exists()


@pytest.mark.parametrize("verb", ["run", "bench"])
def test_a_model_is_no_artifact(verb: str, folder: Path, graphopt: Run) -> None:
    (folder / "fake.gopt").write_bytes((folder / "tiny.onnx").read_bytes())
    graphopt(verb, "fake.gopt", "--inputs", "in.npz", cwd=folder).fails(1, "fake.gopt")


def test_no_artifact(folder: Path, graphopt: Run) -> None:
    graphopt("run", "nowhere.gopt", "--inputs", "in.npz", cwd=folder).fails(1, "nowhere.gopt")


def test_a_packed_artifact_that_was_cut(folder: Path, workshop: Path, graphopt: Run) -> None:
    packed = folder / "one.gopt"
    assert graphopt("pack", workshop / "tiny.gopt", "-o", packed).code == 0
    packed.write_bytes(packed.read_bytes()[:-30])
    graphopt("run", packed, "--inputs", "in.npz", cwd=folder).fails(1, "one.gopt")
