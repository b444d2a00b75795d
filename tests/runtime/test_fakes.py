"""The imagined CUDA runtime and TensorRT say what the real ones say: names, arguments, kinds of answers."""

import ctypes
import inspect
import re
from pathlib import Path

import pytest

from graphopt.backends.cuda import api
from graphopt.backends.cuda.api import Cuda
from graphopt.backends.tensorrt.module import find_library
from graphopt.errors import BackendError

from .fakes.cudart import FakeCuda
from .fakes.tensorrt import Context, Engine, FakeTensorRT, Runtime

BACKENDS = Path(api.__file__).parents[1]


@pytest.fixture
def bindings():
    return pytest.importorskip("cuda.bindings.runtime", reason="cuda-bindings is not installed")


@pytest.fixture
def library():
    try:
        return find_library("tensorrt_rtx").api
    except BackendError as error:
        pytest.skip(str(error))


def test_every_function_of_the_fake_is_one_of_cudas(bindings):
    names = [name for name in dir(FakeCuda) if name.startswith("cuda")]
    assert len(names) > 30
    for name in names:
        assert hasattr(bindings, name), name
        if inspect.isfunction(getattr(FakeCuda, name)) and not inspect.isclass(getattr(bindings, name)):
            signature = re.search(r"\((.*)\)", getattr(bindings, name).__doc__.split("\n")[0])
            if signature:
                theirs = [part for part in signature[1].split(",") if part.strip()]
                ours = [p for p in inspect.signature(getattr(FakeCuda, name)).parameters if p != "self"]
                assert len(ours) == len(theirs), name


def test_every_function_the_product_calls_is_in_the_fake_and_the_bindings(bindings):
    """Also the ones that a test happens not to reach."""
    sources = [*(BACKENDS / "cuda").glob("*.py"), *(BACKENDS / "tensorrt").rglob("cuda_graph.py")]
    called = {
        name
        for file in sources
        for name in re.findall(r"\bcuda[A-Z]\w+", re.sub(r"``.*?``|#.*", "", file.read_text()))
    }
    assert {"cudaMemcpyAsync", "cudaGraphLaunch"} <= called
    assert called <= {*dir(bindings), "cudaFree"}
    assert called - set(dir(FakeCuda)) <= {"cudaFree", "cudaFreeHost"}


def test_the_bindings_take_the_arguments_the_product_gives(bindings):
    """Without a GPU they answer with an error code; a wrong type they would refuse with an exception."""
    cuda = Cuda(bindings)
    memory = ctypes.create_string_buffer(16)
    address = ctypes.addressof(memory)
    pool = bindings.cudaMemPool_t(0)
    properties = cuda.make("cudaMemPoolProps")
    properties.allocType = cuda.constant("cudaMemAllocationType", 1)
    properties.location.type = cuda.constant("cudaMemLocationType", 1)
    properties.location.id = 0
    calls = {
        "cudaDeviceGetAttribute": (cuda.constant("cudaDeviceAttr", 75), 0),
        "cudaGetDeviceProperties": (0,),
        "cudaMemGetInfo": (),
        "cudaMemPoolCreate": (properties,),
        "cudaMemPoolSetAttribute": (pool, cuda.constant("cudaMemPoolAttr", 4), cuda.word64(1 << 63)),
        "cudaMallocFromPoolAsync": (256, pool, 1),
        "cudaMemPoolTrimTo": (pool, 0),
        "cudaHostAlloc": (64, 0),
        "cudaStreamCreateWithFlags": (1,),
        "cudaEventCreateWithFlags": (2,),
        "cudaGetDevice": (),
        "cudaGetDeviceCount": (),
    }
    if cuda.cudaDriverGetVersion():
        pytest.skip("there is a driver here: what is made up above would really be used")
    calls |= {
        "cudaMemcpyAsync": (address, address, 4, cuda.constant("cudaMemcpyKind", 4), 1),
        "cudaFreeAsync": (address, 1),
        "cudaEventRecord": (address, 1),
        "cudaEventQuery": (address,),
        "cudaEventSynchronize": (address,),
        "cudaStreamWaitEvent": (1, address, 0),
        "cudaStreamSynchronize": (1,),
        "cudaStreamBeginCapture": (1, cuda.constant("cudaStreamCaptureMode", 1)),
        "cudaStreamEndCapture": (1,),
        "cudaGraphInstantiate": (bindings.cudaGraph_t(0), 0),
        "cudaGraphLaunch": (address, 1),
    }
    for name, arguments in calls.items():
        assert cuda.status(name, *arguments) != 0, name


def test_streams_and_events_are_numbers_to_the_bindings(bindings):
    assert int(bindings.cudaStream_t(5)) == 5


@pytest.mark.parametrize(
    ("fake", "real"), [(Engine, "ICudaEngine"), (Context, "IExecutionContext"), (Runtime, "Runtime")]
)
def test_every_call_of_the_fake_is_one_of_tensorrts(fake, real, library):
    for name, _ in inspect.getmembers(fake, inspect.isfunction):
        if not name.startswith("_"):
            assert hasattr(getattr(library, real), name), f"{real}.{name}"


def test_the_names_the_fake_gives_are_tensorrts(library):
    for name in ("TensorIOMode", "TensorLocation", "DataType", "DynamicShapesKernelSpecializationStrategy"):
        ours = getattr(FakeTensorRT, name)
        theirs = getattr(library, name)
        assert {member.name for member in ours} <= set(theirs.__members__), name
    allocator = type("Allocator", (library.IOutputAllocator,), {})
    assert allocator is not None
    assert hasattr(library.IRuntimeConfig, "dynamic_shapes_kernel_specialization_strategy")
    assert set(library.EngineInvalidityDiagnostics.__members__) >= {"OLD_CUDA_DRIVER", "MALFORMED_ENGINE"}
