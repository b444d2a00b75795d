"""Artifacts of one region and of several, written as the driver does, without any optimisation."""

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.artifact.writer import ArtifactWriter
from graphopt.backends.base import BuildOptions, Claim
from graphopt.backends.onnxruntime.backend import OnnxRuntimeBackend
from graphopt.backends.reference.backend import ReferenceBackend
from graphopt.backends.signature import model_inputs, model_outputs
from graphopt.placement.extract import extract_region
from graphopt.placement.place import place
from graphopt.targets.host import host_target

from .imagined import imagine_gpu

MIXED = """
<ir_version: 10, opset_import: ["" : 21]>
g (float[N, 500] x, bool c, float[1] unused) => (float[N, 500] y, float[N, 500] same, float[1] unused)
<float[1] half = {0.5}> {
  [scale] a = Mul(x, half)
  [squash] b = Tanh(a)
  [branch] d = If(c) <
    then_branch = t () => (float[N, 500] p) { p = Neg(b) },
    else_branch = e () => (float[N, 500] q) { q = Add(a, b) }>
  [wave] f = Sin(d)
  y = Mul(f, w)
  same = Add(a, w)
}
"""


class Picky(OnnxRuntimeBackend):
    """ONNX Runtime, but for the functions of trigonometry."""

    def claims(self, node, target):
        if node.op_type in ("Tanh", "Sin"):
            return Claim(False, "no trigonometry")
        return super().claims(node, target)


def mixed_model():
    model = ir.from_onnx_text(MIXED.replace("half = {0.5}>", "half = {0.5}, float[500] w = {0}>"))
    weight = np.random.default_rng(1).normal(size=500).astype(np.float32)
    model.graph.initializers["w"].const_value = ir.tensor(weight, name="w")
    for node in model.graph:
        node.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    return model


def write(path, model, backends, threads=1, target=None):
    """Compile as the driver does, without any optimisation."""
    placement = place(model, backends, host_target())
    by_name = {backend.name: backend for backend in backends}
    with ArtifactWriter(path) as writer:
        for region in placement.regions:
            options = BuildOptions(host_target(), threads or 1, writer.weights)
            blob = by_name[region.backend].build(extract_region(placement.model, region), options)
            writer.add_region(blob, region.inputs, region.outputs)
        writer.add_model(model)
        writer.commit(
            inputs=model_inputs(model),
            outputs=model_outputs(model),
            threads=threads,
            target=target or host_target().to_json(),
        )
    return placement


def feeds(rows=3, condition=True, seed=0):
    x = np.random.default_rng(seed).normal(size=(rows, 500)).astype(np.float32)
    return {"x": x, "c": np.array(condition), "unused": np.ones(1, np.float32)}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """An artifact of several regions on two backends, and the model."""
    path = tmp_path_factory.mktemp("mixed") / "model.gopt"
    model = mixed_model()
    assert len(write(path, model, (Picky(), ReferenceBackend())).regions) > 3
    return path, model


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """An artifact of one region, and the model."""
    path = tmp_path_factory.mktemp("single") / "model.gopt"
    model = mixed_model()
    write(path, model, (OnnxRuntimeBackend(),))
    return path, model


@pytest.fixture
def gpu(monkeypatch):
    """A machine with one imagined GPU: ``gpu.cuda`` is its CUDA runtime, ``gpu.trt`` its TensorRT-RTX."""
    with imagine_gpu(monkeypatch) as imagined:
        yield imagined
