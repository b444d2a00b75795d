"""Page-locked host memory, which the GPU copies from and to by itself. Imports no compiler room."""

from __future__ import annotations

import ctypes
from collections import defaultdict, deque

import numpy as np
import numpy.typing as npt

from graphopt.backends.cuda.api import Cuda, CudaError

MOST_BYTES = 64 << 20
"""Larger arrays are not staged: page-locked memory is taken away from the whole machine, and next to
copying so much the driver's own staging costs nothing."""

_SMALLEST = 1 << 12


def host_elements(
    address: int, count: int, dtype: np.dtype[np.generic], owner: object = None
) -> npt.NDArray[np.generic]:
    """``count`` elements in the host's memory as a flat array that keeps ``owner`` alive."""
    memory = (ctypes.c_ubyte * (count * dtype.itemsize)).from_address(address)
    memory.owner = owner  # type: ignore[attr-defined]
    return np.frombuffer(memoryview(memory), dtype)


class PinnedBuffer:
    """Some page-locked memory; back in its pool when nobody holds it.

    Attributes:
        address: of its first byte.
        size: in bytes, a power of two.
    """

    __slots__ = ("_pool", "address", "size")

    def __init__(self, pool: PinnedPool, address: int, size: int) -> None:
        """Made by ``PinnedPool.take``."""
        self._pool = pool
        self.address = address
        self.size = size

    def view(self, dtype: np.dtype[np.generic], shape: tuple[int, ...]) -> npt.NDArray[np.generic]:
        """The memory as an array, which must not outlive the buffer."""
        count = int(np.prod(shape, dtype=np.int64))
        return host_elements(self.address, count, dtype).reshape(shape)

    def __del__(self) -> None:
        self._pool._put(self.address, self.size)


class PinnedPool:
    """Page-locked memory in blocks of powers of two, kept for the next run: locking pages is slow."""

    def __init__(self, cuda: Cuda) -> None:
        """Holds nothing until something is asked for."""
        self._cuda = cuda
        self._free: defaultdict[int, deque[int]] = defaultdict(deque)

    def take(self, size: int) -> PinnedBuffer | None:
        """At least ``size`` bytes; None when that is too much to pin or the system does not give it.

        The caller keeps the buffer until the GPU is done with it (see ``Stream.hold``).
        """
        if size > MOST_BYTES:
            return None
        block = max(_SMALLEST, 1 << (size - 1).bit_length())
        try:
            return PinnedBuffer(self, self._free[block].popleft(), block)
        except IndexError:
            pass
        try:
            return PinnedBuffer(self, int(self._cuda.cudaHostAlloc(block, 0)), block)
        except CudaError:
            return None

    def _put(self, address: int, size: int) -> None:
        self._free[size].append(address)
