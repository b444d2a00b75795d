"""Broken models: one line, exit code 1, nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.broken import BROKEN, chain
from tests.cli.conftest import Run


@pytest.mark.parametrize("name", BROKEN)
def test_compile_refuses(name: str, tmp_path: Path, graphopt: Run) -> None:
    write, word = BROKEN[name]
    folder = tmp_path / "in"
    folder.mkdir()
    write(folder / "model.onnx")
    before = sorted(path.name for path in folder.iterdir())
    done = graphopt("compile", "model.onnx", "-o", "model.gopt", "--no-measure", cwd=folder)
    done.fails(1, word)
    assert done.out == ""
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_missing_model(tmp_path: Path, graphopt: Run) -> None:
    graphopt("compile", "nowhere.onnx", cwd=tmp_path).fails(1, "nowhere.onnx")
    assert not list(tmp_path.iterdir())


def test_a_folder_is_no_model(tmp_path: Path, graphopt: Run) -> None:
    (tmp_path / "model.onnx").mkdir()
    graphopt("opt", "model.onnx", "-o", "out.onnx", cwd=tmp_path).fails(1, "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_the_failure_is_json_when_asked(tmp_path: Path, graphopt: Run) -> None:
    import json

    BROKEN["cycle"][0](tmp_path / "model.onnx")
    done = graphopt("compile", "model.onnx", "--json", cwd=tmp_path)
    done.fails(1)
    error = json.loads(done.out)["error"]
    assert error["kind"] == "ModelError"
    assert error["exit_code"] == 1
    assert "cycle" in error["message"]
    assert error["hint"]


@pytest.mark.parametrize("target", ["nowhere", "cpu:nowhere", "cuda:sm_1"])
def test_an_unknown_target(target: str, folder: Path, graphopt: Run) -> None:
    graphopt("compile", "tiny.onnx", "--target", target, cwd=folder).fails(1, target.rpartition(":")[2])
    assert not (folder / "tiny.gopt").exists()


def test_twenty_thousand_nodes_in_a_chain(tmp_path: Path, graphopt: Run) -> None:
    """Deep is not broken: nothing may recurse over the length of a model."""
    chain(tmp_path / "model.onnx", 20_000)
    done = graphopt("opt", "model.onnx", "-O1", "-o", "out.onnx", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    assert (tmp_path / "out.onnx").is_file()
