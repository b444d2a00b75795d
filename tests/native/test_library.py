"""libgraphopt_rt as it is installed: what it exports, and that C and C++ programs find it and run a plan."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from graphopt import _kernels
from tests.native.build import ROOT, SEARCH, installed_build, run, tool
from tests.native.plan_file import ANY, PlanFile

EXAMPLES = ROOT / "kernels" / "examples"


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library, installed and then moved: nothing in the tree may know where it was built."""
    built = tmp_path_factory.mktemp("built") / "tree"
    folder = str(installed_build())
    run(tool("cmake"), "--install", folder, "--component", "graphopt_rt", "--prefix", str(built))
    return Path(shutil.move(built, tmp_path_factory.mktemp("installed") / "rt"))


@pytest.fixture(scope="module")
def library(prefix: Path) -> Path:
    (found,) = (path for path in prefix.glob("lib*/**/libgraphopt_rt.so.*") if not path.is_symlink())
    return found


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """y = x, then 0 to 9 from the weights."""
    folder = tmp_path_factory.mktemp("plan")
    file = PlanFile()
    x, w, y = file.input("x", "float32", [-2]), file.weight("w", 10), file.output("y", "float32", [ANY])
    file.step("concat", [x, w], [y], axis=0)
    (folder / "0.native").write_bytes(file.write([y]))
    np.arange(10, dtype=np.float32).tofile(folder / "weights.bin")
    return str(folder / "0.native"), str(folder / "weights.bin")


def test_it_exports_the_c_abi_and_nothing_else(library: Path) -> None:
    symbols = run(tool("nm"), "--dynamic", "--defined-only", str(library)).split("\n")
    names = {line.split()[-1] for line in symbols if line}
    version = f"GRAPHOPT_RT_{_kernels.abi_version()}"
    declared = set(re.findall(r"^GK_API .*?\b(gk_\w+)\(", header(), re.MULTILINE))
    assert {name.partition("@@")[0] for name in names} == declared | {version}
    assert all(name.endswith("@@" + version) for name in names if name.startswith("gk_"))


def test_its_name_has_the_abi(library: Path) -> None:
    dynamic = run(tool("readelf"), "--dynamic", str(library))
    assert f"[libgraphopt_rt.so.{_kernels.abi_version()}]" in dynamic
    assert library.name == f"libgraphopt_rt.so.{_kernels.abi_version()}.{_kernels.version()}"


def test_cmake_finds_it(prefix: Path, plan: tuple[str, str], tmp_path: Path) -> None:
    cmake, folder = tool("cmake"), str(tmp_path)
    run(cmake, "-S", str(EXAMPLES), "-B", folder, f"-DCMAKE_PREFIX_PATH={prefix}")
    run(cmake, "--build", folder)
    assert run(str(tmp_path / "graphopt_run_plan"), *plan).endswith("y [11] sum 46\n")
    served = run(str(tmp_path / "graphopt_serve_plan"), *plan)
    assert served == f"graphopt {_kernels.version()}: 4 of 4 callers served, 0 bytes left\n"


def test_a_project_in_c_alone_takes_the_static_library(
    prefix: Path, plan: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.25)\nproject(app LANGUAGES C)\n"
        f"find_package(graphopt_rt {_kernels.version()} REQUIRED)\n"
        f'add_executable(app "{EXAMPLES}/run_plan.c")\n'
        "target_link_libraries(app PRIVATE graphopt_rt::graphopt_rt_static)\n",
        encoding="utf-8",
    )
    cmake, folder = tool("cmake"), str(tmp_path / "build")
    run(cmake, "-S", str(tmp_path), "-B", folder, f"-DCMAKE_PREFIX_PATH={prefix}")
    run(cmake, "--build", folder)
    assert run(str(tmp_path / "build" / "app"), *plan).endswith("y [11] sum 46\n")


def test_pkg_config_finds_it(library: Path, plan: tuple[str, str], tmp_path: Path) -> None:
    environment = os.environ | {"PATH": SEARCH, "PKG_CONFIG_PATH": str(library.parent / "pkgconfig")}
    flags = subprocess.run(
        (tool("pkg-config"), "--cflags", "--libs", "graphopt_rt"),
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    ).stdout.split()
    run(tool("cc"), "-std=c99", str(EXAMPLES / "run_plan.c"), "-o", str(tmp_path / "app"), *flags)
    done = subprocess.run(
        (str(tmp_path / "app"), *plan),
        capture_output=True,
        text=True,
        check=True,
        env=environment | {"LD_LIBRARY_PATH": str(library.parent)},
    )
    assert done.stdout.endswith("y [11] sum 46\n")


def test_the_code_in_the_docs_compiles(prefix: Path, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "c-api.md").read_text(encoding="utf-8")
    blocks = "\n".join(re.findall(r"^```c\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    program = '#include <stdio.h>\n#include "graphopt/graphopt.h"\nstatic int32_t data[2048];\n'
    (tmp_path / "app.c").write_text(
        program + "int main(void) {\n" + blocks + "return 0;\n}\n", encoding="utf-8"
    )
    include = f"-I{prefix / 'include'}"
    run(tool("cc"), "-std=c99", "-Wall", "-Werror", include, "-fsyntax-only", str(tmp_path / "app.c"))
    assert len(blocks.splitlines()) > 5


def test_the_python_module_keeps_the_c_abi_to_itself() -> None:
    names = run(tool("nm"), "--dynamic", "--defined-only", _kernels.__file__)
    assert "PyInit__kernels" in names
    assert "gk_" not in names


def header() -> str:
    text = (ROOT / "kernels" / "include" / "graphopt" / "graphopt.h").read_text(encoding="utf-8")
    return re.sub(r"\n +", " ", text)
