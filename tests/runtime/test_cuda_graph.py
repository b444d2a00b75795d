"""CUDA graphs: recorded once for each set of shapes, launched from then on, never wrong, never in the way."""

import sys
from contextlib import ExitStack

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.runtime.session import load

from .conftest import write
from .fakes.tensorrt import Context, FakeTensorRT, Runtime
from .imagined import TARGET, ImaginedTensorRT, Tensor

SIZES = {"x": ((1,), (8,), (64,)), "z": ((1,), (8,), (64,))}


MODEL = ir.from_onnx_text(
    '<ir_version: 10, opset_import: ["" : 21]>\n'
    "g (float[N] x, float[N] z) => (float[N] y, float[N] d) { y = Mul(x, z) d = Sub(x, z) }"
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    where = tmp_path_factory.mktemp("graph") / "model.gopt"
    write(where, MODEL, (ImaginedTensorRT(profiles=[SIZES]),), target=TARGET)
    return where


def arrays(size, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=size).astype(np.float32) for name in ("x", "z")}


def check(outputs, feeds):
    values = {n: v if isinstance(v, np.ndarray) else v.numpy() for n, v in outputs.items()}
    np.testing.assert_array_equal(values["y"], feeds["x"] * feeds["z"])
    np.testing.assert_array_equal(values["d"], feeds["x"] - feeds["z"])


def test_a_run_is_recorded_once_and_launched_with_other_values(path, gpu):
    session = load(path, cuda_graph=True)
    for seed in range(5):
        check(session.run(arrays(8, seed)), arrays(8, seed))
    assert gpu.cuda.calls["cudaGraphInstantiate"] == 1
    assert gpu.cuda.calls["cudaGraphLaunch"] == 5
    assert gpu.trt.calls["execute_async_v3"] == 2  # once as usual, once to record it


def test_a_recorded_run_uses_kernels_that_are_final(path, gpu):
    load(path, cuda_graph=True).run(arrays(8))
    (context,) = gpu.trt.contexts
    strategy = gpu.trt.DynamicShapesKernelSpecializationStrategy
    assert context.config.dynamic_shapes_kernel_specialization_strategy is strategy.EAGER
    load(path).run(arrays(8))
    assert gpu.trt.contexts[-1].config is None


def test_outputs_of_earlier_runs_keep_their_values(path, gpu):
    session = load(path, cuda_graph=True)
    feeds = [arrays(8, seed) for seed in range(4)]
    tensors = [{n: Tensor(gpu.cuda, a, late=True) for n, a in feed.items()} for feed in feeds]
    outputs = [session.run(tensor) for tensor in tensors]  # nothing is waited for in between
    for output, feed in reversed(list(zip(outputs, feeds, strict=True))):
        check(output, feed)
    assert gpu.cuda.calls["cudaGraphLaunch"] == 4


@pytest.mark.parametrize("seed", range(8))
def test_runs_on_several_streams_take_turns(seed, path, gpu):
    session = load(path, cuda_graph=True)
    session.run(arrays(8))
    gpu.cuda.eager = 0.7
    gpu.cuda.random.seed(seed)
    feeds = [arrays(8, seed) for seed in range(6)]
    outputs = []
    with ExitStack() as busy:
        for feed in feeds:
            outputs.append(session.run({n: Tensor(gpu.cuda, a, late=True) for n, a in feed.items()}))
            busy.enter_context(session.device.lend_stream())  # the next run needs another stream
    for index in gpu.cuda.random.sample(range(6), 6):
        check(outputs[index], feeds[index])


def test_each_set_of_shapes_has_a_graph_up_to_a_few(path, gpu):
    session = load(path, cuda_graph=True)
    for size in (1, 2, 3, 4, 5, 6, 1, 2, 6):
        check(session.run(arrays(size)), arrays(size))
    assert gpu.cuda.calls["cudaGraphInstantiate"] == 4
    assert gpu.cuda.calls["cudaGraphLaunch"] == 6


def test_without_being_asked_nothing_is_recorded(path, gpu):
    check(load(path).run(arrays(8)), arrays(8))
    assert gpu.cuda.calls["cudaStreamBeginCapture"] == 0


@pytest.mark.parametrize("trouble", ["context", "begin", "execute", "end", "instantiate", "memory"])
def test_what_cannot_be_recorded_runs_as_usual_and_is_told_once(trouble, path, gpu, caplog):
    caplog.set_level("WARNING", logger="graphopt")
    session = load(path, cuda_graph=True)
    begin = gpu.cuda.cudaStreamBeginCapture

    def break_while_recording(stream, mode):
        gpu.cuda.failing["execute"] = True
        return begin(stream, mode)

    end = gpu.cuda.cudaStreamEndCapture

    def mend(stream):
        gpu.cuda.failing.pop("execute", None)
        return end(stream)

    if trouble == "context":
        gpu.trt.capturable = False
    elif trouble == "execute":
        gpu.cuda.cudaStreamBeginCapture, gpu.cuda.cudaStreamEndCapture = break_while_recording, mend
    elif trouble == "memory":
        gpu.trt.context_limit = 1
        check(load(path).run(arrays(8)), arrays(8))
    else:
        names = {"begin": "BeginCapture", "end": "EndCapture"}
        name = f"cudaStream{names[trouble]}" if trouble in names else "cudaGraphInstantiate"
        gpu.cuda.failing[name] = 900
    if trouble == "memory":
        gpu.trt.contexts.clear()
        gpu.trt.context_limit = 0
        with pytest.raises(Exception, match="OutOfMemory"):
            session.run(arrays(8))
        gpu.trt.context_limit = 1
    for seed in range(3):
        check(session.run(arrays(8, seed)), arrays(8, seed))
    assert gpu.cuda.calls["cudaGraphLaunch"] == 0
    assert caplog.text.count("runs without a CUDA graph") == 1


def test_tensorrt_itself_has_less_to_say(tmp_path, gpu, monkeypatch):
    """Versions 10 and 11 know nothing of specialised kernels, of capturable streams, of diagnoses."""
    monkeypatch.setattr(FakeTensorRT, "DynamicShapesKernelSpecializationStrategy", None)
    monkeypatch.setattr(FakeTensorRT, "EngineInvalidityDiagnostics", None)
    monkeypatch.delattr(Context, "is_stream_capturable")
    monkeypatch.delattr(Runtime, "get_engine_validity")
    monkeypatch.setitem(sys.modules, "tensorrt", FakeTensorRT(gpu.cuda, "10.16.1.11"))
    facts = {"module": "tensorrt", "version": "10.16.1.11", "device": "Imagined GPU 0"}
    write(tmp_path / "model.gopt", MODEL, (ImaginedTensorRT(options=facts, profiles=[SIZES]),), target=TARGET)
    session = load(tmp_path / "model.gopt", cuda_graph=True)
    assert session.notices == ()
    for seed in range(3):
        check(session.run(arrays(8, seed)), arrays(8, seed))
    assert gpu.cuda.calls["cudaGraphLaunch"] == 3
