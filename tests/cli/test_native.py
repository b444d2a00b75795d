"""What the command line offers about graphopt's own kernels."""

from __future__ import annotations

import json
from pathlib import Path

from graphopt import _kernels
from tests.cli.conftest import Run


def test_a_profile_names_the_steps(folder: Path, workshop: Path, graphopt: Run) -> None:
    run = ("run", workshop / "tiny.gopt", "--inputs", "in.npz", "--profile")
    done = graphopt(*run, cwd=folder)
    assert done.code == 0, done.err
    assert "matmul" in done.out
    assert "share" in done.out
    steps = json.loads(graphopt(*run, "--json", cwd=folder).out)["steps"]
    assert {"matmul"} <= {step["operator"] for step in steps}
    assert all(step["seconds"] >= 0 and step["backend"] == "native" for step in steps)


def test_kernels_can_be_held_to_an_instruction_set(folder: Path, workshop: Path, graphopt: Run) -> None:
    for isa in _kernels.supported_isas():
        done = graphopt("run", workshop / "tiny.gopt", "--inputs", "in.npz", "--isa", isa, cwd=folder)
        assert done.code == 0, done.err
    done = graphopt("run", workshop / "tiny.gopt", "--inputs", "in.npz", "--isa", "sse9", cwd=folder)
    done.fails(2, "sse9", "this machine has")


def test_an_artifact_held_to_one_says_so(folder: Path, graphopt: Run) -> None:
    slowest = _kernels.supported_isas()[0]
    command = ("compile", "tiny.onnx", "-o", "held.gopt", "--no-measure", "--target", f"cpu:{slowest}")
    assert graphopt(*command, cwd=folder).code == 0
    assert graphopt("run", "held.gopt", "--inputs", "in.npz", cwd=folder).code == 0


def test_what_is_not_native_is_explained(folder: Path, graphopt: Run) -> None:
    done = graphopt(
        "compile", "tiny.onnx", "-o", "m.gopt", "--no-measure", "--backends", "nonsense", cwd=folder
    )
    done.fails(2, "nonsense", "native, onnxruntime")
