"""The example programs: run a plan without Python, serve one to several threads, say what is wrong."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from graphopt import _kernels
from tests.native.build import installed_build
from tests.native.plan_file import PlanFile


@pytest.fixture(scope="module")
def programs() -> Path:
    return installed_build() / "kernels" / "examples"


@pytest.fixture(scope="module")
def program(programs: Path) -> Path:
    return programs / "graphopt_run_plan"


def run(*command: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(tuple(map(str, command)), capture_output=True, text=True, check=False)


def test_it_runs_a_plan(program: Path, tmp_path: Path) -> None:
    plan = PlanFile()
    x, w, y = plan.input("x", "float32", [-2]), plan.weight("w", 10), plan.value("y", "float32")
    plan.step("concat", [x, w], [y], axis=0)
    (tmp_path / "model.plan").write_bytes(plan.write([y]))
    np.arange(10, dtype=np.float32).tofile(tmp_path / "weights.bin")
    done = run(program, tmp_path / "model.plan", tmp_path / "weights.bin")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"runs on {_kernels.best_isa()}\ny [11] sum 46\n"
    (tmp_path / "weights.bin").write_bytes(b"\0" * 39)
    done = run(program, tmp_path / "model.plan", tmp_path / "weights.bin")
    assert done.returncode == 1
    assert "value 'w' reaches past the end of weights.bin" in done.stderr


def test_it_explains_what_is_no_plan(program: Path, tmp_path: Path) -> None:
    (tmp_path / "model.plan").write_bytes(b"something else")
    done = run(program, tmp_path / "model.plan")
    assert done.returncode == 1
    assert done.stderr.endswith("this is no plan: it does not begin with GOPTPLAN\n")
    assert run(program, tmp_path / "missing.plan").stderr.endswith("missing.plan: cannot be read\n")
    assert run(program).returncode == 2


def test_it_serves_a_plan(programs: Path, tmp_path: Path) -> None:
    plan = PlanFile()
    x, y = plan.input("x", "float32", [-2, 3]), plan.value("y", "float32")
    plan.step("concat", [x, x], [y], axis=1)
    (tmp_path / "model.plan").write_bytes(plan.write([y]))
    done = run(programs / "graphopt_serve_plan", tmp_path / "model.plan")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(": 4 of 4 callers served, 0 bytes left\n")
    for what, reason in (("nothing", "No such file or directory"), (".", "is no file")):
        done = run(programs / "graphopt_serve_plan", tmp_path / what)
        assert done.returncode == 1
        assert done.stderr.endswith(f": {reason}\n")
