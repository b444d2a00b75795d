"""The importer survives damaged files: a model or a ModelError comes out, never a crash."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("kind", "examples"), [("bytes", 1500), ("structure", 1500)])
def test_fuzz(kind: str, examples: int, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-m", "tests.ir.fuzz", kind, str(examples)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    # A negative code is a signal: the process died inside a library on the case that case.onnx holds.
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stderr[-4000:]}"
