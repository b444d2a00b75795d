"""Real models: an artifact of the untouched model computes the bits ONNX Runtime computes from the file."""

import numpy as np
import onnxruntime as ort
import pytest

from graphopt.artifact.pack import pack
from graphopt.backends.onnxruntime.backend import OnnxRuntimeBackend
from graphopt.ir.load import load_model
from graphopt.runtime.session import load

from .conftest import write


@pytest.mark.zoo
@pytest.mark.parametrize("name", ["silero_vad", "magika", "ppocr_cls", "smart_turn_qdq", "basic_pitch"])
def test_an_artifact_computes_the_models_own_bits(name, zoo, tmp_path):
    source = zoo(name)
    write(tmp_path / "model.gopt", load_model(source), (OnnxRuntimeBackend(),))
    feeds = zoo.feeds(name, 0)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    for path in (source, tmp_path / "model.gopt" / "model.onnx"):
        plain = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        expected = dict(zip([o.name for o in plain.get_outputs()], plain.run(None, feeds), strict=True))
        for artifact in (tmp_path / "model.gopt", pack(tmp_path / "model.gopt", tmp_path / "one.gopt")):
            actual = load(artifact).run(feeds)
            assert list(actual) == list(expected)
            for output, value in expected.items():
                np.testing.assert_array_equal(actual[output], value)
