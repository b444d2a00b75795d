"""Engine factories: what a worker process calls to turn files into a callable doing one inference.

Each takes JSON values only and imports what it needs itself; the matching ``…_engine`` functions
describe them for ``measure.compare``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

from graphopt.errors import BackendError
from graphopt.measure.engine import Engine

Call = Callable[[], Any]

CUDA = "CUDAExecutionProvider"
"""ONNX Runtime's name for itself on an NVIDIA GPU."""


def artifact(path: str, feeds: str, threads: int | None = None) -> Call:
    """A compiled artifact.

    Args:
        path: of the ``.gopt`` folder or packed file.
        feeds: ``.npz`` file with one array per input.
        threads: intra-op threads; None takes the session's own default.

    Raises:
        ArtifactError, BackendError, FeedError: it cannot be opened or fed.
    """
    from graphopt.equality.feedfile import load_feeds
    from graphopt.runtime.session import load

    session = load(path, threads=threads)
    return partial(session.run, load_feeds(feeds))


def onnxruntime(
    path: str, feeds: str, threads: int | None = None, optimise: bool = True, gpu: bool = False
) -> Call:
    """A model file in ONNX Runtime as its users run it: default options but for the threads.

    Idle threads keep spinning, which is ONNX Runtime's default and its best latency; a comparison
    stops processes that are not measured.

    Args:
        path: of the ``.onnx`` file; external data is found beside it.
        feeds: ``.npz`` file with one array per input.
        threads: intra-op threads; None leaves them to ONNX Runtime.
        optimise: all graph optimisations, or none.
        gpu: on the GPU, products of float32 as float32's own.

    Raises:
        BackendError: ONNX Runtime is missing, refuses the model or does not find the GPU.
        FeedError: the feeds cannot be read.
    """
    from graphopt.equality.feedfile import load_feeds

    arrays = load_feeds(feeds)
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise BackendError(
            f"onnxruntime cannot be imported: {error}", "pip install 'graphopt[cpu]'"
        ) from None
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.inter_op_num_threads = 1
    if threads is not None:
        options.intra_op_num_threads = threads
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimise else level.ORT_DISABLE_ALL
    providers: list[Any] = ["CPUExecutionProvider"]
    if gpu:
        if hasattr(ort, "preload_dlls"):
            ort.preload_dlls()
        providers.insert(0, (CUDA, {"use_tf32": "0"}))
    try:
        session = ort.InferenceSession(path, options, providers=providers)
    except Exception as error:  # the runtime's own classes have no common base but this
        raise BackendError(f"onnxruntime refuses the model: {_one_line(error)}") from None
    if gpu and CUDA not in session.get_providers():
        raise BackendError("onnxruntime does not find its CUDA libraries", "graphopt doctor")
    return partial(session.run, None, arrays)


def artifact_engine(
    name: str, path: str | os.PathLike[str], feeds: str | os.PathLike[str], threads: int | None = None
) -> Engine:
    """Describe :func:`artifact`; arguments as there."""
    arguments = {"path": os.fspath(path), "feeds": os.fspath(feeds), "threads": threads}
    return Engine(
        name,
        "graphopt.driver.engines:artifact",
        arguments,
        imports=("graphopt.runtime.session", "graphopt.equality.feedfile", "numpy"),
    )


def onnxruntime_engine(
    name: str,
    path: str | os.PathLike[str],
    feeds: str | os.PathLike[str],
    threads: int | None = None,
    *,
    optimise: bool = True,
    gpu: bool = False,
) -> Engine:
    """Describe :func:`onnxruntime`; arguments as there."""
    arguments = {
        "path": os.fspath(path),
        "feeds": os.fspath(feeds),
        "threads": threads,
        "optimise": optimise,
        "gpu": gpu,
    }
    return Engine(
        name,
        "graphopt.driver.engines:onnxruntime",
        arguments,
        imports=("onnxruntime", "graphopt.equality.feedfile", "numpy"),
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
