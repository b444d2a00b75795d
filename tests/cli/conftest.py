"""The command line as a person has it: a real process, a folder, an exit code and two streams."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest

TINY = """
<ir_version: 8, opset_import: ["": 17], producer_name: "tests">
tiny (float[N, 4] x) => (float[N, 3] y, float[N, 3] z)
<float[4, 3] w = {0.5, -1.0, 2.0, 1.5, 0.25, -0.5, 1.0, 0.75, -2.0, 0.1, 0.2, 0.3},
 float[3] b = {0.1, 0.2, 0.3}>
{
    same = Identity (x)
    product = MatMul (same, w)
    sum = Add (product, b)
    y = Relu (sum)
    zero = Sub (sum, sum)
    z = Add (y, zero)
}
"""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    def fails(self, code: int, *words: str) -> None:
        """Assert an exit code and one line on stderr that names a cause and a next step."""
        assert self.code == code, self
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: "), self.err
        assert "(hint: " in lines[0], self.err
        assert "internal error" not in lines[0], self.err
        for word in words:
            assert word in lines[0], self.err


Run = Callable[..., Done]


@pytest.fixture(scope="session")
def graphopt() -> Run:
    """``graphopt("run", path, …)``: run the command; ``memory`` limits its address space (MiB).

    ``file_size`` limits how long a file it writes may get (bytes), as a full disk would.
    """
    program = shutil.which("graphopt", path=str(Path(sys.executable).parent))
    command = [program] if program else [sys.executable, "-m", "graphopt.cli.main"]

    def run(
        *arguments: object,
        cwd: Path | None = None,
        memory: int | None = None,
        file_size: int | None = None,
        env: dict[str, str] | None = None,
    ) -> Done:
        def limit() -> None:
            if memory is not None:
                resource.setrlimit(resource.RLIMIT_AS, (memory << 20, memory << 20))
            if file_size is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))

        done = subprocess.run(
            [*command, *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, "GRAPHOPT_DEBUG": "", **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=300,
            preexec_fn=limit,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory, graphopt: Run) -> Path:
    """A folder with ``tiny.onnx``, ``in.npz`` and ``tiny.gopt``; read-only by agreement."""
    folder = tmp_path_factory.mktemp("workshop")
    onnx.save(onnx.parser.parse_model(TINY), folder / "tiny.onnx")
    x = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)
    np.savez(folder / "in.npz", x=x)
    done = graphopt("compile", "tiny.onnx", "-o", "tiny.gopt", "--no-measure", "--quiet", cwd=folder)
    assert done.code == 0, done
    return folder


@pytest.fixture
def folder(tmp_path: Path, workshop: Path) -> Path:
    """A fresh folder with copies of ``tiny.onnx`` and ``in.npz``."""
    for name in ("tiny.onnx", "in.npz"):
        shutil.copy(workshop / name, tmp_path / name)
    return tmp_path
