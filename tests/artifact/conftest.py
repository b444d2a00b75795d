"""A small artifact to open, damage and pack."""

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.artifact.writer import ArtifactWriter
from graphopt.backends.base import BuildOptions
from graphopt.backends.onnxruntime.backend import BACKEND
from graphopt.backends.signature import model_inputs, model_outputs
from graphopt.targets.host import host_target


def affine_model(size=600):
    """y = (x · w + w) · x with one weight above the inlining threshold and one below."""
    rng = np.random.default_rng(0)
    x = ir.Value(name="x", shape=ir.Shape(["N", size]), type=ir.TensorType(ir.DataType.FLOAT))
    weights = {
        "w": rng.normal(size=size).astype("f"),
        "same": rng.normal(size=size).astype("f"),
        "tiny": np.array([2.0], "f"),
    }
    weights["same"][:] = weights["w"]
    values = {}
    for name, array in weights.items():
        tensor = ir.tensor(array, name=name)
        values[name] = ir.Value(
            name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor
        )
    product = ir.node("Mul", [x, values["w"]])
    shifted = ir.node("Add", [product.outputs[0], values["same"]])
    scaled = ir.node("Mul", [shifted.outputs[0], values["tiny"]])
    y = scaled.outputs[0]
    y.name, y.type, y.shape = "y", ir.TensorType(ir.DataType.FLOAT), ir.Shape(["N", size])
    graph = ir.Graph(
        [x],
        [y],
        nodes=[product, shifted, scaled],
        initializers=list(values.values()),
        opset_imports={"": 21},
        name="affine",
    )
    return ir.Model(graph, ir_version=10, metadata_props={"author": "someone"})


def write(path, model=None, details=None):
    """Write ``model`` as an artifact of one ONNX Runtime region; returns its manifest."""
    model = affine_model() if model is None else model
    inputs, outputs = model_inputs(model), model_outputs(model)
    with ArtifactWriter(path, writer="graphopt test") as writer:
        blob = BACKEND.build(model, BuildOptions(host_target(), 1, writer.weights))
        writer.add_region(blob, [info.name for info in inputs], [info.name for info in outputs])
        writer.add_model(model)
        writer.add_file("report.json", "{}")
        return writer.commit(
            inputs=inputs,
            outputs=outputs,
            target=host_target().to_json(),
            threads=1,
            details=details or {"versions": {"onnxruntime": "1.31"}, "passes": []},
        )


@pytest.fixture
def gopt(tmp_path):
    """The folder of a written artifact."""
    write(tmp_path / "model.gopt")
    return tmp_path / "model.gopt"
