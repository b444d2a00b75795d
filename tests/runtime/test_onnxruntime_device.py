"""ONNX Runtime regions of an artifact for a GPU: there where its provider is, else on the CPU with a notice.

The provider is played by the CPU's, whose memory is the imagined GPU's: I/O binding, order and lifetimes are
the product's own.
"""

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.backends.cuda.device import open_device
from graphopt.backends.cuda.stream import Stream
from graphopt.backends.onnxruntime import cuda
from graphopt.backends.onnxruntime import load as load_module
from graphopt.backends.onnxruntime.backend import OnnxRuntimeBackend
from graphopt.errors import BackendError, FeedError
from graphopt.runtime.session import load

from .conftest import feeds, mixed_model, write
from .imagined import TARGET, Tensor, take
from .test_device_session import EngineFor, expected, same


class Played(cuda.CudaProvider):
    """The CPU's provider in the part of the GPU's: it does its work at once, so the stream must be done."""

    options = property(lambda self: {})

    def before_run(self):
        self.device.cuda._api.drain(self.stream.handle)


@pytest.fixture
def provider(gpu, monkeypatch):
    """ONNX Runtime with a provider for the imagined GPU."""
    opened = []

    def find(index):
        device = open_device(index)
        opened.append(Played(device, Stream(device.cuda, index), "CPUExecutionProvider", "cpu"))
        return opened[-1]

    open_wrapped = cuda.open_wrapped
    monkeypatch.setattr(load_module, "find_provider", find)
    monkeypatch.setattr(
        cuda, "open_wrapped", lambda model, options, names: open_wrapped(model, options, names[:1])
    )
    return opened


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """An artifact for a GPU without any engine."""
    path = tmp_path_factory.mktemp("plain") / "model.gopt"
    write(path, mixed_model(), (OnnxRuntimeBackend(),), target=TARGET)
    return path


@pytest.fixture(scope="module")
def hybrid(tmp_path_factory):
    """Engines and ONNX Runtime in turns."""
    path = tmp_path_factory.mktemp("hybrid") / "model.gopt"
    model = mixed_model()
    for node in model.graph:
        node.outputs[0].shape = ir.Shape(["N", 500])
    write(path, model, (EngineFor(leaves=("Tanh", "If")), OnnxRuntimeBackend()), target=TARGET)
    return path


@pytest.mark.parametrize("kind", ["plain", "hybrid"])
def test_regions_on_the_gpu_compute_what_the_model_does(kind, request, gpu, provider):
    session = load(request.getfixturevalue(kind))
    assert provider
    assert session.device.index == 0
    assert session.notices == ()
    for seed in range(3):
        same(session.run(feeds(3, seed=seed)), expected(mixed_model(), feeds(3, seed=seed)))
        tensors = {n: Tensor(gpu.cuda, np.asarray(a), late=True) for n, a in feeds(3, seed=seed).items()}
        outputs = session.run(tensors)
        del tensors
        wanted = expected(mixed_model(), feeds(3, seed=seed))
        same({name: take(gpu.cuda, array) for name, array in outputs.items()}, wanted)


def test_nothing_between_the_regions_goes_through_the_host(hybrid, gpu, provider):
    session = load(hybrid)
    tensors = {name: Tensor(gpu.cuda, np.asarray(a)) for name, a in feeds(3).items()}
    session.run(tensors)
    assert gpu.cuda.calls["cudaStreamSynchronize"] == 0


def test_feeds_that_do_not_fit_are_explained(plain, gpu, provider):
    session = load(plain)
    with pytest.raises(FeedError, match=r"input 'x' has dtype float64 \(expected x: float32\[N, 500\]\)"):
        session.run(feeds(3) | {"x": Tensor(gpu.cuda, np.ones((3, 500)))})
    with pytest.raises(FeedError, match="axis 1 is 7 instead of 500"):
        session.run(feeds(3) | {"x": np.ones((3, 7), np.float32)})
    with pytest.raises(FeedError, match="input 'c' is missing"):
        session.run({"x": feeds(3)["x"], "unused": feeds(3)["unused"]})
    same(session.run(feeds(3)), expected(mixed_model(), feeds(3)))


def test_a_run_that_fails_names_the_node(tmp_path, gpu, provider):
    model = ir.from_onnx_text(
        '<ir_version: 10, opset_import: ["" : 21]>\n'
        "g (float[6] x, int64[2] s) => (float[A, B] y) { [shaper] y = Reshape(x, s) }"
    )
    write(tmp_path / "model.gopt", model, (OnnxRuntimeBackend(),), target=TARGET)
    session = load(tmp_path / "model.gopt")
    with pytest.raises(BackendError, match="shaper"):
        session.run({"x": np.ones(6, np.float32), "s": np.array([4, 2])})
    assert session.run({"x": np.ones(6, np.float32), "s": np.array([3, 2])})["y"].shape == (3, 2)


def test_sequences_stay_on_the_host(tmp_path, gpu, provider):
    model = ir.from_onnx_text(
        '<ir_version: 10, opset_import: ["" : 21]>\n'
        "g (seq(float[N]) xs, float[1] x) => (float[M] joined, seq(float[N]) longer) {\n"
        "  longer = SequenceInsert(xs, x)\n  joined = ConcatFromSequence <axis = 0> (longer)\n}"
    )
    write(tmp_path / "model.gopt", model, (OnnxRuntimeBackend(),), target=TARGET)
    session = load(tmp_path / "model.gopt")
    xs = [np.ones(2, np.float32), np.zeros(1, np.float32)]
    outputs = session.run({"xs": xs, "x": np.full(1, 7, np.float32)})
    np.testing.assert_array_equal(outputs["joined"], [1, 1, 0, 7])
    outputs = session.run({"xs": xs, "x": Tensor(gpu.cuda, np.full(1, 7, np.float32), late=True)})
    np.testing.assert_array_equal(take(gpu.cuda, outputs["joined"]), [1, 1, 0, 7])
    assert [len(array) for array in outputs["longer"]] == [2, 1, 1]


def test_without_the_provider_regions_run_on_the_cpu_and_a_notice_says_so(plain, gpu):
    session = load(plain)
    assert session.device is None
    (notice,) = session.notices
    assert notice.startswith("onnxruntime's regions run on the CPU: onnxruntime-gpu is not installed here")
    assert "pip install 'graphopt[cuda]'" in notice
    same(session.run(feeds(3)), expected(mixed_model(), feeds(3)))


def test_on_a_machine_without_a_gpu_there_is_nothing_to_tell(plain, gpu):
    gpu.cuda.driver = 0
    assert load(plain).notices == ()


def test_a_provider_that_finds_no_gpu_says_why(gpu, monkeypatch):
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [cuda.NAME])
    gpu.cuda.driver = 0
    assert cuda.find_provider(0) == "there is no NVIDIA driver here"
    gpu.cuda.driver = 13000


def test_float32_stays_float32_on_the_gpu(gpu, monkeypatch):
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [cuda.NAME])
    found = cuda.find_provider(0)
    assert found.options["use_tf32"] == "0"
    assert int(found.options["user_compute_stream"]) == found.stream.handle
