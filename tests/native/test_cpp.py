"""The C++ tests: as shipped, under sanitizers, and for aarch64."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.native.build import ROOT, build, ctest, installed_build, tool


def test_cpp_tests_pass() -> None:
    assert "100% tests passed" in ctest(installed_build())


def _tests_with_threads() -> str:
    """The C++ tests that start threads, by themselves or in plans; the others run kernels on one."""
    sources = sorted((ROOT / "kernels" / "tests").glob("*_test.cpp"))
    starts = re.compile(r"thread|plan_builder\.h")
    found = [path.stem.removesuffix("_test") for path in sources if starts.search(path.read_text("utf-8"))]
    assert {"plan", "plan_threads", "thread_pool"} <= set(found)
    return ";".join(found)


# What they look for is in every level's code alike: few levels keep these builds cheap.
@pytest.mark.builds
@pytest.mark.parametrize(
    ("sanitizers", "levels", "tests"),
    [("address;undefined", "avx2", ""), ("thread", "baseline", _tests_with_threads())],
    ids=["address;undefined", "thread"],
)
def test_sanitizers_find_nothing(sanitizers: str, levels: str, tests: str, tmp_path: Path) -> None:
    flag = "-fsanitize=" + sanitizers.replace(";", ",")
    probe = subprocess.run(
        (tool("c++"), flag, "-x", "c++", "-", "-o", str(tmp_path / "probe")),
        input="int main() {}",
        capture_output=True,
        text=True,
        check=False,
    )
    if probe.returncode != 0:
        pytest.skip(f"this compiler has no {sanitizers} sanitizer: {probe.stderr.strip()[:200]}")
    options = (
        f"-DGRAPHOPT_SANITIZE={sanitizers}",
        f"-DGRAPHOPT_LEVELS_ONLY={levels}",
        f"-DGRAPHOPT_TESTS={tests}",
        "-DCMAKE_BUILD_TYPE=Debug",
    )
    folder = build("sanitize-" + sanitizers.replace(";", "-"), *options)
    assert "100% tests passed" in ctest(folder)


@pytest.mark.builds
def test_aarch64_compiles_and_its_tests_pass_where_an_emulator_is() -> None:
    compiler = tool("aarch64-linux-gnu-g++")
    options = [
        "-DCMAKE_SYSTEM_NAME=Linux",
        "-DCMAKE_SYSTEM_PROCESSOR=aarch64",
        f"-DCMAKE_CXX_COMPILER={compiler}",
        f"-DCMAKE_C_COMPILER={compiler.removesuffix('g++')}gcc",
    ]
    emulator = shutil.which("qemu-aarch64")
    if emulator is not None:  # -cpu max: has the dot products of every level
        options.append(f"-DCMAKE_CROSSCOMPILING_EMULATOR={emulator};-L;/usr/aarch64-linux-gnu;-cpu;max")
    folder = build("aarch64", *options)
    if emulator is not None:
        assert "100% tests passed" in ctest(folder)
