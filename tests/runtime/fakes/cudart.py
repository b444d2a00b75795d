"""A CUDA runtime without a GPU, as unhelpful as a real one may be.

Its "GPU memory" is memory of the host. Work on a stream is done at the last possible moment: when somebody
waits for it. New memory and memory given back is full of 0xFF, so that whoever reads too early, too late or
elsewhere computes with NaN. An address that belongs to nothing is an illegal access, told at the next wait.
"""

# ruff: noqa: N801, N802, N815 - the names are those of the bindings

from __future__ import annotations

import ctypes
import itertools
import random
import threading
from collections import Counter, deque
from enum import IntEnum
from types import SimpleNamespace

import numpy as np

_ALIGNMENT = 256
_POISON = 0xFF
SUCCESS, OUT_OF_MEMORY, NO_DEVICE, NOT_READY, ILLEGAL, CAPTURING = 0, 2, 100, 600, 700, 900


class cudaError_t(IntEnum):
    cudaSuccess = 0
    cudaErrorMemoryAllocation = 2
    cudaErrorInsufficientDriver = 35
    cudaErrorNoDevice = 100
    cudaErrorNotReady = 600
    cudaErrorIllegalAddress = 700
    cudaErrorStreamCaptureUnsupported = 900


_WORDS = {
    2: "out of memory",
    35: "CUDA driver version is insufficient for CUDA runtime version",
    100: "no CUDA-capable device is detected",
    700: "an illegal memory access was encountered",
    900: "operation not permitted when stream is capturing",
}


class Block:
    """Some memory: on the "GPU", or page-locked."""

    def __init__(self, size: int) -> None:
        self.store = np.full(size + _ALIGNMENT, _POISON, np.uint8)
        self.address = -(-self.store.ctypes.data // _ALIGNMENT) * _ALIGNMENT
        self.size = size
        self.live = True

    def poison(self) -> None:
        self.live = False
        self.store[:] = _POISON


class Stream:
    def __init__(self) -> None:
        self.pending = deque()
        self.capturing = None


class Event:
    def __init__(self) -> None:
        self.done = True
        self.stream = None


def _is_blocked(queue: Stream) -> bool:
    """Whether the next thing on a stream is to wait for what has not happened."""
    return bool(queue.pending) and isinstance(queue.pending[0], Event) and not queue.pending[0].done


class FakeCuda:
    """Stands for the module ``cuda.bindings.runtime``.

    Attributes:
        driver, runtime: versions, as CUDA numbers them.
        capabilities: of the GPUs there are.
        limit: bytes a GPU has.
        calls: how often each function was called.
        failing: function → error code to answer with from now on.
        eager: how often, from 0 to 1, work of other streams is done too while somebody waits for one.
    """

    cudaError_t = cudaError_t

    def __init__(self) -> None:
        self.driver, self.runtime = 13000, 13000
        self.capabilities = [(8, 6)]
        self.limit = 1 << 30
        self.calls = Counter()
        self.failing = {}
        self.eager = 0.0
        self.random = random.Random(0)
        self.blocks = {}  # address → Block, also those given back
        self.pinned = {}
        self.streams = {1: Stream()}
        self.events = {}
        self.graphs = {}
        self.current = 0
        self.broken = SUCCESS
        self.on_trim = lambda: None
        self._thread = threading.local()
        self.lock = threading.RLock()
        self._numbers = itertools.count(1000)

    # ---- what a test looks at

    @property
    def last(self) -> int:
        """Status of the last call of this thread that failed and was not asked about."""
        return getattr(self._thread, "last", SUCCESS)

    @property
    def used(self) -> int:
        """Bytes of GPU memory in use."""
        return sum(block.size for block in tuple(self.blocks.values()) if block.live)

    def find(self, address: int, size: int) -> Block | None:
        """The live GPU or page-locked memory that holds all of a range."""
        for block in (*tuple(self.blocks.values()), *tuple(self.pinned.values())):
            if block.live and block.address <= address and address + size <= block.address + block.size:
                return block
        return None

    def read(self, address: int, dtype, shape) -> np.ndarray:
        """A copy of what is in memory at this moment."""
        dtype = np.dtype(dtype)
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        data = ctypes.string_at(address, size)
        return np.frombuffer(bytearray(data), dtype).reshape(shape)

    def make(self, array: np.ndarray) -> int:
        """Address of new GPU memory that holds an array."""
        block = self._block(max(array.nbytes, 1))
        ctypes.memmove(block.address, np.ascontiguousarray(array).ctypes.data, array.nbytes)
        return block.address

    def push(self, stream: int, work) -> None:
        """Put work on a stream, as a kernel launch does."""
        queue = self.streams[int(stream) or 1]
        (queue.pending if queue.capturing is None else queue.capturing).append(work)

    def drain(self, stream: int) -> None:
        """Do what is on a stream."""
        queue = self.streams[int(stream) or 1]
        self._work_until(lambda: not queue.pending, queue)

    # ---- the driver and the GPUs

    def cudaDriverGetVersion(self):
        return self._answer("cudaDriverGetVersion", self.driver)

    def cudaRuntimeGetVersion(self):
        return self._answer("cudaRuntimeGetVersion", self.runtime)

    def cudaGetErrorString(self, error):
        return cudaError_t.cudaSuccess, _WORDS.get(int(error), "unrecognised").encode()

    def cudaGetLastError(self):
        found, self._thread.last = self.last, SUCCESS
        return (cudaError_t(found),)

    def cudaGetDeviceCount(self):
        if not self.capabilities:
            return cudaError_t.cudaErrorNoDevice, None
        return self._answer("cudaGetDeviceCount", len(self.capabilities))

    def cudaGetDevice(self):
        return self._answer("cudaGetDevice", self.current)

    def cudaSetDevice(self, device):
        self.current = device
        return self._answer("cudaSetDevice")

    def cudaDeviceGetAttribute(self, attribute, device):
        major, minor = self.capabilities[device]
        found = {75: major, 76: minor, 115: 1}[int(attribute)]
        return self._answer("cudaDeviceGetAttribute", found)

    def cudaGetDeviceProperties(self, device):
        name = f"Imagined GPU {device}".encode().ljust(64, b"\0")
        return self._answer("cudaGetDeviceProperties", SimpleNamespace(name=name))

    def cudaMemGetInfo(self):
        return self._answer("cudaMemGetInfo", self.limit - self.used, self.limit)

    cudaDeviceAttr = staticmethod(int)
    cudaMemcpyKind = staticmethod(int)
    cudaMemPoolAttr = staticmethod(int)
    cudaMemAllocationType = staticmethod(int)
    cudaMemLocationType = staticmethod(int)
    cudaStreamCaptureMode = staticmethod(int)

    # ---- memory

    def cudaMemPoolProps(self):
        return SimpleNamespace(location=SimpleNamespace())

    def cudaMemPoolCreate(self, properties):
        assert properties.location.id == self.current
        return self._answer("cudaMemPoolCreate", self._next())

    def cudaMemPoolSetAttribute(self, pool, attribute, value):
        return self._answer("cudaMemPoolSetAttribute")

    def cudaMemPoolTrimTo(self, pool, size):
        self.on_trim()
        return self._answer("cudaMemPoolTrimTo")

    def cudaMalloc(self, size):
        return self.cudaMallocFromPoolAsync(size, None, 1)

    def cudaMallocFromPoolAsync(self, size, pool, stream):
        if self.streams[int(stream) or 1].capturing is not None:
            return self._fail(CAPTURING, None)
        if size > self.limit - self.used:
            return self._fail(OUT_OF_MEMORY, None)
        return self._answer("cudaMallocFromPoolAsync", self._block(size).address)

    def cudaFreeAsync(self, address, stream):
        self.push(stream, self.blocks[int(address)].poison)
        return self._answer("cudaFreeAsync")

    def cudaHostAlloc(self, size, flags):
        block = Block(size)
        self.pinned[block.address] = block
        return self._answer("cudaHostAlloc", block.address)

    def cudaMemcpyAsync(self, target, source, size, kind, stream):
        assert int(kind) == 4
        target, source = int(target), int(source)
        if self._pageable(source, size):
            # The driver has staged it when the call returns.
            staged = ctypes.string_at(source, size)
            self.push(stream, lambda: self._store(target, staged))
        elif self._pageable(target, size):
            self.drain(stream)
            ctypes.memmove(target, source, size)
        else:
            self.push(stream, lambda: self._move(target, source, size))
        return self._answer("cudaMemcpyAsync")

    # ---- order

    def cudaStreamCreateWithFlags(self, flags):
        number = self._next()
        self.streams[number] = Stream()
        return self._answer("cudaStreamCreateWithFlags", number)

    def cudaStreamDestroy(self, stream):
        return self._answer("cudaStreamDestroy")

    def cudaStreamSynchronize(self, stream):
        if self.streams[int(stream) or 1].capturing is not None:
            return self._fail(CAPTURING)
        self.drain(stream)
        if self.broken:
            return self._fail(self.broken)
        return self._answer("cudaStreamSynchronize")

    def cudaEventCreateWithFlags(self, flags):
        number = self._next()
        self.events[number] = Event()
        return self._answer("cudaEventCreateWithFlags", number)

    def cudaEventRecord(self, event, stream):
        # A new moment under the old number: whoever waits for the old one keeps it.
        moment = self.events[event] = Event()
        moment.done, moment.stream = False, self.streams[int(stream) or 1]
        self.push(stream, lambda: setattr(moment, "done", True))
        return self._answer("cudaEventRecord")

    def cudaEventQuery(self, event):
        return self._answer("cudaEventQuery") if self.events[event].done else self._fail(NOT_READY)

    def cudaEventSynchronize(self, event):
        moment = self.events[event]
        if not moment.done:
            self._work_until(lambda: moment.done, moment.stream)
        return self._answer("cudaEventSynchronize")

    def cudaStreamWaitEvent(self, stream, event, flags):
        moment = self.events[event]
        self.push(stream, moment)
        return self._answer("cudaStreamWaitEvent")

    def cudaEventElapsedTime(self, before, after):
        assert self.events[before].done
        assert self.events[after].done
        return self._answer("cudaEventElapsedTime", 0.25)

    def cudaEventDestroy(self, event):
        del self.events[event]
        return self._answer("cudaEventDestroy")

    # ---- graphs

    def cudaStreamBeginCapture(self, stream, mode):
        if "cudaStreamBeginCapture" not in self.failing:
            self.streams[stream].capturing = []
        return self._answer("cudaStreamBeginCapture")

    def cudaStreamEndCapture(self, stream):
        number = self._next()
        self.graphs[number] = self.streams[stream].capturing
        self.streams[stream].capturing = None
        return self._answer("cudaStreamEndCapture", number)

    def cudaGraphInstantiate(self, graph, flags):
        number = self._next()
        self.graphs[number] = self.graphs[graph]
        return self._answer("cudaGraphInstantiate", number)

    def cudaGraphDestroy(self, graph):
        del self.graphs[graph]
        return self._answer("cudaGraphDestroy")

    cudaGraphExecDestroy = cudaGraphDestroy

    def cudaGraphLaunch(self, graph, stream):
        for work in self.graphs[graph]:
            self.push(stream, work)
        return self._answer("cudaGraphLaunch")

    # ---- how it works

    def _answer(self, name, *values):
        self.calls[name] += 1
        code = self.failing.get(name, SUCCESS)
        return self._fail(code, *(None for _ in values)) if code else (cudaError_t.cudaSuccess, *values)

    def _fail(self, code, *nothing):
        self._thread.last = code
        return (cudaError_t(code), *nothing)

    def _next(self) -> int:
        return next(self._numbers)

    def _block(self, size: int) -> Block:
        block = Block(size)
        self.blocks[block.address] = block
        return block

    def _work_until(self, done, queue: Stream) -> None:
        """Do work of a stream and of those it waits for, and sometimes of others, as a real GPU does.

        A real GPU works by itself; here any thread that waits does its work, one at a time.
        """
        with self.lock:
            while not done():
                while self.eager and self.random.random() < self.eager:
                    self._step(self.random.choice(tuple(self.streams.values())))
                blocked = queue
                while _is_blocked(blocked):
                    blocked = blocked.pending[0].stream
                if not done():
                    assert self._step(blocked), "waits for what never comes"

    def _step(self, queue: Stream) -> bool:
        """Do the next piece of work of a stream, if there is one and it waits for nothing."""
        if not queue.pending or _is_blocked(queue):
            return False
        work = queue.pending.popleft()
        if not isinstance(work, Event):
            work()
        return True

    def _pageable(self, address: int, size: int) -> bool:
        return not any(
            block.address <= address < block.address + max(block.size, 1)
            for block in (*tuple(self.blocks.values()), *tuple(self.pinned.values()))
        )

    def _store(self, target: int, data: bytes) -> None:
        if self.find(target, len(data)) is None:
            self.broken = ILLEGAL
            return
        ctypes.memmove(target, data, len(data))

    def _move(self, target: int, source: int, size: int) -> None:
        if self.find(source, size) is None:
            self.broken = ILLEGAL
            return
        self._store(target, ctypes.string_at(source, size))
