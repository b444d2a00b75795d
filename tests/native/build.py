"""Builds of the native core with its C++ tests: the installed one, and others in the build folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[2]
SEARCH = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
TESTS_ONLY = ("-DGRAPHOPT_BUILD_PYTHON=OFF", "-DGRAPHOPT_BUILD_TESTS=ON", "-DGRAPHOPT_WERROR=ON")


def tool(name: str) -> str:
    """Path of a program; skips the test where it is not installed."""
    path = shutil.which(name, path=SEARCH)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def installed_build() -> Path:
    """The build folder of the package as it is installed for working on it, brought up to date.

    Where it was installed without its tests, one of its own is made.
    """
    for cache in (ROOT / "build").glob("cp*/CMakeCache.txt"):
        if re.search(r"^GRAPHOPT_BUILD_TESTS:\w+=ON$", cache.read_text(encoding="utf-8"), re.MULTILINE):
            with FileLock(cache.parent / ".lock"):
                run(tool("cmake"), "--build", str(cache.parent), "--parallel", "2")
            return cache.parent
    return build("release")


def build(name: str, *options: str) -> Path:
    """The build folder of the C++ tests with these options; built only where something changed."""
    folder = ROOT / "build" / "native-tests" / name
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):  # tests that share a build may run in several processes
        generator = ("-G", "Ninja") if shutil.which("ninja", path=SEARCH) else ()
        run(tool("cmake"), "-S", str(ROOT), "-B", str(folder), *generator, *TESTS_ONLY, *options)
        run(tool("cmake"), "--build", str(folder), "--parallel", "2")
    return folder


def ctest(folder: Path) -> str:
    """Run the C++ tests; their output. A failure shows it."""
    options = ("--output-on-failure", "--timeout", "300", "--parallel", "2")
    return run(tool("ctest"), "--test-dir", str(folder), *options)


def run(*command: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"PATH": SEARCH}
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout
