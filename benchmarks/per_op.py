"""``python -m benchmarks.per_op MODEL…``: where the time goes, kind of operator by kind, beside OpenVINO.

Each engine runs in this process one after the other with its own profiler on, so the sums say where time
goes and not who is faster: for that there is ``benchmarks.run``.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.arguments import check_names
from benchmarks.machine import machine, slug, versions
from benchmarks.run import RESULTS
from benchmarks.workloads import WORKLOADS, Array

KINDS: Mapping[str, tuple[str, ...]] = {
    "convolution": ("conv", "Convolution", "GroupConvolution"),
    "transposed convolution": ("conv_transpose", "ConvolutionBackpropData", "Deconvolution"),
    "product": ("matmul", "matmul_integer", "MatMul", "FullyConnected", "Gemm"),
    "attention": ("attention", "rotary_embedding", "ScaledDotProductAttention", "SDPA", "MHA", "RoPE"),
    "normalisation": ("layer_norm", "group_norm", "lrn", "MVN", "RMS", "RMSNorm", "LRN", "NormalizeL2"),
    "softmax": ("softmax", "Softmax", "SoftMax", "LogSoftmax"),
    "recurrence": ("lstm", "gru", "rnn", "LSTMSequence", "GRUSequence", "RNNSequence", "RNNSeq", "RNNCell"),
    "pool, resize": ("pool", "resize", "Pooling", "MaxPool", "AvgPool", "AdaptivePooling", "Interpolate"),
    "reduction": (
        *("reduce", "arg_reduce", "top_k", "cumsum", "Reduce", "ReduceMean", "ReduceSum", "ReduceMax"),
        *("ReduceMin", "ReduceProd", "TopK", "CumSum"),
    ),
    "movement": (
        *("copy", "concat", "pad", "gather", "gather_elements", "gather_nd", "scatter_elements"),
        *("scatter_nd", "tile", "fill", "trilu", "one_hot", "eye_like", "depth_to_space", "space_to_depth"),
        *("reverse_sequence", "Reorder", "Transpose", "Concat", "Concatenation", "Split", "VariadicSplit"),
        *("Slice", "StridedSlice", "Pad", "Gather", "GatherElements", "GatherND", "ScatterUpdate", "Tile"),
        *("ScatterElementsUpdate", "ScatterNDUpdate", "Reshape", "Broadcast", "OneHot", "ReverseSequence"),
        *("DepthToSpace", "SpaceToDepth", "MemoryInput", "MemoryOutput", "Input", "Output"),
    ),
    "elementwise": ("elementwise", "Eltwise", "Subgraph", "Convert", "Math", "Select", "FakeQuantize"),
    "shape arithmetic": ("shape", "size", "range", "ShapeOf", "Range", "NonZero"),
    "condition": ("if", "If", "TensorIterator", "Loop"),
}
"""Kind → operators of plans and node types of OpenVINO."""

_OTHER = "other"
_KIND_OF = {name: kind for kind, names in KINDS.items() for name in names}
_ROUNDS = 7


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one table per model and write a dated JSON file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.per_op", description=__doc__)
    parser.add_argument("models", nargs="+", help="names or groups")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--output", type=Path, help="instead of a dated file among the results")
    parser.add_argument("--no-record", action="store_true", help="write no file")
    parser.set_defaults(engines=None)
    options = parser.parse_args(arguments)
    check_names(parser, options, (), "none to choose")
    from graphopt.targets.threads import available_threads

    threads = options.threads or available_threads()
    found: dict[str, Any] = {
        "date": dt.datetime.now().astimezone().isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(["graphopt", "openvino"]),
        "threads": threads,
        "models": {},
    }
    console = Console(width=None if sys.stdout.isatty() else 120)
    for name in options.models:
        with tempfile.TemporaryDirectory(prefix="graphopt-per-op-") as scratch:
            row = compare_kinds(name, threads, Path(scratch))
        found["models"][name] = row
        _print(console, name, row)
    if options.no_record:
        return 0
    stem = f"{found['date'][:16].replace(':', '')}-{slug(found['machine'])}-per-op"
    path = options.output or RESULTS / f"{stem}.json"
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    console.print(f"written: {path}", soft_wrap=True)
    return 0


def compare_kinds(name: str, threads: int, scratch: Path) -> dict[str, dict[str, float]]:
    """Milliseconds per kind of operator: engine → kind → time."""
    workload = WORKLOADS[name]
    model, feeds = workload.file(scratch), workload.feeds()
    own = {key: array for key, array in feeds.items() if key not in workload.constants}
    return {
        "graphopt": _graphopt(model, workload.compile_options(), own, threads, scratch),
        "openvino-f32": _openvino(model, feeds, threads),
    }


def _graphopt(
    model: Path, options: Mapping[str, Any], feeds: Mapping[str, Array], threads: int, scratch: Path
) -> dict[str, float]:
    import graphopt
    from graphopt.runtime.profile import profile

    path = scratch / "model.gopt"
    graphopt.compile(model, output=path, measure=False, equality="off", threads=threads, **options)
    session = graphopt.load(path, threads=threads)
    session.run(feeds)
    rounds = []
    for _ in range(_ROUNDS):
        sums: Counter[str] = Counter()
        for step in profile(session, feeds):
            sums[kind_of(step.operator) if step.operator else f"region of {step.backend}"] += (
                step.seconds * 1e3
            )
        rounds.append(sums)
    return _medians(rounds)


def _openvino(model: Path, feeds: Mapping[str, Array], threads: int) -> dict[str, float]:
    import openvino as ov

    options = {
        "PERF_COUNT": "YES",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": str(threads),
        "INFERENCE_PRECISION_HINT": "f32",
    }
    compiled = ov.Core().compile_model(model, "CPU", options)
    taken = {name for port in compiled.inputs for name in port.names}
    arrays = {name: array for name, array in feeds.items() if name in taken}
    request = compiled.create_infer_request()
    request.infer(arrays)
    rounds = []
    for _ in range(_ROUNDS):
        request.infer(arrays)
        sums: Counter[str] = Counter()
        for node in request.profiling_info:
            sums[kind_of(node.node_type)] += node.real_time.total_seconds() * 1e3
        rounds.append(sums)
    return _medians(rounds)


def kind_of(operator: str) -> str:
    """The kind of an operator of a plan, or of a node type of OpenVINO."""
    return _KIND_OF.get(operator, _OTHER)


def _medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    kinds = {kind for sums in rounds for kind in sums}
    return {kind: median(sums.get(kind, 0.0) for sums in rounds) for kind in sorted(kinds)}


def _print(console: Console, name: str, row: Mapping[str, Mapping[str, float]]) -> None:
    engines = list(row)
    table = Table(title=f"{name}: milliseconds by kind of operator", title_justify="left")
    table.add_column("kind")
    for engine in engines:
        table.add_column(engine, justify="right")
    table.add_column("difference", justify="right")
    kinds = {kind for times in row.values() for kind in times}
    for kind in sorted(kinds, key=lambda kind: -max(row[engine].get(kind, 0.0) for engine in engines)):
        times = [row[engine].get(kind, 0.0) for engine in engines]
        table.add_row(kind, *(f"{time:.3f}" for time in times), f"{times[0] - times[-1]:+.3f}")
    totals = [sum(row[engine].values()) for engine in engines]
    table.add_row("all", *(f"{time:.3f}" for time in totals), f"{totals[0] - totals[-1]:+.3f}")
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
