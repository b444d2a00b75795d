"""ONNX Runtime regions on a GPU: device arrays are bound, not copied. Imports no compiler room."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from graphopt.backends.executable import Array, TensorInfo
from graphopt.backends.onnxruntime.session import (
    explain_failure,
    import_onnxruntime,
    open_wrapped,
    session_inputs,
    session_outputs,
)
from graphopt.backends.onnxruntime.values import element_type, numpy_dtype, to_ort
from graphopt.errors import BackendError, FeedError, UsageError

if TYPE_CHECKING:
    from graphopt.backends.cuda.device import Device
    from graphopt.backends.cuda.stream import Stream
    from graphopt.backends.device_array import Value

NAME = "CUDAExecutionProvider"


@dataclass(frozen=True)
class CudaProvider:
    """ONNX Runtime on one GPU.

    Attributes:
        device: the GPU.
        stream: all runs of one region are on it.
        name: of the execution provider.
        memory: how ONNX Runtime calls the GPU's memory.
    """

    device: Device
    stream: Stream
    name: str = NAME
    memory: str = "cuda"

    @property
    def options(self) -> dict[str, str]:
        """Of the provider. Products of float32 are float32's own, as the model was checked."""
        return {
            "device_id": str(self.device.index),
            "user_compute_stream": str(self.stream.handle),
            "use_tf32": "0",
        }

    def before_run(self) -> None:
        """Called when a region's inputs are bound; the GPU keeps the order by itself."""


def find_provider(index: int) -> CudaProvider | str:
    """ONNX Runtime's provider for a GPU, or why regions cannot run on it; imports CUDA only when asked."""
    ort = import_onnxruntime()
    if NAME not in ort.get_available_providers():
        return "onnxruntime-gpu is not installed here; pip install 'graphopt[cuda]'"
    from graphopt.backends.cuda.device import open_device
    from graphopt.backends.cuda.stream import Stream

    try:
        device = open_device(index)
        with device.active():
            return CudaProvider(device, Stream(device.cuda, index))
    except (BackendError, UsageError) as error:
        return error.message


def gpu_here(index: int) -> bool:
    """Whether this machine has a GPU of that number that could be used."""
    from graphopt.backends.cuda.device import open_device

    try:
        open_device(index)
    except (BackendError, UsageError):
        return False
    return True


def open_on_gpu(model: bytes, options: Any, provider: CudaProvider) -> OnnxRuntimeCudaExecutable | None:
    """Open a region on a GPU; None when the provider's own libraries do not load.

    Raises:
        BackendError: ONNX Runtime refuses the model.
    """
    ort = import_onnxruntime()
    if hasattr(ort, "preload_dlls"):
        # CUDA and cuDNN of pip packages; it prints what it does not find, and they may be elsewhere.
        with contextlib.redirect_stdout(io.StringIO()):
            ort.preload_dlls()
    with provider.device.active():
        session = open_wrapped(model, options, [(provider.name, provider.options), "CPUExecutionProvider"])
    if provider.name not in session.get_providers():
        return None
    return OnnxRuntimeCudaExecutable(session, provider)


class OnnxRuntimeCudaExecutable:
    """An open session on a GPU. ``run`` and ``enqueue`` may be called from several threads at once.

    Attributes:
        inputs: what it takes.
        outputs: what it gives.
        device: the GPU it runs on.
    """

    def __init__(self, session: Any, provider: CudaProvider) -> None:
        """``session`` is onnxruntime's Python object."""
        self.inputs: tuple[TensorInfo, ...] = session_inputs(session._sess)
        self.outputs: tuple[TensorInfo, ...] = session_outputs(session._sess)
        self.device = provider.device
        self._session = session
        self._provider = provider
        self._lock = threading.Lock()
        infos = (*self.inputs, *self.outputs)
        self._bindable = not any("(" in info.dtype or info.dtype == "string" for info in infos)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute every output from numpy arrays and wait for it; raises as ``enqueue``."""
        from graphopt.backends.cuda.transfer import fetch

        with self.device.lend_stream() as stream:
            return fetch(self.enqueue(feeds, stream), stream)

    def enqueue(self, feeds: Mapping[str, Value], stream: Stream) -> dict[str, Value]:
        """Put a run after what is on a stream; outputs are for later work on it.

        Raises:
            FeedError: something is missing, unknown or does not fit.
            BackendError: the computation failed; the message names the node.
        """
        from graphopt.backends.cuda.transfer import fetch

        if not self._bindable:
            # Strings, sequences and optionals have no place on a GPU.
            plain = fetch(dict(feeds), stream)
            names = [info.name for info in self.outputs]
            results = self._guard(lambda: self._session.run(names, plain), feeds)
            return dict(zip(names, results, strict=True))
        with self._lock:
            ours = self._provider.stream
            ours.wait_for(stream.handle)
            binding = self._bind(feeds)
            self._provider.before_run()
            self._guard(lambda: self._session.run_with_iobinding(binding), feeds)
            done = ours.record()
        stream.wait(done)
        return self._take(binding, stream)

    def _bind(self, feeds: Mapping[str, Value]) -> Any:
        missing = [info.name for info in self.inputs if info.name not in feeds and not info.optional]
        if missing:
            raise FeedError(f"input '{missing[0]}' is missing")
        binding = self._session.io_binding()
        for name, value in feeds.items():
            self._guard(lambda name=name, value=value: self._bind_input(binding, name, value), feeds)
        for info in self.outputs:
            binding.bind_output(info.name, self._provider.memory, self.device.index)
        return binding

    def _bind_input(self, binding: Any, name: str, value: Value) -> None:
        if isinstance(value, np.ndarray):
            binding.bind_ortvalue_input(name, to_ort(value))
            return
        value.use_on(self._provider.stream)
        place = (self._provider.memory, self.device.index)
        binding.bind_input(name, *place, element_type(value.dtype), value.shape, value.pointer)

    def _take(self, binding: Any, stream: Stream) -> dict[str, Value]:
        """Outputs in memory of our own: ONNX Runtime uses its own again without asking who still reads it."""
        from graphopt.backends.cuda.memory import copy
        from graphopt.backends.device_array import DeviceArray

        found: dict[str, Value] = {}
        values = binding.get_outputs()
        for info, value in zip(self.outputs, values, strict=True):
            dtype, shape = numpy_dtype(info.dtype), tuple(value.shape())
            found[info.name] = taken = DeviceArray.empty(self.device, dtype, shape, stream)
            copy(self.device, taken.pointer, value.data_ptr(), taken.nbytes, stream)
        stream.hold(stream.record(), *values)
        return found

    def _guard(self, call: Any, feeds: Mapping[str, Any]) -> Any:
        try:
            return call()
        except (MemoryError, BackendError, FeedError):
            raise
        except Exception as error:
            raise explain_failure(error, self.inputs, feeds, device_arrays=True) from error
