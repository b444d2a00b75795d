"""One GPU of this machine: what it is, its streams, its memory pool. Imports no compiler room."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from graphopt.backends.cuda.api import Cuda, CudaError, open_cuda
from graphopt.backends.cuda.pinned import PinnedPool
from graphopt.backends.cuda.stream import Stream
from graphopt.errors import BackendError, UsageError

_MAJOR, _MINOR, _POOLS = 75, 76, 115  # cudaDevAttrComputeCapability…, cudaDevAttrMemoryPoolsSupported
KEPT_BYTES = 256 << 20
"""Free memory of ours that is kept for the next run: other libraries in the process want some, too."""


class Device:
    """One GPU. Safe to use from several threads.

    Attributes:
        cuda: the checked calls.
        index: as CUDA counts them in this process.
        architecture: "sm_90".
        name: as its maker calls it.
        memory_bytes: of its own memory.
        pinned: host memory the GPU copies from and to by itself.
    """

    def __init__(self, cuda: Cuda, index: int) -> None:
        """Ask the driver about GPU ``index``; raises BackendError where it does not answer."""
        self.cuda = cuda
        self.index = index
        with self.active():
            major, minor = (self._attribute(number) for number in (_MAJOR, _MINOR))
            self.architecture = f"sm_{major}{minor}"
            properties = cuda.cudaGetDeviceProperties(index)
            name = properties.name
            self.name = name.decode().rstrip("\0") if isinstance(name, bytes) else str(name)
            self.memory_bytes: int = cuda.cudaMemGetInfo()[1]
            self._pool = self._make_pool() if self._attribute(_POOLS) else None
        self.pinned = PinnedPool(cuda)
        self._idle: deque[Stream] = deque()

    def __str__(self) -> str:
        return f"{self.name} ({self.architecture})"

    @contextmanager
    def active(self) -> Iterator[None]:
        """Make this the calling thread's current GPU for a while: CUDA allocates on the current one."""
        before = self.cuda.cudaGetDevice()
        if before == self.index:
            yield
            return
        self.cuda.cudaSetDevice(self.index)
        try:
            yield
        finally:
            self.cuda.cudaSetDevice(before)

    @contextmanager
    def lend_stream(self) -> Iterator[Stream]:
        """A stream nobody else enqueues on meanwhile, on the current GPU. Work on it may still be going on
        when it is handed back: whoever gets it next comes after that."""
        with self.active():
            try:
                stream = self._idle.popleft()
            except IndexError:
                stream = Stream(self.cuda, self.index)
            try:
                yield stream
            finally:
                self._idle.append(stream)

    def trim(self) -> None:
        """Give what is kept for the next run back to everybody."""
        if self._pool is not None:
            self.cuda.status("cudaMemPoolTrimTo", self._pool, 0)

    def free_bytes(self) -> int:
        """Memory nobody uses at the moment."""
        self.trim()
        with self.active():
            free: int = self.cuda.cudaMemGetInfo()[0]
            return free

    def allocate(self, size: int, stream: Stream) -> int:
        """Address of ``size`` bytes for work put on ``stream`` from now on; CudaError if none are left."""
        if self._pool is None:
            address = self.cuda.cudaMalloc(size)
        else:
            address = self.cuda.cudaMallocFromPoolAsync(size, self._pool, stream.handle)
        return int(address)

    def free(self, address: int, stream: Stream) -> None:
        """Give memory back after what is on ``stream`` now; never raises, since it runs while cleaning up."""
        if self._pool is None:
            self.cuda.status("cudaFree", address)
        else:
            self.cuda.status("cudaFreeAsync", address, stream.handle)

    def _attribute(self, number: int) -> int:
        kind = self.cuda.constant("cudaDeviceAttr", number)
        return int(self.cuda.cudaDeviceGetAttribute(kind, self.index))

    def _make_pool(self) -> Any:
        """A memory pool of our own: the default one belongs to everybody in the process.

        It keeps some of what was freed for the next run; by default a pool gives all of it back whenever
        somebody waits for the GPU, and mapping it again costs more than most models compute.
        """
        api = self.cuda
        pool = api.cudaMemPoolCreate(self._pool_properties())
        threshold = api.constant("cudaMemPoolAttr", 4)  # cudaMemPoolAttrReleaseThreshold
        api.cudaMemPoolSetAttribute(pool, threshold, api.word64(KEPT_BYTES))
        return pool

    def _pool_properties(self) -> Any:
        properties = self.cuda.make("cudaMemPoolProps")
        properties.allocType = self.cuda.constant("cudaMemAllocationType", 1)  # pinned: the only kind
        properties.location.type = self.cuda.constant("cudaMemLocationType", 1)  # on a device
        properties.location.id = self.index
        return properties


@cache
def open_device(index: int = 0) -> Device:
    """A GPU by its number in this process.

    Raises:
        BackendError: there is no driver, it is too old, or it lists no GPU.
        UsageError: there are GPUs, but not so many.
    """
    cuda = open_cuda()
    try:
        count = cuda.cudaGetDeviceCount()
    except CudaError as error:
        raise BackendError(f"no GPU can be used: {error.message}", error.hint) from error
    if not count:
        raise BackendError("there is no NVIDIA GPU here", "look at CUDA_VISIBLE_DEVICES and `nvidia-smi`")
    if not 0 <= index < count:
        offered = "device 0" if count == 1 else f"devices 0 to {count - 1}"
        raise UsageError(f"there is no GPU {index} here", f"this process sees {offered}")
    return Device(cuda, index)
