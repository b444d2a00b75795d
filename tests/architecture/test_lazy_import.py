"""Importing graphopt does nothing and pulls nothing; neither does asking the command line for help."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("numpy", "onnx", "onnx_ir", "networkx", "onnxruntime", "sympy", "onnxscript", "jinja2", "rich")


def modules_after(code: str) -> set[str]:
    """The top-level modules loaded once ``code`` has run in a fresh interpreter."""
    program = (
        f"{code}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}}, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


@pytest.mark.parametrize("module", ["graphopt", "graphopt.errors", "graphopt.cli.main", "graphopt.cli"])
def test_import_is_light(module: str) -> None:
    loaded = modules_after(f"import {module}")
    assert "graphopt" in loaded
    assert not loaded & set(HEAVY)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["compile", "--help"], ["run", "--help"]])
def test_help_is_light(arguments: list[str]) -> None:
    loaded = modules_after(
        "from graphopt.cli.main import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as end:\n    assert not end.code, end.code"
    )
    assert not loaded & set(HEAVY)


def test_public_names_resolve() -> None:
    program = "import graphopt\nassert graphopt.__all__\nfor n in graphopt.__all__: getattr(graphopt, n)"
    subprocess.run([sys.executable, "-c", program], check=True)
