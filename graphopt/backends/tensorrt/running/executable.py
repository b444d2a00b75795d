"""Run an engine: feeds in, work on a stream, arrays out. Imports no compiler room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphopt.backends.cuda.device import Device
from graphopt.backends.cuda.memory import ALIGNMENT, copy
from graphopt.backends.cuda.stream import Stream
from graphopt.backends.cuda.transfer import fetch, upload
from graphopt.backends.device_array import DeviceArray, Value
from graphopt.backends.executable import Array, TensorInfo
from graphopt.backends.feed_check import explain_feeds
from graphopt.backends.tensorrt.logger import Log
from graphopt.backends.tensorrt.module import Library
from graphopt.backends.tensorrt.running.contexts import Context, ContextPool
from graphopt.backends.tensorrt.running.cuda_graph import GraphCache
from graphopt.backends.tensorrt.running.output_allocator import GrowingOutput
from graphopt.backends.tensorrt.running.ports import Port, choose_profile, read_ports
from graphopt.errors import FeedError


class TensorRTExecutable:
    """An open engine. ``run`` and ``enqueue`` may be called from several threads at once.

    Attributes:
        inputs: what it takes.
        outputs: what it gives.
        device: the GPU it runs on.
        notices: what a person should know about running it here.
        runtime: TensorRT's object the engine came from, which has to live as long.
    """

    def __init__(
        self,
        library: Library,
        engine: Any,
        log: Log,
        device: Device,
        *,
        cuda_graph: bool = False,
        notices: Sequence[str] = (),
    ) -> None:
        """``engine`` is TensorRT's own object, ``log`` its log; ``cuda_graph`` as for ``load``."""
        self.device = device
        self.notices = tuple(notices)
        self.runtime: Any = None
        self._api = library.api
        self._inputs, self._outputs = read_ports(library.api, engine)
        self.inputs: tuple[TensorInfo, ...] = tuple(port.info for port in self._inputs)
        self.outputs: tuple[TensorInfo, ...] = tuple(port.info for port in self._outputs)
        self._contexts = ContextPool(engine, library.api, log, device)
        self._graphs = GraphCache(self, self._contexts) if cuda_graph else None

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute every output from numpy arrays and wait for it; raises as ``enqueue``."""
        with self.device.lend_stream() as stream:
            return fetch(self.enqueue(feeds, stream), stream)

    def enqueue(self, feeds: Mapping[str, Value], stream: Stream) -> dict[str, Value]:
        """Put a run on a stream.

        Args:
            feeds: numpy arrays, or arrays on this GPU that later work on ``stream`` may use.
            stream: of this GPU, which is the current one.

        Returns:
            The outputs, for later work on ``stream``.

        Raises:
            FeedError: something is missing or of another dtype, or no profile takes the shapes.
            BackendError: the GPU has no memory left, or TensorRT fails, in its own words.
        """
        shapes = self._check(feeds)
        profile = choose_profile(self._inputs, shapes)
        if self._graphs is not None and (outputs := self._graphs.run(profile, feeds, stream)) is not None:
            return outputs
        with self._contexts.lend(profile, stream) as context:
            return self.enqueue_on(context, feeds, stream)

    def enqueue_on(self, context: Context, feeds: Mapping[str, Value], stream: Stream) -> dict[str, Value]:
        """``enqueue`` on a context set to the right profile, with feeds that were checked."""
        used = [self._bind_input(context, port, feeds[port.name], stream) for port in self._inputs]
        self._infer_shapes(context)
        outputs = [self._bind_output(context, port, stream) for port in self._outputs]
        self.execute(context, stream)
        # What TensorRT reads from the host has to stay until it is done.
        if on_host := [value for value in used if isinstance(value, np.ndarray)]:
            stream.hold(stream.record(), *on_host)
        if any(port.on_host for port in self._outputs):
            stream.synchronize()
        found = zip(self._outputs, outputs, strict=True)
        return {port.name: self._finish(context, port, output) for port, output in found}

    def execute(self, context: Context, stream: Stream) -> None:
        """Put the work on the stream, with everything bound; raises BackendError when TensorRT fails."""
        if not context.handle.execute_async_v3(stream.handle):
            raise self._contexts.failure("failed")

    @property
    def capturable(self) -> bool:
        """Whether nothing about a run depends on values: then its work is the same every time."""
        return not any(port.on_host for port in (*self._inputs, *self._outputs))

    def _check(self, feeds: Mapping[str, Value]) -> dict[str, tuple[int, ...]]:
        """The shape of every input; raises FeedError unless names and dtypes are right."""
        shapes = {}
        for port in self._inputs:
            value = feeds.get(port.name)
            if not isinstance(value, (np.ndarray, DeviceArray)) or value.dtype != port.dtype:
                raise self._explain(feeds)
            shapes[port.name] = value.shape
        if len(feeds) != len(self._inputs):
            raise self._explain(feeds)
        return shapes

    def _explain(self, feeds: Mapping[str, Value]) -> FeedError:
        found = explain_feeds(self.inputs, feeds, device_arrays=True)
        return found or FeedError("the feeds do not fit the engine")

    def _bind_input(self, context: Context, port: Port, value: Value, stream: Stream) -> Value:
        """Tell the context where an input lies; returns what has to stay until the run is done."""
        handle = context.handle
        if port.on_host:
            plain = value.numpy() if isinstance(value, DeviceArray) else value
            value = np.array(plain, order="C")
            address = value.ctypes.data
        else:
            value = self._on_device(value, stream)
            address = value.pointer
        bound = handle.set_input_shape(port.tensor, value.shape)
        if not (bound and handle.set_tensor_address(port.tensor, address)):
            raise self._contexts.failure(f"does not take input '{port.name}' of shape {list(value.shape)}")
        return value

    def _on_device(self, value: Value, stream: Stream) -> DeviceArray:
        """The value in memory of the GPU, where TensorRT can read it."""
        if not isinstance(value, DeviceArray):
            return upload(value, self.device, stream)
        if value.pointer % ALIGNMENT == 0 and value.pointer:
            return value
        # A slice of somebody's tensor: TensorRT reads whole lines of memory.
        aligned = DeviceArray.empty(self.device, value.dtype, value.shape, stream)
        copy(self.device, aligned.pointer, value.pointer, value.nbytes, stream)
        return aligned

    def _infer_shapes(self, context: Context) -> None:
        try:
            missing = context.handle.infer_shapes()
        except RuntimeError as error:
            raise self._contexts.failure("cannot work out the shapes", error) from error
        if missing:
            raise self._contexts.failure(f"cannot work out the shapes of {', '.join(missing)}")

    def _bind_output(
        self, context: Context, port: Port, stream: Stream
    ) -> DeviceArray | GrowingOutput | Array:
        handle = context.handle
        shape = tuple(handle.get_tensor_shape(port.tensor))
        output: DeviceArray | GrowingOutput | Array
        if -1 in shape:
            output = GrowingOutput(self._api, self.device, port.dtype, stream)
            bound = handle.set_output_allocator(port.tensor, output.handle)
        elif port.on_host:
            output = np.empty(shape, port.dtype)
            bound = handle.set_tensor_address(port.tensor, output.ctypes.data)
        else:
            output = DeviceArray.empty(self.device, port.dtype, shape, stream)
            bound = handle.set_tensor_address(port.tensor, output.pointer)
        if not bound:
            raise self._contexts.failure(f"does not give output '{port.name}'")
        return output

    def _finish(self, context: Context, port: Port, output: DeviceArray | GrowingOutput | Array) -> Value:
        if not isinstance(output, GrowingOutput):
            return output
        context.handle.set_output_allocator(port.tensor, None)
        return output.array()
