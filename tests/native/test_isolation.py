"""No instruction beyond the baseline outside the code chosen at run time.

An inline function that two object files define is kept once for the whole program. If one of the files
is compiled for AVX-512, the copy kept may crash a machine without it: so a level's objects may define
nothing that another object could also define.
"""

from __future__ import annotations

import json
import platform
import re
import shlex
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

import graphopt._kernels
from tests.native.build import installed_build, run, tool

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="x86-64 instruction sets")

BEYOND_BASELINE = re.compile(r"%[yz]mm|%k[0-7]\b|\tv[a-z0-9]+\s.*%xmm")


def objects(target: str) -> list[Path]:
    """Object files of one CMake target ("graphopt_kernels" and, per level, "graphopt_kernels_avx2")."""
    folder = installed_build()
    commands = json.loads((folder / "compile_commands.json").read_text(encoding="utf-8"))
    arguments = [shlex.split(command["command"]) for command in commands]
    outputs = [Path(c["directory"], a[a.index("-o") + 1]) for c, a in zip(commands, arguments, strict=True)]
    found = [path for path in outputs if any(fnmatch(part, f"{target}.dir") for part in path.parts)]
    assert found, f"no object files of {target}"
    return found


def test_a_level_defines_only_its_own_symbols() -> None:
    checked = 0
    for file in objects("graphopt_kernels_*"):
        for line in run(tool("nm"), "--demangle", "--extern-only", "--defined-only", str(file)).splitlines():
            if len(words := line.split(maxsplit=2)) == 3:
                assert "graphopt::level_" in words[2], f"{file.name}: {line}"
                checked += 1
    assert checked > 0


def test_a_level_uses_no_cpp_library() -> None:
    for file in objects("graphopt_kernels_*"):
        for line in run(tool("nm"), "--demangle", "--undefined-only", str(file)).splitlines():
            assert not re.search(r"\bstd::|__cxa|operator (new|delete)", line), f"{file.name}: {line}"


def test_everything_else_is_baseline_code() -> None:
    for file in objects("graphopt_kernels"):
        code = run(tool("objdump"), "--disassemble", "--no-show-raw-insn", str(file))
        assert "\tret" in code
        found = BEYOND_BASELINE.search(code)
        assert found is None, f"{file.name}: {found}"


def test_the_check_sees_vector_code() -> None:
    (file,) = [f for f in objects("graphopt_kernels_avx2") if f.name == "stream_copy.cpp.o"]
    assert BEYOND_BASELINE.search(run(tool("objdump"), "--disassemble", "--no-show-raw-insn", str(file)))


@pytest.mark.parametrize(("cpu", "best"), [("Nehalem", "x86-64"), ("max", "avx2")])
def test_the_extension_runs_on_older_cpus(cpu: str, best: str) -> None:
    emulator = tool("qemu-x86_64")
    folder = str(Path(graphopt._kernels.__file__).parent)
    program = (
        f"import sys; sys.path.insert(0, {folder!r}); import _kernels as k; "
        "assert k.measure_peak('float32', seconds=1e-4).median > 0; print(k.best_isa())"
    )
    done = subprocess.run(
        (emulator, "-cpu", cpu, sys.executable, "-S", "-c", program),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == best
