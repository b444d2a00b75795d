"""Streams and events: what happens on a GPU in which order. Imports no compiler room."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from graphopt.backends.cuda.api import Cuda
from graphopt.errors import UsageError

LEGACY_DEFAULT = 1
"""The default stream of a process by the number DLPack and CUDA give it; 0 means the same."""

_NON_BLOCKING = 1
_NO_TIMING = 2


class Event:
    """A moment on a stream. Destroyed with the object, which CUDA allows before the moment has come."""

    __slots__ = ("_cuda", "handle")

    def __init__(self, cuda: Cuda, stream: int) -> None:
        """The moment when everything that is on the stream ``stream`` now is done."""
        self._cuda = cuda
        self.handle = cuda.cudaEventCreateWithFlags(_NO_TIMING)
        cuda.cudaEventRecord(self.handle, stream)

    @property
    def done(self) -> bool:
        """Whether the moment has come."""
        if self._cuda.status("cudaEventQuery", self.handle) == 0:
            return True
        self._cuda.forget_error()  # "not ready" counts as one
        return False

    def wait(self) -> None:
        """Let the calling thread sleep or spin until the moment has come."""
        self._cuda.cudaEventSynchronize(self.handle)

    def __del__(self) -> None:
        if hasattr(self, "handle"):
            self._cuda.status("cudaEventDestroy", self.handle)


class Stream:
    """Work in order. One thread at a time enqueues on it (see ``Device.lend_stream``).

    It does not wait for the process's default stream, nor is waited for by it: whoever shares memory
    with it says so by events.
    """

    def __init__(self, cuda: Cuda, device: int) -> None:
        """``device``: number of the GPU, which is the current one."""
        self.device = device
        self._cuda = cuda
        self._stream: Any = cuda.cudaStreamCreateWithFlags(_NON_BLOCKING)
        self.handle = int(self._stream)
        self._held: deque[tuple[Event, object]] = deque()
        self._lock = threading.Lock()

    def record(self) -> Event:
        """The moment when all work enqueued until now is done."""
        return Event(self._cuda, self.handle)

    def wait(self, event: Event) -> None:
        """Let later work on this stream wait for a moment on another."""
        self._cuda.cudaStreamWaitEvent(self.handle, event.handle, 0)

    def wait_for(self, handle: int) -> None:
        """Let later work on this stream wait for what is on a stream of somebody else's now."""
        if handle != self.handle:
            self.wait(Event(self._cuda, handle))

    def let_wait(self, handle: int, event: Event) -> None:
        """Let later work on somebody else's stream wait for a moment on this one."""
        if handle != self.handle:
            self._cuda.cudaStreamWaitEvent(handle, event.handle, 0)

    def synchronize(self) -> None:
        """Wait for all work enqueued until now; raises CudaError when any of it failed."""
        self._cuda.cudaStreamSynchronize(self.handle)
        with self._lock:
            self._drop_done()

    def hold(self, event: Event, *things: object) -> None:
        """Keep ``things`` alive until ``event``: memory the work enqueued until then reads."""
        with self._lock:
            self._drop_done()
            self._held.append((event, things))

    def _drop_done(self) -> None:
        while self._held and self._held[0][0].done:
            self._held.popleft()

    def __del__(self) -> None:
        if hasattr(self, "_stream"):
            self._cuda.status("cudaStreamDestroy", self._stream)


def stream_handle(stream: object) -> int:
    """The address of a stream of torch, cupy, cuda.core or cuda-bindings, or one given as a number.

    Raises:
        UsageError: it is none.
    """
    if callable(protocol := getattr(stream, "__cuda_stream__", None)):
        return int(protocol()[1]) or LEGACY_DEFAULT
    for attribute in ("cuda_stream", "ptr"):
        if isinstance(value := getattr(stream, attribute, None), int):
            return value or LEGACY_DEFAULT
    try:
        return int(stream) or LEGACY_DEFAULT  # type: ignore[call-overload]
    except (TypeError, ValueError):
        raise UsageError(
            f"a {type(stream).__name__} is no CUDA stream",
            "pass torch.cuda.current_stream(), a cupy or cuda.core stream, or its address",
        ) from None
