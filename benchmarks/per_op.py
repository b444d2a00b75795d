"""``python -m benchmarks.per_op MODEL…``: where the time goes, kind of operator by kind, beside OpenVINO.

Both engines run in this process, in turns and with their own profilers on, so the sums say where time goes
and not who is faster: for that there is ``benchmarks.run``.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
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
    "elementwise": (
        *("elementwise", "Eltwise", "Subgraph", "Convert", "Math", "Select", "FakeQuantize", "Add"),
        *("Subtract", "Multiply", "Divide", "Power", "PowerStatic", "Minimum", "Maximum", "Abs", "Log"),
        *("Exp", "Sqrt", "Erf", "Equal", "NotEqual", "Less", "LessEqual", "Greater", "GreaterEqual"),
        *("Sigmoid", "HardSigmoid", "HSwish", "Swish", "Relu", "PRelu", "Gelu", "Tanh", "Clamp", "Floor"),
    ),
    "shape arithmetic": ("shape", "size", "range", "ShapeOf", "Range", "NonZero"),
    "condition": ("if", "If", "TensorIterator", "Loop"),
}
"""Kind → operators of plans and node types of OpenVINO."""

_OTHER, _REGION, _PEER = "other", "region of ", "openvino-f32"
_KIND_OF = {name: kind for kind, names in KINDS.items() for name in names}
_ROUNDS = 11
_REST_SECONDS = 0.02
"""Between two engines: idle threads of the one must not spin beside the other."""
_LONGEST = 300
_WHERE = re.compile(r"(Exception from|Check '.*?' failed at) \S+:\d+:?\s*|FrontEnd API failed with \S+\s*")
"""Where in its own sources OpenVINO noticed it."""

Profiler = Callable[[], Sequence[tuple[str, float]]]
"""Runs once; operator, or a region's backend, and milliseconds of each step."""


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
        found["models"][name] = asdict(row)
        _print(console, name, row)
    if options.no_record:
        return 0
    stem = f"{found['date'][:16].replace(':', '')}-{slug(found['machine'])}-per-op"
    path = options.output or RESULTS / f"{stem}.json"
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    console.print(f"written: {path}", soft_wrap=True)
    return 0


@dataclass(frozen=True)
class Row:
    """One model.

    Attributes:
        milliseconds: engine → kind → median over the rounds.
        refused: engine → why it does not run the model.
        other: operators and node types that no kind names.
    """

    milliseconds: Mapping[str, Mapping[str, float]]
    refused: Mapping[str, str]
    other: tuple[str, ...]


def compare_kinds(name: str, threads: int, scratch: Path) -> Row:
    """Profile both engines in turns: a slow second hits both."""
    workload = WORKLOADS[name]
    model, feeds = workload.file(scratch), workload.feeds()
    own = {key: array for key, array in feeds.items() if key not in workload.constants}
    profilers: dict[str, Profiler] = {
        "graphopt": _graphopt(model, workload.compile_options(), own, threads, scratch)
    }
    refused: dict[str, str] = {}
    try:
        profilers[_PEER] = _openvino(model, feeds, threads)
    except RuntimeError as error:
        refused[_PEER] = _WHERE.sub("", " ".join(str(error).split()))[:_LONGEST]
    rounds: dict[str, list[Counter[str]]] = {engine: [] for engine in profilers}
    other: set[str] = set()
    for engine in [*profilers] * _ROUNDS:
        time.sleep(_REST_SECONDS)
        profilers[engine]()
        sums: Counter[str] = Counter()
        for operator, milliseconds in profilers[engine]():
            sums[kind_of(operator)] += milliseconds
            if kind_of(operator) == _OTHER and milliseconds:
                other.add(operator)
        rounds[engine].append(sums)
    return Row({engine: _medians(found) for engine, found in rounds.items()}, refused, tuple(sorted(other)))


def _graphopt(
    model: Path, options: Mapping[str, Any], feeds: Mapping[str, Array], threads: int, scratch: Path
) -> Profiler:
    import graphopt
    from graphopt.runtime.profile import profile

    path = scratch / "model.gopt"
    graphopt.compile(model, output=path, measure=False, equality="off", threads=threads, **options)
    session = graphopt.load(path, threads=threads)

    def once() -> list[tuple[str, float]]:
        steps = profile(session, feeds)
        return [(s.operator or f"{_REGION}{s.backend}", s.seconds * 1e3) for s in steps]

    return once


def _openvino(model: Path, feeds: Mapping[str, Array], threads: int) -> Profiler:
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

    def once() -> list[tuple[str, float]]:
        request.infer(arrays)
        return [(node.node_type, node.real_time.total_seconds() * 1e3) for node in request.profiling_info]

    return once


def kind_of(operator: str) -> str:
    """The kind of an operator of a plan, or of a node type of OpenVINO; a whole region is its own kind."""
    return operator if operator.startswith(_REGION) else _KIND_OF.get(operator, _OTHER)


def _medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    kinds = {kind for sums in rounds for kind in sums}
    return {kind: median(sums.get(kind, 0.0) for sums in rounds) for kind in sorted(kinds)}


def _print(console: Console, name: str, row: Row) -> None:
    found = row.milliseconds
    table = Table(title=f"{name}: milliseconds by kind of operator", title_justify="left")
    table.add_column("kind")
    for engine in found:
        table.add_column(engine, justify="right")
    if len(found) > 1:
        table.add_column("difference", justify="right")
    kinds = {kind for times in found.values() for kind in times}
    for kind in sorted(kinds, key=lambda kind: -max(times.get(kind, 0.0) for times in found.values())):
        _add(table, kind, [times.get(kind, 0.0) for times in found.values()])
    _add(table, "all", [sum(times.values()) for times in found.values()])
    console.print(table)
    for engine, reason in row.refused.items():
        console.print(f"{engine} refuses the model: {reason}", markup=False)
    if row.other:
        console.print(f"{_OTHER}: {', '.join(row.other)}", markup=False)


def _add(table: Table, kind: str, times: Sequence[float]) -> None:
    difference = [f"{times[0] - times[-1]:+.3f}"] if len(times) > 1 else []
    table.add_row(kind, *(f"{time:.3f}" for time in times), *difference)


if __name__ == "__main__":
    sys.exit(main())
