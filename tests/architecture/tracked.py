"""The files of the project: what git tracks or would add, or all of a source archive."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_GENERATED = {".git", ".venv", "build", "dist", ".models", "__pycache__"}


@cache
def tracked_files() -> tuple[Path, ...]:
    """Absolute paths of every file that belongs to the project."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        names = done.stdout.rstrip("\0").split("\0")
    except (OSError, subprocess.CalledProcessError):
        found = (path.relative_to(ROOT) for path in ROOT.rglob("*"))
        names = [str(path) for path in found if not _GENERATED & set(path.parts)]
    return tuple(path for name in names if (path := ROOT / name).is_file())


def python_files() -> tuple[Path, ...]:
    """The Python sources among them."""
    return tuple(path for path in tracked_files() if path.suffix == ".py")
