"""Running an artifact is light: no compiler room is imported, a call costs what the runtime's own does."""

import statistics
import subprocess
import sys
import textwrap

import pytest

from .session_overhead import measure

HEAVY = (
    "onnx",
    "onnx_ir",
    "networkx",
    "sympy",
    "google.protobuf",
    "jinja2",
    "rich",
    "click",
    "onnx_shape_inference",
)
ROOMS = (
    "pipeline",
    "passes",
    "rewrite",
    "ops",
    "ir",
    "placement",
    "equality",
    "driver",
    "report",
    "cli",
    "measure",
)


def test_running_an_artifact_imports_no_compiler_room(single):
    script = """
    import sys
    import numpy as np
    from graphopt.runtime.session import load
    session = load(sys.argv[1])
    x = np.ones((1, 500), np.float32)
    session.run({"x": x, "c": np.array(True), "unused": np.ones(1, np.float32)})
    print("\\n".join(sys.modules))
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(single[0])]
    loaded = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert "onnxruntime" in loaded
    assert not loaded & {*HEAVY, *(f"graphopt.{room}" for room in ROOMS)}
    gpu = ("cuda", "tensorrt", "tensorrt_rtx", "graphopt.backends.cuda", "graphopt.runtime.device_schedule")
    assert not loaded & set(gpu)
    writers = {"graphopt.artifact.writer", "graphopt.backends.base", "graphopt.backends.onnxruntime.backend"}
    assert not loaded & writers


@pytest.mark.timing
def test_a_session_costs_little_more_than_onnxruntimes_own_call(tmp_path):
    """The figure itself is in `session_overhead.py`; here only that nothing slow has crept in."""
    for _attempt in range(3):
        seconds = measure(tmp_path, blocks=40, size=100)
        ours, plain = (statistics.median(seconds[name]) for name in ("graphopt", "onnxruntime"))
        if ours < 1.4 * plain:
            return
    pytest.fail(f"a call takes {ours / plain:.2f} times onnxruntime's own")
