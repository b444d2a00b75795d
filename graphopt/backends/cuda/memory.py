"""Memory of a GPU that gives itself back in the right order. Imports no compiler room."""

from __future__ import annotations

from graphopt.backends.cuda.api import MEMCPY_DEFAULT
from graphopt.backends.cuda.device import Device
from graphopt.backends.cuda.stream import Event, Stream

ALIGNMENT = 256
"""What TensorRT asks of an address, and every allocation has."""


class DeviceBuffer:
    """Memory on a GPU, given back in stream order when nobody holds it.

    Attributes:
        address: of its first byte.
        stream: it was allocated on; using it elsewhere needs an event, and ``used_on``.
    """

    __slots__ = ("_users", "address", "device", "stream")

    def __init__(self, device: Device, size: int, stream: Stream) -> None:
        """Allocate at least ``size`` bytes; raises CudaError when there are none left."""
        # An address is asked for even where there is nothing to store.
        self.address = device.allocate(max(size, 1), stream)
        self.device = device
        self.stream = stream
        self._users: set[int] = set()

    def used_on(self, handle: int) -> None:
        """Remember that somebody else's stream reads it: it is given back after what is on there then."""
        if handle != self.stream.handle:
            self._users.add(handle)

    def __del__(self) -> None:
        if not hasattr(self, "_users"):
            return
        if not self._users:
            self.device.free(self.address, self.stream)
            return
        try:
            with self.device.active():
                for handle in self._users:
                    self.stream.wait(Event(self.device.cuda, handle))
        except Exception:  # a stream that is gone, or a driver that shuts down: nobody reads any more
            pass
        self.device.free(self.address, self.stream)


def copy(device: Device, target: int, source: int, size: int, stream: Stream) -> None:
    """Copy bytes between any two memories the GPU sees, in stream order."""
    if size:
        kind = device.cuda.constant("cudaMemcpyKind", MEMCPY_DEFAULT)
        device.cuda.cudaMemcpyAsync(target, source, size, kind, stream.handle)
