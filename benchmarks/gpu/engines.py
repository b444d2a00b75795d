"""What is timed on a GPU: graphopt's artifact, ONNX Runtime CUDA, TensorRT on the model as it came."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gpu.calls import GpuCall
from graphopt.backends.cuda.device import open_device
from graphopt.errors import BackendError
from graphopt.measure.engine import Engine

BASELINE = "onnxruntime-cuda"


@dataclass(frozen=True)
class Peer:
    """One engine of the table.

    Attributes:
        name: column.
        what: one line.
        factory: function of this module.
        arguments: of it, besides ``path`` and ``feeds``.
        of_artifact: whether it takes graphopt's artifact instead of the model.
    """

    name: str
    what: str
    factory: str
    arguments: Mapping[str, Any]
    of_artifact: bool = False

    def engine(self, path: Path, feeds: Sequence[Path]) -> Engine:
        """The engine for one file and its input sets."""
        arguments = {"path": str(path), "feeds": [str(file) for file in feeds], **self.arguments}
        return Engine(self.name, f"benchmarks.gpu.engines:{self.factory}", arguments, imports=("numpy",))

    def missing(self) -> str:
        """Why it cannot run on this machine, or an empty string."""
        if self.factory == "onnxruntime_cuda":
            from graphopt.backends.onnxruntime.cuda import find_provider

            found = find_provider(0)
            return found if isinstance(found, str) else ""
        if self.factory == "plain_tensorrt":
            return _tensorrt_missing(self.arguments["module"])
        return ""


def artifact(path: str, feeds: Sequence[str], cuda_graph: bool) -> GpuCall:
    """graphopt's artifact, device arrays in and out."""
    from graphopt.runtime.session import load

    session = load(path, cuda_graph=cuda_graph)
    if session.device is None:
        raise BackendError("the artifact has nothing that runs on a GPU here")
    return GpuCall(session.device, lambda values, stream: session.run(values, stream=stream.handle), feeds)


def onnxruntime_cuda(path: str, feeds: Sequence[str]) -> GpuCall:
    """ONNX Runtime CUDA on the model as it came: all optimisations, bound device arrays, no TF32."""
    from graphopt.backends.onnxruntime.cuda import find_provider, open_on_gpu
    from graphopt.backends.onnxruntime.session import new_options

    provider = find_provider(0)
    if isinstance(provider, str):
        raise BackendError(provider)
    executable = open_on_gpu(Path(path).read_bytes(), new_options(threads=1, optimise=True), provider)
    if executable is None:
        raise BackendError("onnxruntime's CUDA provider does not load")
    return GpuCall(executable.device, executable.enqueue, feeds)


def plain_tensorrt(path: str, feeds: Sequence[str], module: str, cuda_graph: bool) -> GpuCall:
    """TensorRT on the model as it came, strongly typed, shapes those of the inputs, no TF32."""
    from graphopt.backends.engine_options import EngineOptions, ShapeRange
    from graphopt.backends.tensorrt.building.engine import build
    from graphopt.backends.tensorrt.building.request import BuildRefused, BuildRequest
    from graphopt.backends.tensorrt.logger import log_of
    from graphopt.backends.tensorrt.module import find_library
    from graphopt.backends.tensorrt.running.executable import TensorRTExecutable
    from graphopt.equality.feedfile import load_feeds

    device, library = open_device(), find_library(module)
    shapes = {name: array.shape for name, array in load_feeds(feeds[0]).items()}
    profile = {name: ShapeRange(shape, shape, shape) for name, shape in shapes.items()}
    with tempfile.TemporaryDirectory(prefix="graphopt-bench-") as folder:
        plan = Path(folder) / "engine.plan"
        options = EngineOptions(profiles=(profile,))
        try:
            build(BuildRequest(library.name, path, str(plan), (device.architecture,), options))
        except BuildRefused as refused:
            raise BackendError(f"{library.title} refuses the model: {refused.message}") from None
        data = plan.read_bytes()
    log = log_of(library)
    with device.active():
        engine = library.api.Runtime(log.handle).deserialize_cuda_engine(data)
        if engine is None:
            raise BackendError(f"{library.title} does not open the engine it built")
        executable = TensorRTExecutable(library, engine, log, device, cuda_graph=cuda_graph)
    return GpuCall(device, executable.enqueue, feeds)


def _tensorrt_missing(module: str) -> str:
    from graphopt.backends.tensorrt.architectures import builds_for
    from graphopt.backends.tensorrt.module import find_library

    try:
        library, device = find_library(module), open_device()
    except BackendError as error:
        return f"{error.message}; {error.hint}"
    known = builds_for(library)
    if device.architecture in known:
        return ""
    return f"{library.title} builds for {', '.join(known) or 'nothing here'}; this GPU is {device}"


def _plain(module: str) -> tuple[Peer, ...]:
    what = f"{module} on the model as it came"
    return tuple(
        Peer(
            f"{module}{', CUDA graph' if graph else ''}",
            f"{what}{', recorded in a CUDA graph' if graph else ''}",
            "plain_tensorrt",
            {"module": module, "cuda_graph": graph},
        )
        for graph in (False, True)
    )


PEERS: tuple[Peer, ...] = (
    Peer(
        BASELINE,
        "ONNX Runtime CUDA, all optimisations, I/O binding: the baseline",
        "onnxruntime_cuda",
        {},
    ),
    Peer("graphopt", "artifact of `graphopt compile`", "artifact", {"cuda_graph": False}, True),
    Peer("graphopt, CUDA graph", "the same, recorded", "artifact", {"cuda_graph": True}, True),
    *_plain("tensorrt"),
    *_plain("tensorrt_rtx"),
)
