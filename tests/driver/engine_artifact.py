"""Artifacts with engines nobody built: what is read of them needs no TensorRT and no GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx

from graphopt.artifact.writer import ArtifactWriter
from graphopt.backends.base import Blob
from graphopt.backends.executable import TensorInfo
from graphopt.backends.tensorrt.key import digest, plan_key
from graphopt.ir.load import load_model
from graphopt.targets.parse import parse_target

MODEL = """<ir_version: 8, opset_import: ["" : 17]> g (float[N, 4] x) => (float[N, 4] y)
<float[4, 4] w = {0.1, 0.2, 0.3, 0.7, 1.1, 1.3, 1.7, 1.9, 2.1, 2.3, 2.9, 3.1, 3.7, 4.1, 4.3, 4.7}>
{ h = MatMul(x, w) y = Relu(h) }"""

PLAN = b"an engine"


def facts(**changes: Any) -> dict[str, Any]:
    """What lies beside an engine, with its key."""
    known: dict[str, Any] = {
        "module": "tensorrt_rtx",
        "version": "1.7.1.116",
        "architectures": ["sm_86", "sm_120"],
        "device": "",
        "hardware_compatible": "none",
        "version_compatible": False,
        "profiles": [{"x": {"least": [1, 4], "usual": [8, 4], "most": [32, 4]}}],
        "workspace_bytes": 64 << 20,
        "builder_level": 5,
        "tf32": True,
        "inputs": [{"name": "x", "dtype": "float32", "shape": [-1, 4]}],
        "outputs": [{"name": "y", "dtype": "float32", "shape": [-1, 4]}],
        "layers": 3,
        "scratch_bytes": 1 << 20,
        "activation_bytes": 3 << 20,
        "weight_bytes": 2 << 20,
        "model": "0" * 64,
        "plan": digest(PLAN),
        "notes": ["int64 weights were cut to int32"],
    } | changes
    return {**known, "key": plan_key(known)} if "key" not in changes else known


def write(
    path: Path,
    *,
    options: dict[str, Any] | None = None,
    plan: bytes = PLAN,
    details: dict[str, Any] | None = None,
    model: str = MODEL,
    backend: str = "tensorrt",
    target: str = "cuda:sm_86,sm_120",
) -> Path:
    """An artifact with one engine, or with one region of another backend."""
    x, y = TensorInfo("x", "float32", ("N", 4)), TensorInfo("y", "float32", ("N", 4))
    with ArtifactWriter(path, writer="graphopt 0.1.0") as writer:
        blob = Blob(backend, plan, facts() if options is None else options)
        writer.add_region(blob, ["x"], ["y"])
        writer.add_model(load_model(onnx.parser.parse_model(model)))
        writer.commit(
            inputs=[x],
            outputs=[y],
            target=parse_target(target).to_json(),
            details=details or {},
        )
    return path
