"""The engines graphopt is measured beside: how each is named, installed, prepared and described."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from graphopt.driver.engines import artifact_engine, onnxruntime_engine
from graphopt.errors import BackendError
from graphopt.measure.engine import Engine

BASELINE = "onnxruntime"
PREPARE_SECONDS = 600
INSTALL = "pip install 'graphopt[bench]'"


@dataclass(frozen=True)
class Case:
    """One model to be run by every engine.

    Attributes:
        name: of the model.
        model: the ONNX file as it came.
        artifact: what graphopt made of it, None when that failed.
        feeds: ``.npz`` file.
        artifact_feeds: the same without the inputs that graphopt was told the value of.
        threads: every engine gets as many.
        scratch: folder for files an engine needs.
    """

    name: str
    model: Path
    artifact: Path | None
    feeds: Path
    artifact_feeds: Path
    threads: int
    scratch: Path


@dataclass(frozen=True)
class Peer:
    """One engine of the benchmark.

    Attributes:
        name: column of the table.
        what: one line.
        packages: modules it needs → the distribution whose version is printed.
        prepare: makes the engine for a case; raises BackendError with the engine's own reason.
    """

    name: str
    what: str
    prepare: Callable[[Case], Engine]
    packages: Mapping[str, str] = field(default_factory=dict)

    def missing(self) -> str:
        """What has to be installed before it can run, or an empty string."""
        absent = [module for module in self.packages if importlib.util.find_spec(module) is None]
        return f"{', '.join(absent)} is not installed; {INSTALL}" if absent else ""


def openvino(path: str, feeds: str, threads: int, precision: str = "") -> Callable[[], Any]:
    """Engine factory: OpenVINO on the CPU, tuned for latency.

    Args:
        path: of the ONNX file.
        feeds: ``.npz`` file.
        threads: inference threads, one stream.
        precision: ``f32``, or empty for its default (bfloat16 where the processor has it).
    """
    import openvino as ov

    from graphopt.equality.feedfile import load_feeds

    core = ov.Core()
    options = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": str(threads)}
    if precision:
        options["INFERENCE_PRECISION_HINT"] = precision
    compiled = core.compile_model(path, "CPU", options)
    arrays = load_feeds(feeds)
    taken = {name for port in compiled.inputs for name in port.names}
    # An input nothing depends on is dropped by OpenVINO, which then refuses to be fed it.
    arrays = {name: array for name, array in arrays.items() if name in taken}
    request = compiled.create_infer_request()
    return partial(request.infer, arrays, share_inputs=True, share_outputs=True)


def _graphopt(case: Case) -> Engine:
    if case.artifact is None:
        raise BackendError("the model could not be compiled")
    return artifact_engine("graphopt", case.artifact, case.artifact_feeds, case.threads)


def _onnxruntime(case: Case) -> Engine:
    return onnxruntime_engine(BASELINE, case.model, case.feeds, case.threads)


def _openvino(name: str, precision: str, case: Case) -> Engine:
    arguments = {
        "path": str(case.model),
        "feeds": str(case.feeds),
        "threads": case.threads,
        "precision": precision,
    }
    return Engine(name, "benchmarks.engines:openvino", arguments, imports=("openvino", "numpy"))


def _simplified(tool: str, case: Case) -> Engine:
    """ONNX Runtime on what ``tool`` made of the model, in a process of its own: it may crash."""
    target = case.scratch / f"{tool}.onnx"
    command = [sys.executable, "-m", "benchmarks.simplify", tool, str(case.model), str(target)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PREPARE_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise BackendError(f"{tool} did not finish in {PREPARE_SECONDS} s") from None
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise BackendError(f"{tool} failed: {lines[-1] if lines else f'exit code {done.returncode}'}")
    return onnxruntime_engine(tool, target, case.feeds, case.threads)


PEERS: tuple[Peer, ...] = (
    Peer("graphopt", "artifact of `graphopt compile -O2`", _graphopt, {"graphopt": "graphopt"}),
    Peer(
        BASELINE,
        "ONNX Runtime, all optimisations: the baseline",
        _onnxruntime,
        {"onnxruntime": "onnxruntime"},
    ),
    Peer(
        "openvino-f32",
        "OpenVINO in float32",
        partial(_openvino, "openvino-f32", "f32"),
        {"openvino": "openvino"},
    ),
    Peer(
        "openvino",
        "OpenVINO, its default precision (bfloat16 where the processor has it: not the same answer)",
        partial(_openvino, "openvino", ""),
        {"openvino": "openvino"},
    ),
    Peer(
        "onnxslim",
        "onnxslim, then ONNX Runtime",
        partial(_simplified, "onnxslim"),
        {"onnxslim": "onnxslim", "onnxruntime": "onnxruntime"},
    ),
    Peer(
        "onnxsim",
        "onnxsim, then ONNX Runtime",
        partial(_simplified, "onnxsim"),
        {"onnxsim": "onnxsim", "onnxruntime": "onnxruntime"},
    ),
)
