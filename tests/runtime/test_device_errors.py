"""Everything a host may lack or have wrong is one clear error with its remedy, before anything is run."""

import sys

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.backends.base import Blob
from graphopt.backends.cuda import api
from graphopt.backends.onnxruntime.backend import OnnxRuntimeBackend
from graphopt.errors import ArtifactError, BackendError, UsageError
from graphopt.runtime.session import load
from graphopt.targets.cuda_driver import CudaDriver

from .conftest import feeds, mixed_model, write
from .imagined import TARGET, ImaginedTensorRT, forget, sealed
from .test_device_session import EngineFor, expected, same

FALLBACK = "fallback=True"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    where = tmp_path_factory.mktemp("errors") / "model.gopt"
    write(where, mixed_model(), (EngineFor(),), target=TARGET)
    return where


def artifact(tmp_path, **options):
    write(tmp_path / "model.gopt", mixed_model(), (EngineFor(options=options),), target=TARGET)
    return tmp_path / "model.gopt"


def refusal(path, **arguments):
    """The error of opening an artifact: one line and a hint."""
    with pytest.raises((BackendError, UsageError)) as caught:
        load(path, **arguments)
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    return caught.value


def test_a_machine_without_the_bindings_of_cuda(path, gpu, monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)
    error = refusal(path)
    assert error.message.startswith("cuda-bindings cannot be imported")
    assert error.hint == "pip install 'cuda-bindings==13.*'"


def test_a_machine_without_bindings_and_driver_is_told_of_the_driver(path, gpu, monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)
    missing = CudaDriver(None, (), "there is no NVIDIA driver here: libcuda.so.1 is missing", "install it")
    monkeypatch.setattr(api, "cuda_driver", lambda: missing)
    error = refusal(path)
    assert error.message == missing.reason
    assert error.hint.startswith("install it, ")
    assert FALLBACK in error.hint


def test_a_machine_without_a_driver(path, gpu):
    gpu.cuda.driver = 0
    error = refusal(path)
    assert error.message == "there is no NVIDIA driver here"
    assert FALLBACK in error.hint


def test_a_driver_that_is_too_old(path, gpu):
    gpu.cuda.driver = 12040
    error = refusal(path)
    assert error.message.startswith("the NVIDIA driver supports CUDA 12.4, and cuda-bindings ")
    assert error.message.endswith("needs CUDA 13.0")
    assert error.hint == "update the NVIDIA driver, or pip install 'cuda-bindings<13'"


def test_a_driver_of_the_same_major_version_is_new_enough(path, gpu):
    gpu.cuda.driver, gpu.cuda.runtime = 13000, 13050
    load(path)


def test_a_machine_whose_driver_lists_no_gpu(path, gpu):
    gpu.cuda.capabilities = []
    error = refusal(path)
    assert error.message.startswith("no GPU can be used: CUDA: no CUDA-capable device is detected")
    assert "CUDA_VISIBLE_DEVICES" in error.hint


def test_a_gpu_that_is_not_there(path, gpu):
    error = refusal(path, device=1)
    assert isinstance(error, UsageError)
    assert str(error) == "there is no GPU 1 here (this process sees device 0)"


def test_another_gpu_of_the_machine_is_used_when_asked_for(path, gpu):
    gpu.cuda.capabilities = [(9, 0), (8, 6)]
    assert "sm_90" in refusal(path).message
    session = load(path, device=1)
    assert session.device.index == 1
    same(session.run(feeds(3)), expected(mixed_model(), feeds(3)))
    assert gpu.cuda.current == 0, "the caller's own GPU stays the current one"


def test_another_card(path, gpu):
    gpu.cuda.capabilities = [(9, 0)]
    error = refusal(path)
    assert error.message == "the engine was built for sm_86; this GPU is Imagined GPU 0 (sm_90)"
    assert "graphopt compile MODEL --target cuda:sm_90" in error.hint
    assert FALLBACK in error.hint


@pytest.mark.parametrize(("capability", "good"), [((8, 0), True), ((12, 0), True), ((7, 5), False)])
def test_an_engine_for_ampere_and_later(capability, good, tmp_path, gpu):
    path = artifact(tmp_path, hardware_compatible="ampere+")
    gpu.cuda.capabilities = [capability]
    if good:
        load(path)
    else:
        assert "sm_86 and later; this GPU is" in refusal(path).message


def test_an_engine_tuned_on_another_card_of_the_architecture_is_a_notice(tmp_path, gpu):
    path = artifact(tmp_path, device="NVIDIA A10")
    assert load(path).notices == (
        "the engine was tuned on NVIDIA A10, running on Imagined GPU 0: maybe not the fastest",
    )


def test_tensorrt_is_not_installed(tmp_path, gpu, monkeypatch):
    path = artifact(tmp_path, module="tensorrt", version="10.16.1.11")
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    error = refusal(path)
    assert "TensorRT is not installed" in error.message
    assert "graphopt[tensorrt]" in error.hint


@pytest.mark.parametrize(
    ("here", "compatible", "good"),
    [
        ("1.7.1.116", False, True),
        ("1.8.0.1", False, False),
        ("1.8.0.1", True, True),
        ("1.6.0.1", True, False),
        ("2.0.0.1", True, False),
    ],
)
def test_the_version_of_tensorrt(here, compatible, good, tmp_path, gpu):
    path = artifact(tmp_path, version_compatible=compatible)
    gpu.trt.__version__ = here
    forget()
    if good:
        load(path)
        return
    error = refusal(path)
    assert error.message == f"the engine was built by TensorRT-RTX 1.7.1.116; here is {here}"
    assert "pip install 'tensorrt-rtx-cu13-bindings==1.7.1.116'" in error.hint


def test_too_little_memory_is_said_before_anything_is_allocated(tmp_path, gpu):
    path = artifact(tmp_path, weight_bytes=900 << 20, activation_bytes=200 << 20)
    error = refusal(path)
    assert error.message == (
        "the engine needs about 1,100 MiB of GPU memory, and 1,024 MiB of Imagined GPU 0 (sm_86) are free"
    )
    assert "nvidia-smi" in error.hint
    assert gpu.cuda.used == 0


def test_memory_that_runs_out_during_a_run(path, gpu):
    session = load(path)
    session.run(feeds(3))
    gpu.cuda.limit = gpu.cuda.used + 100
    with pytest.raises(BackendError, match="the GPU has not enough free memory") as caught:
        session.run(feeds(3))
    assert "--workspace" in caught.value.hint
    gpu.cuda.limit = 1 << 30
    assert session.run(feeds(3))["y"].shape == (3, 500)


def test_a_run_that_fails_on_the_gpu(path, gpu):
    session = load(path)
    gpu.cuda.failing["execute"] = True
    with pytest.raises(BackendError, match="TensorRT failed: no kernel"):
        session.run(feeds(3))
    gpu.cuda.failing.clear()
    gpu.cuda.broken = 700
    with pytest.raises(BackendError, match=r"CUDA: an illegal memory access was encountered \(cudaStream"):
        session.run(feeds(3))


def test_a_damaged_engine(tmp_path, gpu):
    class Damaged(EngineFor):
        def build(self, region, options):
            blob = super().build(region, options)
            return sealed(b"x" * 100, blob.options)

    write(tmp_path / "model.gopt", mixed_model(), (Damaged(),), target=TARGET)
    error = refusal(tmp_path / "model.gopt")
    assert error.message.startswith("TensorRT-RTX 1.7.1.116 refuses the engine: Serialization")
    assert "b.cpp" not in error.message
    assert "compile the model again" in error.hint
    gpu.trt.diagnosis = 4
    assert refusal(tmp_path / "model.gopt").hint == "update the NVIDIA driver"
    gpu.trt.diagnosis = 16
    assert refusal(tmp_path / "model.gopt").hint.startswith("free memory on Imagined GPU 0")


def test_an_engine_tensorrt_makes_no_context_of(tmp_path, gpu):
    model = ir.from_onnx_text(
        '<ir_version: 10, opset_import: ["" : 21]> g (float[2] x) => (float[2] y) { y = Neg(x) }'
    )
    write(tmp_path / "model.gopt", model, (ImaginedTensorRT(bad=True),), target=TARGET)
    with pytest.raises(BackendError, match="cannot make an execution context: no context today"):
        load(tmp_path / "model.gopt").run({"x": np.ones(2, np.float32)})


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("module", "os", "do not say which TensorRT"),
        ("module", 3, "do not say which TensorRT"),
        ("version", None, "do not say which TensorRT"),
        ("architectures", "sm_86", "do not say which GPUs"),
        ("architectures", ["sm_86; rm"], "do not say which GPUs"),
        ("weight_bytes", -1, "'weight_bytes' is no size"),
        ("weight_bytes", "many", "'weight_bytes' is no size"),
    ],
)
def test_options_are_not_trusted(option, value, message, tmp_path, gpu):
    path = artifact(tmp_path, **{option: value})
    with pytest.raises(ArtifactError, match=message):
        load(path)


@pytest.mark.parametrize("change", ["architectures", "version", "tf32", "plan", "bytes"])
def test_an_engine_with_the_facts_of_another_never_reaches_tensorrt(change, tmp_path, gpu):
    class Swapped(EngineFor):
        def build(self, region, options):
            blob = super().build(region, options)
            other = {"architectures": ["sm_86", "sm_90"], "version": "1.7.1.117", "tf32": True, "plan": "0"}
            if change == "bytes":
                return Blob("tensorrt", blob.data + b"x", blob.options)
            return Blob("tensorrt", blob.data, blob.options | {change: other[change]})

    write(tmp_path / "model.gopt", mixed_model(), (Swapped(),), target=TARGET)
    with pytest.raises(ArtifactError, match=r"do not fit its key|is damaged") as caught:
        load(tmp_path / "model.gopt")
    assert "graphopt compile MODEL --target cuda:sm_86" in caught.value.hint


@pytest.mark.parametrize("trouble", ["driver", "card", "version", "bindings"])
def test_the_fallback_model_runs_where_the_engine_does_not(trouble, path, gpu, monkeypatch):
    if trouble == "driver":
        gpu.cuda.driver = 0
    elif trouble == "card":
        gpu.cuda.capabilities = [(7, 0)]
    elif trouble == "version":
        gpu.trt.__version__ = "1.9"
        forget()
    else:
        monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)
    session = load(path, fallback=True)
    assert session.device is None
    assert session.notices[0].startswith("running on onnxruntime instead: ")
    same(session.run(feeds(3)), expected(mixed_model(), feeds(3)))
    with pytest.raises(UsageError, match="runs on the CPU"):
        session.run(feeds(3), stream=1)


def test_an_artifact_for_a_gpu_says_so_on_a_machine_without(path, monkeypatch):
    """With the real bindings where they are installed: no fake in between."""
    forget()
    try:
        error = refusal(path)
    finally:
        forget()
    assert isinstance(error, BackendError)
    assert "Error" not in str(error)


def test_regions_on_the_cpu_alone_need_no_driver(tmp_path, gpu):
    gpu.cuda.driver = 0
    write(tmp_path / "model.gopt", mixed_model(), (OnnxRuntimeBackend(),), target=TARGET)
    same(load(tmp_path / "model.gopt").run(feeds(3)), expected(mixed_model(), feeds(3)))
