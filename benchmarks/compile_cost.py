"""What compiling costs: one fresh process per compile, its seconds and its peak memory as a whole."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from graphopt.errors import BackendError

LIMIT_SECONDS = 1800
MEMORY_FACTOR = 3
MEMORY_EXTRA = 300_000_000


@dataclass(frozen=True)
class CompileCost:
    """One compile, as one observation.

    Attributes:
        process_seconds: from starting the process to its end, imports included.
        compile_seconds: the call to ``graphopt.compile`` alone.
        peak_rss_bytes: most memory the process held, interpreter included.
        model_bytes: the model file and its external data.
        allowed_bytes: 3 times the model and 300 MB, which the peak must stay under.
        shipped: "optimised", or "input" when nothing was gained.
        verdict: of the equality check, empty without one.
        dropped: passes taken out, with the reason.
    """

    process_seconds: float
    compile_seconds: float
    peak_rss_bytes: int
    model_bytes: int
    allowed_bytes: int
    shipped: str
    verdict: str
    dropped: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """The record as plain JSON types."""
        return asdict(self)


def compile_in_process(
    model: Path, output: Path, *, measure: bool, threads: int, workload: str = ""
) -> CompileCost:
    """Compile ``model`` at -O2 in a fresh process.

    Args:
        model: the file.
        output: the artifact.
        measure: race it against the input, as a compile does by itself.
        threads: of the artifact.
        workload: whose inputs and constants are given; empty gives none.

    Raises:
        BackendError: it failed, with the last line it printed.
    """
    command = [sys.executable, "-m", "benchmarks.compile_cost", str(model), str(output)]
    command += ["measure" if measure else "no-measure", str(threads), workload]
    began = time.perf_counter()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise BackendError(f"compiling did not finish in {LIMIT_SECONDS} s") from None
    seconds = time.perf_counter() - began
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise BackendError(f"compiling failed: {lines[-1] if lines else f'exit code {done.returncode}'}")
    found = json.loads(done.stdout.splitlines()[-1])
    size = model_bytes(model)
    return CompileCost(
        process_seconds=seconds,
        compile_seconds=found["seconds"],
        peak_rss_bytes=found["peak_rss_bytes"],
        model_bytes=size,
        allowed_bytes=MEMORY_FACTOR * size + MEMORY_EXTRA,
        **found["report"],
    )


def model_bytes(model: Path) -> int:
    """Bytes of the model file and of the external data it names."""
    import onnx
    from onnx.external_data_helper import ExternalDataInfo, uses_external_data

    total = model.stat().st_size
    files = {
        ExternalDataInfo(tensor).location
        for tensor in onnx.load(model, load_external_data=False).graph.initializer
        if uses_external_data(tensor)
    }
    return total + sum((model.parent / file).stat().st_size for file in files)


def _child(model: str, output: str, measure: str, threads: str, workload: str) -> None:
    import graphopt
    from graphopt.measure.memory import peak_rss_bytes

    options: dict[str, Any] = {}
    if workload:
        from benchmarks.workloads import WORKLOADS

        options = WORKLOADS[workload].compile_options()
    began = time.perf_counter()
    done = graphopt.compile(
        model, output=output, level=2, measure=measure == "measure", threads=int(threads), **options
    )
    seconds = time.perf_counter() - began
    report = {
        "shipped": done.report.measurement.shipped,
        "verdict": (done.report.equality or {}).get("verdict", ""),
        "dropped": {dropped.pass_text: dropped.reason for dropped in done.report.dropped},
    }
    found = {"seconds": seconds, "peak_rss_bytes": peak_rss_bytes(), "report": report}
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    _child(*sys.argv[1:])
