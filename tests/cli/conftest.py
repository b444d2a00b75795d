"""The command line as a person has it: a real process, a folder, an exit code and two streams."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.cli.processes import Done, run_forked

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

Run = Callable[..., Done]
SECONDS = 300.0
"""A command that takes longer hangs."""


@pytest.fixture(scope="session")
def graphopt(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """``graphopt("run", path, …)``: run the command; ``memory`` limits its address space (MiB).

    ``file_size`` limits how long a file it writes may get (bytes), as a full disk would. A process that is
    limited or ``fresh`` is the installed program; the others are forked.
    """
    program = shutil.which("graphopt", path=str(Path(sys.executable).parent))
    command = [program] if program else [sys.executable, "-m", "graphopt.cli.main"]

    def run(
        *arguments: object,
        cwd: Path | None = None,
        memory: int | None = None,
        file_size: int | None = None,
        fresh: bool = False,
    ) -> Done:
        env = {**os.environ, "GRAPHOPT_DEBUG": ""}
        words = [str(argument) for argument in arguments]
        if not (fresh or memory or file_size):
            return run_forked(words, cwd or Path.cwd(), env, SECONDS, tmp_path_factory.mktemp("streams"))

        def limit() -> None:
            if memory is not None:
                resource.setrlimit(resource.RLIMIT_AS, (memory << 20, memory << 20))
            if file_size is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))

        done = subprocess.run(
            [*command, *words],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
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
    done = graphopt("compile", "tiny.onnx", "-o", "tiny.gopt", "--no-measure", "-q", cwd=folder, fresh=True)
    assert done.code == 0, done
    return folder


@pytest.fixture
def folder(tmp_path: Path, workshop: Path) -> Path:
    """A fresh folder with copies of ``tiny.onnx`` and ``in.npz``."""
    for name in ("tiny.onnx", "in.npz"):
        shutil.copy(workshop / name, tmp_path / name)
    return tmp_path
