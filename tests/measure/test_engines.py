"""The real engine factories on a small model with awkward input names."""

import numpy as np
import onnx
import onnx.parser
import pytest

from graphopt.driver.engines import onnxruntime, onnxruntime_engine
from graphopt.equality.feedfile import save_feeds
from graphopt.errors import BackendError
from graphopt.measure.compare import compare
from graphopt.measure.process import Worker

X, Y = "gpu_0/x:0", "file"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engines")
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]>'
        "f (float[64,64] x, float[N,64] y) => (float[N,64] z) { a = MatMul(y, x)  z = Relu(a) }"
    )
    for value, name in zip(model.graph.input, (X, Y), strict=True):
        value.name = name
    model.graph.node[0].input[:] = [Y, X]
    onnx.save(model, folder / "m.onnx")
    rng = np.random.default_rng(0)
    feeds = {name: rng.normal(size=(64, 64)).astype(np.float32) for name in (X, Y)}
    save_feeds(folder / "feeds.npz", feeds)
    return folder / "m.onnx", folder / "feeds.npz", feeds


@pytest.mark.parametrize("optimise", [True, False])
def test_onnxruntime_computes_the_model(files, optimise):
    model, npz, feeds = files
    (found,) = onnxruntime(str(model), str(npz), threads=1, optimise=optimise)()
    exact = np.maximum(feeds[Y].astype(np.float64) @ feeds[X].astype(np.float64), 0)
    bound = 64 * np.finfo(np.float32).eps * np.abs(feeds[Y]) @ np.abs(feeds[X])  # of any order of summing
    assert (np.abs(found - exact) <= bound).all()


@pytest.mark.timing
def test_onnxruntime_in_a_worker(files):
    model, npz, _ = files
    found = compare([onnxruntime_engine("ort", model, npz, 1)], budget_seconds=0.2, min_rounds=2)
    assert found.engine("ort").startup.import_seconds > found.engine("ort").startup.load_seconds
    assert found.conditions.block_calls["ort"] > 1


def test_what_onnxruntime_refuses_comes_back_in_its_words(files, tmp_path):
    _, npz, _ = files
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(b"\x08\x07 this is no model")
    with pytest.raises(BackendError, match="onnxruntime refuses the model: ") as caught:
        Worker(onnxruntime_engine("ort", damaged, npz, 1))
    assert "\n" not in str(caught.value)


def test_feeds_that_do_not_fit_come_back_in_its_words(files, tmp_path):
    model, _, feeds = files
    save_feeds(tmp_path / "f.npz", {X: feeds[X]})
    with pytest.raises(BackendError, match="file"):
        Worker(onnxruntime_engine("ort", model, tmp_path / "f.npz", 1))
