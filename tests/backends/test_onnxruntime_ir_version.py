"""A model written in a newer file format than ONNX Runtime reads runs, if it uses nothing new."""

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

import graphopt
from graphopt.backends.onnxruntime.ir_version import newest_ir_version
from graphopt.backends.onnxruntime.runner import make_runner

TEXT = '<ir_version: 10, opset_import: ["" : 17]> g (float[n] x) => (float[n] y) { y = Neg(x) }'


def _newer() -> onnx.ModelProto:
    model = onnx.parser.parse_model(TEXT)
    newest = newest_ir_version()
    assert newest is not None
    model.ir_version = newest + 1
    return model


def test_the_runtime_itself_refuses_it():
    with pytest.raises(Exception, match="IR version"):
        ort.InferenceSession(_newer().SerializeToString(), providers=["CPUExecutionProvider"])


def test_the_runner_runs_it_and_leaves_the_model_alone():
    model = ir.from_proto(_newer())
    before = model.ir_version
    x = np.array([1, -2], np.float32)
    np.testing.assert_array_equal(make_runner(model).run({"x": x})["y"], -x)
    assert model.ir_version == before


def test_it_compiles_and_its_optimised_model_opens_in_the_runtime(tmp_path):
    path = tmp_path / "new.onnx"
    onnx.save(_newer(), path)
    result = graphopt.compile(path, output=tmp_path / "new.gopt", measure_seconds=0.5)
    assert result.report.measurement.ratio is not None
    ort.InferenceSession(result.path / "model.onnx", providers=["CPUExecutionProvider"])
