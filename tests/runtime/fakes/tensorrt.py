"""A TensorRT without a GPU: ONNX Runtime computes its engines, on the streams of the fake CUDA runtime.

A plan is a header in JSON and an ONNX model. What a real context would refuse, this one refuses; what a real
GPU would only get wrong (a context on two streams at once, an address that is not aligned) it asserts.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from enum import Enum, IntFlag

import ml_dtypes
import numpy as np
import onnxruntime as ort

MAGIC = b"plan"


def make_plan(model: bytes, *, profiles=(), on_host=(), open_outputs=(), bad=False) -> bytes:
    """A plan.

    Args:
        model: ONNX bytes.
        profiles: {input: (least, usual, most)} for every input with open dims.
        on_host: inputs that decide about shapes.
        open_outputs: outputs whose sizes depend on values.
        bad: TensorRT refuses to make a context of it.
    """
    header = {"profiles": list(profiles), "on_host": list(on_host), "open": list(open_outputs), "bad": bad}
    text = json.dumps(header).encode()
    return MAGIC + len(text).to_bytes(4, "little") + text + model


class DataType(Enum):
    FLOAT = "float"
    HALF = "float16"
    BF16 = "bfloat16"
    INT8 = "int8"
    INT32 = "int32"
    INT64 = "int64"
    UINT8 = "uint8"
    BOOL = "bool"


class TensorIOMode(Enum):
    NONE = 0
    INPUT = 1
    OUTPUT = 2


class TensorLocation(Enum):
    DEVICE = 0
    HOST = 1


class Severity(Enum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3
    VERBOSE = 4


class ILogger:
    Severity = Severity


class IOutputAllocator:
    """To be derived from."""


class EngineInvalidityDiagnostics(IntFlag):
    VERSION_MISMATCH = 1
    OLD_CUDA_DRIVER = 4
    INSUFFICIENT_GPU_MEMORY = 16
    MALFORMED_ENGINE = 32


class Specialization(Enum):
    LAZY = 0
    EAGER = 1
    NONE = 2


class FakeTensorRT:
    """Stands for the module ``tensorrt_rtx``.

    Attributes:
        log: calls of contexts by name.
        contexts: every context made.
        context_limit: how many there is memory for.
        capturable: what contexts say of themselves.
    """

    DataType = DataType
    TensorIOMode = TensorIOMode
    TensorLocation = TensorLocation
    ILogger = ILogger
    IOutputAllocator = IOutputAllocator
    EngineInvalidityDiagnostics = EngineInvalidityDiagnostics
    DynamicShapesKernelSpecializationStrategy = Specialization

    def __init__(self, cuda, version="1.7.1.116") -> None:
        self.__version__ = version
        self.cuda = cuda
        self.calls = Counter()
        self.contexts = []
        self.context_limit = 100
        self.capturable = True
        self.diagnosis = 0

    def Runtime(self, logger):  # noqa: N802
        return Runtime(self, logger)


class Runtime:
    def __init__(self, api, logger) -> None:
        self.api = api
        self.logger = logger
        self.engine_host_code_allowed = False

    def deserialize_cuda_engine(self, data):
        data = bytes(data)
        if data[:4] != MAGIC:
            self.logger.log(
                Severity.ERROR,
                "IRuntime::deserializeCudaEngine: Error Code 1: Serialization (Serialization assertion "
                "header.magicTag == kEXPECTED_MAGIC_TAG failed. In throwUnlessHeaderOk at /a/b.cpp:48)",
            )
            self.logger.log(Severity.ERROR, "[checkMacros.cpp::catchCudaError::250] Error Code 1: later")
            return None
        size = int.from_bytes(data[4:8], "little")
        return Engine(self.api, self.logger, json.loads(data[8 : 8 + size]), data[8 + size :])

    def get_engine_validity(self, data):
        return (2, self.api.diagnosis)


class RuntimeConfig:
    dynamic_shapes_kernel_specialization_strategy = Specialization.LAZY


_TYPES = {
    "tensor(float)": DataType.FLOAT,
    "tensor(float16)": DataType.HALF,
    "tensor(bfloat16)": DataType.BF16,
    "tensor(int8)": DataType.INT8,
    "tensor(int32)": DataType.INT32,
    "tensor(int64)": DataType.INT64,
    "tensor(uint8)": DataType.UINT8,
    "tensor(bool)": DataType.BOOL,
}


def numpy_of(dtype: DataType) -> np.dtype:
    if dtype is DataType.BF16:
        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype("float32" if dtype is DataType.FLOAT else dtype.value)


class Engine:
    def __init__(self, api, logger, header, model) -> None:
        self.api, self.logger, self.header = api, logger, header
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        self.session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.outputs = {arg.name: arg for arg in self.session.get_outputs()}
        # As TensorRT's parser does: an input that is an output too gets another name.
        self.plain = {
            f"__{arg.name}" if arg.name in self.outputs else arg.name: arg.name
            for arg in self.session.get_inputs()
        }
        arguments = {arg.name: arg for arg in self.session.get_inputs()}
        self.inputs = {name: arguments[plain] for name, plain in self.plain.items()}
        self.names = [*self.inputs, *self.outputs]
        self.num_io_tensors = len(self.names)
        self.num_optimization_profiles = max(len(header["profiles"]), 1)

    def get_tensor_name(self, index):
        return self.names[index]

    def get_tensor_mode(self, name):
        return TensorIOMode.INPUT if name in self.inputs else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name):
        return _TYPES[(self.inputs | self.outputs)[name].type]

    def get_tensor_shape(self, name):
        return tuple(d if isinstance(d, int) else -1 for d in (self.inputs | self.outputs)[name].shape)

    def get_tensor_location(self, name):
        return TensorLocation.HOST if name in self.header["on_host"] else TensorLocation.DEVICE

    def get_tensor_profile_shape(self, name, index):
        return [tuple(shape) for shape in self.header["profiles"][index][name]]

    def create_runtime_config(self):
        return RuntimeConfig()

    def create_execution_context(self, config=None):
        if self.header["bad"]:
            raise RuntimeError("no context today")
        if len(self.api.contexts) >= self.api.context_limit:
            self.logger.log(Severity.ERROR, "[x.cpp::y::1] Error Code 2: OutOfMemory (Requested size was 5)")
            return None
        context = Context(self, config)
        self.api.contexts.append(context)
        return context


class Context:
    def __init__(self, engine, config) -> None:
        self.engine, self.api, self.config = engine, engine.api, config
        self.profile = 0
        self.shapes, self.addresses, self.allocators = {}, {}, {}
        self.enqueued = self.executed = 0

    def set_optimization_profile_async(self, index, stream):
        self.profile = index
        return True

    def set_input_shape(self, name, shape):
        fixed = self.engine.get_tensor_shape(name)
        if -1 in fixed:
            least, _, most = self.engine.get_tensor_profile_shape(name, self.profile)
            good = len(shape) == len(least) and all(
                a <= b <= c for a, b, c in zip(least, shape, most, strict=True)
            )
        else:
            good = tuple(shape) == fixed
        self.shapes[name] = tuple(shape)
        return good

    def set_tensor_address(self, name, address):
        assert address, f"{name} has no memory"
        on_host = self.engine.get_tensor_location(name) is TensorLocation.HOST
        assert on_host or address % 256 == 0, f"{name} is not aligned"
        self.addresses[name] = address
        return True

    def set_output_allocator(self, name, allocator):
        self.allocators[name] = allocator
        return True

    def infer_shapes(self):
        missing = [name for name in self.engine.inputs if name not in self.shapes]
        if missing:
            return missing
        probe = {name: np.ones(self.shapes[name], self._dtype(name)) for name in self.engine.inputs}
        for name in self.engine.header["on_host"]:
            probe[name] = self._read(name)
        results = self._run(probe)
        for name, value in results.items():
            self.shapes[name] = (-1,) * value.ndim if name in self.engine.header["open"] else value.shape
        return []

    def get_tensor_shape(self, name):
        return self.shapes[name]

    def is_stream_capturable(self, stream):
        return self.api.capturable

    def execute_async_v3(self, stream):
        self.api.calls["execute_async_v3"] += 1
        addresses, shapes = dict(self.addresses), dict(self.shapes)
        cuda = self.api.cuda
        assert not cuda.last, "TensorRT finds the status of somebody else's call"
        if cuda.failing.get("execute"):
            self.engine.logger.log(Severity.ERROR, "IExecutionContext::enqueueV3: Error Code 1: no kernel")
            return False
        if self.engine.header["open"]:
            return self._execute_open(stream)
        turn = self.enqueued
        capturing = cuda.streams[stream].capturing is not None
        if not capturing:
            self.enqueued += 1

        def work() -> None:
            if not capturing:
                assert self.executed == turn, "two runs of one context at once"
                self.executed += 1
            for name, value in self._run(self._gather(addresses, shapes)).items():
                self._write(addresses[name], value)

        cuda.push(stream, work)
        return True

    def _execute_open(self, stream):
        """Sizes that depend on values: TensorRT waits for them."""
        self.api.cuda.drain(stream)
        for name, value in self._run(self._gather(self.addresses, self.shapes)).items():
            address = self.addresses.get(name)
            if name in self.engine.header["open"]:
                allocator = self.allocators[name]
                address = allocator.reallocate_output_async(name, 0, max(value.nbytes, 1), 256, stream)
                allocator.notify_shape(name, value.shape)
                if not address:
                    self.engine.logger.log(Severity.ERROR, "Error Code 2: OutOfMemory (reallocate)")
                    return False
            self._write(address, value)
        return True

    def _dtype(self, name):
        return numpy_of(self.engine.get_tensor_dtype(name))

    def _gather(self, addresses, shapes):
        cuda = self.api.cuda
        feeds = {}
        for name in self.engine.inputs:
            if self.engine.get_tensor_location(name) is TensorLocation.DEVICE:
                size = math.prod(shapes[name]) * self._dtype(name).itemsize
                if cuda.find(addresses[name], size) is None:
                    cuda.broken = 700
                    return None
            feeds[name] = cuda.read(addresses[name], self._dtype(name), shapes[name])
        return feeds

    def _read(self, name):
        return self.api.cuda.read(self.addresses[name], self._dtype(name), self.shapes[name])

    def _run(self, feeds):
        if feeds is None:
            return {}
        names = list(self.engine.outputs)
        feeds = {self.engine.plain[name]: array for name, array in feeds.items()}
        return dict(zip(names, self.engine.session.run(names, feeds), strict=True))

    def _write(self, address, value):
        self.api.cuda._store(address, np.ascontiguousarray(value).tobytes())
