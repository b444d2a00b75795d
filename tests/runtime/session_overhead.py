"""What `Session.run` costs on top of ONNX Runtime, on a model that computes next to nothing.

Run it as a script: `python tests/runtime/session_overhead.py`. Both calls alternate in short blocks, so
that drift of the machine touches them alike; the figure is the median over blocks of the difference.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir

from graphopt.artifact.writer import ArtifactWriter
from graphopt.backends.base import BuildOptions
from graphopt.backends.onnxruntime.backend import BACKEND
from graphopt.backends.signature import model_inputs, model_outputs
from graphopt.runtime.session import Session, load
from graphopt.targets.host import host_target

TINY = """
<ir_version: 10, opset_import: ["" : 21]>
tiny (float[N] x, float[N] y) => (float[N] sum, float[N] product) { sum = Add(x, y) product = Mul(x, y) }
"""


def tiny_session(folder: Path) -> Session:
    """An artifact of two additions' worth of work, opened."""
    model = ir.from_onnx_text(TINY)
    inputs, outputs = model_inputs(model), model_outputs(model)
    with ArtifactWriter(folder / "tiny.gopt") as writer:
        blob = BACKEND.build(model, BuildOptions(host_target(), 1, writer.weights))
        writer.add_region(blob, [info.name for info in inputs], [info.name for info in outputs])
        writer.add_model(model)
        writer.commit(inputs=inputs, outputs=outputs, threads=1)
    return load(folder / "tiny.gopt")


def interleaved(calls: dict[str, Callable[[], object]], blocks: int, size: int) -> dict[str, list[float]]:
    """Seconds per call of each, ``blocks`` alternating blocks of ``size`` calls."""
    for call in calls.values():
        for _ in range(size):
            call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(blocks):
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(size):
                call()
            seconds[name].append((time.perf_counter() - start) / size)
    return seconds


def measure(folder: Path, blocks: int, size: int) -> dict[str, list[float]]:
    """Ours, onnxruntime's Python call and onnxruntime's compiled call, interleaved."""
    import onnxruntime as ort

    session = tiny_session(folder)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    plain = ort.InferenceSession(str(folder / "tiny.gopt" / "model.onnx"), options)
    feeds = {"x": np.ones(8, np.float32), "y": np.ones(8, np.float32)}
    names = ["sum", "product"]
    return interleaved(
        {
            "graphopt": lambda: session.run(feeds),
            "onnxruntime": lambda: plain.run(names, feeds),
            "onnxruntime, compiled call": lambda: plain._sess.run(names, feeds, None),
        },
        blocks,
        size,
    )


def main() -> None:
    """Print the three medians and the differences."""
    with tempfile.TemporaryDirectory() as folder:
        seconds = measure(Path(folder), blocks=400, size=200)
    for name, values in seconds.items():
        low, median, high = statistics.quantiles(values, n=4)
        quartiles = f"quartiles {low * 1e6:.3f} … {high * 1e6:.3f}, n={len(values)}"
        print(f"{name:28} {median * 1e6:7.3f} µs  ({quartiles})")
    for other in list(seconds)[1:]:
        difference = statistics.median(
            a - b for a, b in zip(seconds["graphopt"], seconds[other], strict=True)
        )
        print(f"graphopt over {other}: {difference * 1e6:+.3f} µs")


if __name__ == "__main__":
    sys.exit(main())
