"""Imports point one way: the contracts of pyproject.toml hold, and they do catch an offender."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture.installed_layout import ROOT, lay_out, run_python

LINT = (
    "-c",
    "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())",
)
OPTIONS = ("--no-cache", "--config", str(ROOT / "pyproject.toml"))


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    return lay_out(tmp_path)


def test_contracts_hold(layout: Path) -> None:
    done = run_python(layout, *LINT, *OPTIONS, cwd=layout)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("graphopt/ir/levels.py", "import graphopt.pipeline.records"),
        ("graphopt/passes/fold/__init__.py", "import graphopt.backends.base"),
        ("graphopt/runtime/__init__.py", "import onnx_ir"),
    ],
)
def test_an_offender_is_caught(layout: Path, file: str, line: str) -> None:
    with (layout / file).open("a") as module:
        module.write(f"\n{line}\n")
    done = run_python(layout, *LINT, *OPTIONS, cwd=layout)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "BROKEN" in done.stdout
