"""The source tree laid out as an installed package, for tools that look at files.

An editable install maps ``passes/`` to ``graphopt.passes`` through an import hook, which tools that
walk folders do not see. A copy without the hook shows them what a wheel holds.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def lay_out(folder: Path) -> Path:
    """Copy ``graphopt/`` and ``passes/`` into ``folder`` as a wheel would; returns ``folder``."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "graphopt", folder / "graphopt", ignore=ignore)
    shutil.copytree(ROOT / "passes", folder / "graphopt" / "passes", ignore=ignore)
    return folder


def run_python(folder: Path, *arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run Python with the packages of ``folder`` first and no import hooks (``-S`` skips .pth files)."""
    paths = [str(folder), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    return subprocess.run(
        [sys.executable, "-S", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
