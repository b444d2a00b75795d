"""Outputs that cannot be written: one line, exit code 1, and what was there stays as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run


def contents(folder: Path) -> list[str]:
    """Every path below ``folder``."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("output", ["nowhere/out.gopt", "in.npz/out.gopt", "in.npz", "/proc/out.gopt"])
def test_compile(output: str, folder: Path, graphopt: Run) -> None:
    """A missing folder, a file where a folder should be, a file that is no artifact, a read-only place."""
    before = contents(folder)
    graphopt("compile", "tiny.onnx", "-o", output, "--no-measure", cwd=folder).fails(1, output)
    assert contents(folder) == before


def test_compile_overwrites_no_foreign_folder(folder: Path, graphopt: Run) -> None:
    (folder / "precious").mkdir()
    (folder / "precious" / "thesis.txt").write_text("years of work")
    graphopt("compile", "tiny.onnx", "-o", "precious", "--no-measure", cwd=folder).fails(1, "precious")
    assert (folder / "precious" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("output", ["nowhere/out.npz", "in.npz/out.npz"])
def test_run(output: str, folder: Path, workshop: Path, graphopt: Run) -> None:
    before = contents(folder)
    done = graphopt("run", workshop / "tiny.gopt", "--inputs", "in.npz", "--outputs", output, cwd=folder)
    done.fails(1, output)
    assert contents(folder) == before


def test_opt(folder: Path, graphopt: Run) -> None:
    before = contents(folder)
    graphopt("opt", "tiny.onnx", "-o", "nowhere/out.onnx", cwd=folder).fails(1, "nowhere")
    assert contents(folder) == before


def test_pack(folder: Path, workshop: Path, graphopt: Run) -> None:
    graphopt("pack", workshop / "tiny.gopt", "-o", "nowhere/out.gopt", cwd=folder).fails(1, "nowhere")


def test_the_disk_is_full_half_way(folder: Path, graphopt: Run) -> None:
    before = contents(folder)
    done = graphopt("compile", "tiny.onnx", "-o", "out.gopt", "--no-measure", cwd=folder, file_size=4096)
    done.fails(1, "out.gopt")
    assert contents(folder) == before
