"""Inputs that do not fit: one line, exit code 1, no output file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.conftest import Run

GOOD = np.zeros((2, 4), np.float32)

FEEDS: dict[str, tuple[dict[str, Any], str]] = {
    "wrong name": ({"nonsense": GOOD}, "nonsense"),
    "one too many": ({"x": GOOD, "nonsense": GOOD}, "nonsense"),
    "none": ({}, "missing"),
    "wrong dtype": ({"x": GOOD.astype(np.int64)}, "float32"),
    "wrong shape": ({"x": np.zeros((2, 5), np.float32)}, "5"),
    "wrong rank": ({"x": np.zeros((4,), np.float32)}, "x"),
}


@pytest.mark.parametrize("name", FEEDS)
def test_run_refuses(name: str, tmp_path: Path, workshop: Path, graphopt: Run) -> None:
    feeds, word = FEEDS[name]
    np.savez(tmp_path / "in.npz", allow_pickle=False, **feeds)
    done = graphopt("run", workshop / "tiny.gopt", "--inputs", "in.npz", "--outputs", "out.npz", cwd=tmp_path)
    done.fails(1, word)
    assert [path.name for path in tmp_path.iterdir()] == ["in.npz"]


def test_a_file_that_is_no_npz(tmp_path: Path, workshop: Path, graphopt: Run) -> None:
    (tmp_path / "in.npz").write_text("not arrays")
    graphopt("run", workshop / "tiny.gopt", "--inputs", "in.npz", cwd=tmp_path).fails(1, "in.npz")


def test_pickles_are_not_opened(tmp_path: Path, workshop: Path, graphopt: Run) -> None:
    np.savez(tmp_path / "in.npz", x=np.array([{"a": 1}], dtype=object))
    graphopt("run", workshop / "tiny.gopt", "--inputs", "in.npz", cwd=tmp_path).fails(1, "in.npz")


def test_a_missing_file(tmp_path: Path, workshop: Path, graphopt: Run) -> None:
    graphopt("run", workshop / "tiny.gopt", "--inputs", "in.npz", cwd=tmp_path).fails(1, "in.npz")


def test_compile_checks_the_inputs_too(folder: Path, graphopt: Run) -> None:
    np.savez(folder / "bad.npz", nonsense=GOOD)
    done = graphopt("compile", "tiny.onnx", "--inputs", "bad.npz", "--no-measure", cwd=folder)
    done.fails(1, "nonsense")
    assert not (folder / "tiny.gopt").exists()
