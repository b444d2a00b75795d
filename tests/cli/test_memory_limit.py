"""Out of memory: one line and exit code 1, at whatever point memory runs out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.cli.conftest import Run


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with 256 MiB of weights."""
    path = tmp_path_factory.mktemp("large") / "large.onnx"
    weights = np.ones((8192, 8192), np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "large",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8192])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8192])],
        initializer=[onnx.numpy_helper.from_array(weights, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize("limit", [100, 400, 700])
def test_compile(limit: int, large: Path, tmp_path: Path, graphopt: Run) -> None:
    done = graphopt(
        "compile", large, "-o", "large.gopt", "--no-measure", "--equality", "off", cwd=tmp_path, memory=limit
    )
    done.fails(1, "memory")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("limit", [100, 400])
def test_run(limit: int, workshop: Path, tmp_path: Path, graphopt: Run) -> None:
    done = graphopt(
        "run",
        workshop / "tiny.gopt",
        "--inputs",
        workshop / "in.npz",
        "--outputs",
        "out.npz",
        cwd=tmp_path,
        memory=limit,
    )
    if done.code != 0:
        done.fails(1, "memory")
        assert not list(tmp_path.iterdir())
