"""Open ONNX Runtime sessions with graphopt's settings. Imports no compiler room."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphopt.backends.executable import TensorInfo
from graphopt.backends.feed_check import explain_feeds
from graphopt.backends.onnxruntime.messages import next_step, one_line
from graphopt.errors import BackendError, GraphoptError

FIX = "pip install 'graphopt[cpu]'"

SPIN_MICROSECONDS = 200

MOST_PLANNED_NODES = 3_000
"""Above this many nodes activations do not share memory that was planned ahead.

ONNX Runtime looks through every block that is free for one that fits, for every result: planning 5,000 nodes
with open dims takes 8 s instead of 0.1 s, 50,000 take minutes. Without a plan the arena still takes back what
is no longer needed; real models ran as fast.
"""

_DTYPES = {"float": "float32", "double": "float64"}


def import_onnxruntime() -> Any:
    """The onnxruntime module; raises BackendError with the command that installs it."""
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendError(f"onnxruntime cannot be imported: {error}", FIX) from error
    return onnxruntime


def new_options(*, threads: int, optimise: bool, config: Mapping[str, str] | None = None) -> Any:
    """Session options: ``threads`` counts the calling thread; errors are raised, not printed."""
    ort = import_onnxruntime()
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = max(1, threads)
    options.inter_op_num_threads = 1
    if not optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.add_session_config_entry("session.disable_prepacking", "1")
        # Planning activations ahead keeps the most ever needed: a fifth more memory, and no faster here.
        options.enable_mem_pattern = False
    # Idle threads spin for this long, then sleep: calls in quick succession find them awake, and
    # whatever runs next finds the cores free. Stopping at once costs small models a few percent.
    options.add_session_config_entry("session.intra_op.spin_duration_us", str(SPIN_MICROSECONDS))
    # Where int4 weights meet a product the runtime would round the activations to int8 of its own accord.
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
    for key, value in (config or {}).items():
        options.add_session_config_entry(key, value)
    return options


def plan_memory(options: Any, nodes: int) -> None:
    """Let a session for so many nodes share memory between activations, unless planning it takes too long."""
    options.enable_mem_reuse = nodes <= MOST_PLANNED_NODES


def open_session(model: bytes, options: Any) -> Any:
    """The runtime's own session object for ONNX bytes; raises BackendError in one line.

    The returned object is the compiled one: its ``run(names, feeds, None)`` releases the GIL and
    skips the Python wrapper around it.
    """
    session = open_wrapped(model, options, ["CPUExecutionProvider"])
    return getattr(session, "_sess", session)


def open_wrapped(model: bytes, options: Any, providers: Sequence[object]) -> Any:
    """The same as the Python object around it, on any execution providers; raises BackendError."""
    ort = import_onnxruntime()
    try:
        return ort.InferenceSession(model, options, providers=providers, enable_fallback=0)
    except MemoryError:
        raise
    except Exception as error:
        text = one_line(error)
        raise BackendError(f"onnxruntime refuses the model: {text}", next_step(text)) from error


def session_inputs(session: Any) -> tuple[TensorInfo, ...]:
    """Inputs that must be fed, then those with a default value."""
    needed = [_info(arg, optional=str(arg.type).startswith("optional")) for arg in session.inputs_meta]
    return (*needed, *(_info(arg, optional=True) for arg in session.overridable_initializers))


def session_outputs(session: Any) -> tuple[TensorInfo, ...]:
    """What the session computes, in the model's order."""
    return tuple(_info(arg) for arg in session.outputs_meta)


def explain_failure(
    error: Exception,
    inputs: Sequence[TensorInfo],
    feeds: Mapping[str, Any],
    *,
    device_arrays: bool = False,
) -> GraphoptError:
    """The exception to raise instead of what a run raised: the feeds' fault, or the backend's."""
    found = explain_feeds(inputs, feeds, symbols=True, device_arrays=device_arrays)
    return found or BackendError(f"onnxruntime failed: {one_line(error)}")


def _info(arg: Any, optional: bool = False) -> TensorInfo:
    kind = str(arg.type)
    # ONNX Runtime reports an unknown rank as an empty shape, as it does a scalar, and checks neither.
    dims: Sequence[object] = arg.shape if kind.startswith("tensor(") else ()
    return TensorInfo(arg.name, _dtype(kind), tuple(_dim(d) for d in dims) or None, optional)


def _dim(dim: object) -> int | str | None:
    if isinstance(dim, (int, np.integer)):
        return int(dim) if dim >= 0 else None
    return str(dim) if dim else None


def _dtype(kind: str) -> str:
    renamed = re.sub(r"\b(float|double)\b", lambda found: _DTYPES[found[1]], kind)
    inner = re.fullmatch(r"tensor\((\w+)\)", renamed)
    return inner[1] if inner else renamed
