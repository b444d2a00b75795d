"""Machines with imagined GPUs, artifacts for them, and arrays of other libraries on them."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from graphopt import _kernels
from graphopt.backends.base import Blob, Claim
from graphopt.backends.cuda import api, device
from graphopt.backends.flatten import flatten
from graphopt.backends.onnxruntime.backend import OnnxRuntimeBackend
from graphopt.backends.serialize import serialize
from graphopt.backends.tensorrt import key, load, module
from graphopt.targets.cuda_driver import CudaDriver
from graphopt.targets.gpu import Gpu

from .fakes.cudart import FakeCuda
from .fakes.tensorrt import FakeTensorRT, make_plan

TARGET = {"kind": "cuda", "hardware_class": "cuda-sm_86", "architectures": ["sm_86"]}


@dataclass
class Imagined:
    """What stands for the driver and for TensorRT."""

    cuda: FakeCuda
    trt: FakeTensorRT


@contextmanager
def imagine_gpu(monkeypatch):
    """Put the fakes where the real modules would be, and forget what was found there afterwards."""
    cuda = FakeCuda()
    trt = FakeTensorRT(cuda)
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", cuda)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", trt)
    gpus = (Gpu("Imagined GPU 0", "sm_86", 1 << 30, ""),)
    monkeypatch.setattr(api, "cuda_driver", lambda: CudaDriver((13, 0), gpus))
    # What was found of a real TensorRT stays found: it takes one logger for the life of the process.
    monkeypatch.setattr(load, "find_library", module.find_library.__wrapped__)
    forget()
    yield Imagined(cuda, trt)
    forget()


def forget():
    """Let the driver and its GPUs be looked up again."""
    api.open_cuda.cache_clear()
    device.open_device.cache_clear()


class ImaginedTensorRT(OnnxRuntimeBackend):
    """Builds plans for the fake; takes everything but what it is told to leave."""

    def __init__(self, leaves=(), options=None, **plan):
        super().__init__()
        object.__setattr__(self, "name", "tensorrt")
        object.__setattr__(self, "leaves", leaves)
        object.__setattr__(self, "extra", options or {})
        object.__setattr__(self, "plan", plan)

    def claims(self, node, target):
        return Claim(node.op_type not in self.leaves, "left")

    def build(self, region, options):
        options = {
            "module": "tensorrt_rtx",
            "version": "1.7.1.116",
            "architectures": ["sm_86"],
            "weight_bytes": 1000,
        } | self.extra
        return sealed(make_plan(serialize(flatten(region)), **self.plan), options)


def sealed(plan, options):
    """A region with the key its options and its bytes have."""
    facts = options | {"model": "", "plan": key.digest(plan)}
    return Blob("tensorrt", plan, facts | {"key": key.plan_key(facts)})


_CODES = {"f": 2, "i": 0, "u": 1, "b": 6}


class Tensor:
    """An array of another library on an imagined GPU, as torch has them: it knows a stream of its own.

    ``late`` work on that stream fills it: whoever does not wait reads NaN.
    """

    def __init__(self, cuda, array, *, stream=1, device=0, late=False, offset=0, strides=None):
        self.cuda, self.array, self.stream, self.number = cuda, array, stream, device
        self.shape, self.dtype = array.shape, f"torch.{array.dtype.name}"
        self.strides = strides
        self.memory = cuda.make(np.full(array.nbytes + offset, 0xFF, np.uint8))
        self.pointer = self.memory + offset
        if late:
            data = array.tobytes()
            cuda.push(stream, lambda: cuda._store(self.pointer, data))
        else:
            cuda._store(self.pointer, array.tobytes())

    def __del__(self):
        # A caching allocator hands memory to the next tensor at once: its own stream comes later anyway.
        self.cuda.push(self.stream, self.cuda.blocks[self.memory].poison)
        self.cuda.drain(self.stream)

    def __dlpack_device__(self):
        return (2, self.number)

    def __dlpack__(self, *, stream=None):
        if stream not in (None, -1):
            event = self.cuda.cudaEventCreateWithFlags(2)[1]
            self.cuda.cudaEventRecord(event, self.stream)
            self.cuda.cudaStreamWaitEvent(stream, event, 0)
        kind, bits = self.array.dtype.kind, self.array.dtype.itemsize * 8
        return _kernels.export_dlpack(
            self.pointer, list(self.shape), _CODES[kind], bits, 2, self.number, self
        )


def take(cuda, array, stream=None):
    """The values of a ``DeviceArray`` as another library sees them that takes it over on its own stream."""
    if stream is None:
        stream = cuda.cudaStreamCreateWithFlags(1)[1]
    tensor = _kernels.import_dlpack(array.__dlpack__(stream=stream))
    cuda.drain(stream)
    return cuda.read(tensor.pointer, array.dtype, tuple(tensor.shape))
