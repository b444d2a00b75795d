"""Memory for outputs whose sizes are known only once the engine has run. Imports no compiler room."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphopt.backends.cuda.device import Device
from graphopt.backends.cuda.memory import DeviceBuffer
from graphopt.backends.cuda.stream import Stream
from graphopt.backends.device_array import DeviceArray
from graphopt.errors import BackendError


class GrowingOutput:
    """One output of a run; TensorRT asks for its memory while it enqueues.

    Attributes:
        handle: what the execution context takes as its output allocator.
    """

    def __init__(self, api: Any, device: Device, dtype: np.dtype[np.generic], stream: Stream) -> None:
        """``api`` is the TensorRT module; the output is written on ``stream``."""
        self._device = device
        self._dtype = dtype
        self._stream = stream
        self._buffer: DeviceBuffer | None = None
        self._size = 0
        self._shape: tuple[int, ...] | None = None
        self._error: BackendError | None = None
        self.handle = _allocator(api, self)

    def reallocate(self, size: int) -> int:
        """Address of ``size`` bytes; 0 where there are none: an exception must not reach TensorRT."""
        try:
            if self._buffer is None or size > self._size:
                self._buffer = DeviceBuffer(self._device, size, self._stream)
                self._size = size
        except BackendError as error:
            self._error = error
            return 0
        return self._buffer.address

    def shaped(self, shape: tuple[int, ...]) -> None:
        """Told how large the output has become."""
        self._shape = shape

    def array(self) -> DeviceArray:
        """The output, once the run is enqueued; raises BackendError when there was no memory for it."""
        if self._error is not None:
            raise self._error
        if self._shape is None:
            raise BackendError("TensorRT did not say how large an output is")
        buffer = self._buffer or DeviceBuffer(self._device, 0, self._stream)
        # The allocator refers back to this: the memory must not wait for the cycle to be collected.
        self._buffer = self.handle = None
        return DeviceArray(
            self._device, buffer.address, self._dtype, self._shape, owner=buffer, stream=self._stream
        )


def _allocator(api: Any, output: GrowingOutput) -> Any:
    class Allocator(api.IOutputAllocator):  # type: ignore[misc]
        """Hands TensorRT's questions on."""

        def __init__(self) -> None:
            api.IOutputAllocator.__init__(self)

        def reallocate_output_async(
            self,
            tensor_name: str,  # noqa: ARG002 (called by TensorRT)
            memory: int,  # noqa: ARG002
            size: int,
            alignment: int,  # noqa: ARG002 (every allocation has it)
            stream: int,  # noqa: ARG002
        ) -> int:
            """Called by TensorRT while it enqueues."""
            return output.reallocate(size)

        def reallocate_output(self, tensor_name: str, memory: int, size: int, alignment: int) -> int:
            """The same, as older versions ask."""
            return self.reallocate_output_async(tensor_name, memory, size, alignment, 0)

        def notify_shape(self, tensor_name: str, shape: Any) -> None:  # noqa: ARG002
            """Called by TensorRT once it knows."""
            output.shaped(tuple(shape))

    return Allocator()
