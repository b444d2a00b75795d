"""Commands as processes of their own that need not read the libraries graphopt stands on each time.

They are forked off a process that has imported those libraries and none of graphopt: what a command forgets
to import is missing here, too.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LIBRARIES = ("jinja2", "networkx", "numpy", "onnx", "onnx_ir", "onnx_shape_inference", "onnxruntime", "rich")

_forked = multiprocessing.get_context("forkserver")
_forked.set_forkserver_preload(list(LIBRARIES))


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


def run_forked(
    words: Sequence[str], cwd: Path, env: Mapping[str, str], seconds: float, scratch: Path
) -> Done:
    """Run ``graphopt`` with these arguments; ``scratch`` is a folder for what it writes to its streams."""
    streams = scratch / "out", scratch / "err"
    process = _forked.Process(target=_begin, args=(tuple(words), cwd, dict(env), streams))
    process.start()
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        raise TimeoutError(f"graphopt {' '.join(words)} did not end within {seconds:g} s")
    out, err = (path.read_text(encoding="utf-8", errors="replace") for path in streams)
    return Done(process.exitcode, out, err)


def _begin(words: tuple[str, ...], cwd: Path, env: dict[str, str], streams: tuple[Path, Path]) -> None:
    """In the new process: take the place that a shell would have given it."""
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, path in enumerate(streams, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    sys.stdout, sys.stderr = (open(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))  # noqa: SIM115
    sys.argv = ["graphopt", *words]
    from graphopt.cli.main import main

    main()
