"""CUDA graphs: the kernels of one run recorded once and launched as one. Imports no compiler room.

What launching dozens of kernels one by one costs is most of the time of a small model. A graph is bound
to addresses, so inputs are copied into memory of its own and outputs out of it, on the GPU.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from graphopt.backends.cuda.api import Cuda
from graphopt.backends.cuda.memory import copy
from graphopt.backends.cuda.stream import Stream
from graphopt.backends.cuda.transfer import write
from graphopt.backends.device_array import DeviceArray, Value
from graphopt.backends.tensorrt.running.contexts import Context, ContextPool
from graphopt.errors import BackendError

if TYPE_CHECKING:
    from graphopt.backends.tensorrt.running.executable import TensorRTExecutable

MOST_GRAPHS = 4
"""Sets of shapes with a graph of their own: each has a context, and so memory for activations."""

_THREAD_LOCAL = 1
"""``cudaStreamCaptureModeThreadLocal``: what other threads do meanwhile does not spoil the recording."""

_LOG = logging.getLogger("graphopt")

_Key = tuple[int, tuple[tuple[int, ...], ...]]


class Graph:
    """One recorded run: fixed shapes, fixed memory."""

    def __init__(
        self, cuda: Cuda, executable: Any, context: Context, inputs: dict[str, Any], outputs: dict[str, Any]
    ) -> None:
        """``executable`` is CUDA's own object; the arrays and the context are what it reads and writes."""
        self._cuda = cuda
        self._executable = executable
        self._context = context
        self._inputs: dict[str, DeviceArray] = inputs
        self._outputs: dict[str, DeviceArray] = outputs
        self._lock = threading.Lock()

    def replay(self, feeds: Mapping[str, Value], stream: Stream) -> dict[str, Value]:
        """The outputs for other values of the same shapes, in stream order; in memory of their own."""
        with self._lock:
            self._context.follow(stream)
            for name, target in self._inputs.items():
                _fill(target, feeds[name], stream)
            self._cuda.cudaGraphLaunch(self._executable, stream.handle)
            outputs: dict[str, Value] = {name: _taken(array, stream) for name, array in self._outputs.items()}
            self._context.busy = stream.record()
        return outputs

    def __del__(self) -> None:
        if hasattr(self, "_executable"):
            self._cuda.status("cudaGraphExecDestroy", self._executable)


class GraphCache:
    """The graphs of one engine, by profile and shapes. Safe to use from several threads."""

    def __init__(self, executable: TensorRTExecutable, contexts: ContextPool) -> None:
        """Records nothing until a run comes along."""
        self._executable = executable
        self._contexts = contexts
        self._graphs: dict[_Key, Graph | None] = {}
        self._lock = threading.Lock()
        self._said = False

    def run(self, profile: int, feeds: Mapping[str, Value], stream: Stream) -> dict[str, Value] | None:
        """The outputs by way of a graph, recorded first where there is none for these shapes.

        None where a run cannot be recorded, or enough shapes have a graph: then it runs as usual.
        """
        if not self._executable.capturable:
            self._say("its shapes depend on values")
            return None
        key = (profile, tuple(feeds[info.name].shape for info in self._executable.inputs))
        with self._lock:
            if key not in self._graphs:
                if len(self._graphs) >= MOST_GRAPHS:
                    return None
                self._graphs[key] = self._record(profile, feeds, stream)
            graph = self._graphs[key]
        return None if graph is None else graph.replay(feeds, stream)

    def _record(self, profile: int, feeds: Mapping[str, Value], stream: Stream) -> Graph | None:
        """Run once as usual, which leaves nothing to be done for the first time, then record."""
        device, cuda = self._executable.device, self._executable.device.cuda
        try:
            context = self._contexts.make(profile, stream, final=True)
            static: dict[str, Value] = {
                info.name: DeviceArray.empty(device, feeds[info.name].dtype, feeds[info.name].shape, stream)
                for info in self._executable.inputs
            }
            for name, target in static.items():
                _fill(target, feeds[name], stream)
            outputs = self._executable.enqueue_on(context, static, stream)
            stream.synchronize()
            names = [info.name for info in self._executable.outputs]
            if any(-1 in tuple(context.handle.get_tensor_shape(name)) for name in names):
                self._say("sizes of its outputs depend on values")
                return None
            if not getattr(context.handle, "is_stream_capturable", lambda _: True)(stream.handle):
                self._say("TensorRT says it cannot be recorded")
                return None
            cuda.cudaStreamBeginCapture(stream.handle, cuda.constant("cudaStreamCaptureMode", _THREAD_LOCAL))
            try:
                self._executable.execute(context, stream)
            finally:
                graph = cuda.cudaStreamEndCapture(stream.handle)
            try:
                launchable = cuda.cudaGraphInstantiate(graph, 0)
            finally:
                cuda.status("cudaGraphDestroy", graph)
        except BackendError as error:
            self._say(error.message)
            return None
        return Graph(cuda, launchable, context, static, outputs)

    def _say(self, reason: str) -> None:
        """Tell once why runs are launched kernel by kernel."""
        if not self._said:
            self._said = True
            _LOG.warning("runs without a CUDA graph: %s", reason)


def _fill(target: Value, value: Value, stream: Stream) -> None:
    assert isinstance(target, DeviceArray)
    if isinstance(value, DeviceArray):
        copy(target.device, target.pointer, value.pointer, value.nbytes, stream)
    else:
        write(value, target.pointer, target.device, stream)


def _taken(array: DeviceArray, stream: Stream) -> DeviceArray:
    """A copy in memory of its own: the next launch writes over the graph's."""
    taken = DeviceArray.empty(array.device, array.dtype, array.shape, stream)
    copy(array.device, taken.pointer, array.pointer, array.nbytes, stream)
    return taken
