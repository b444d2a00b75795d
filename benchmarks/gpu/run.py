"""``python -m benchmarks.gpu``: artifacts for this machine's GPU beside ONNX Runtime CUDA and plain TensorRT.

Two times for every engine. The wall clock, from launching an inference to having its outputs in the GPU's
memory, is read as ``benchmarks.run`` does: a process for each engine, blocks in turns, the baseline twice.
The GPU's own clock is read at events before and after each inference, and the median of several hundred is
taken. Inputs are on the GPU before; several sets take turns. Without a GPU it says so and ends well.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import table
from benchmarks.arguments import check_names
from benchmarks.gpu.engines import BASELINE, PEERS, Peer
from benchmarks.gpu.events import event_times_in_process
from benchmarks.gpu.rtx import rtx_answer
from benchmarks.machine import machine, machine_words, versions
from benchmarks.workloads import frozen, sample
from benchmarks.zoo.fetch import FetchError, fetch
from graphopt.equality.feedfile import save_feeds
from graphopt.errors import GraphoptError
from graphopt.measure.compare import compare
from graphopt.measure.engine import Engine
from graphopt.targets.cuda import find_gpus

RESULTS = Path(__file__).parents[1] / "results"
WIDTH = 150
_DISTRIBUTIONS = [
    "cuda-bindings",
    "graphopt",
    "onnxruntime-gpu",
    "tensorrt",
    "tensorrt-rtx-cu13-bindings",
]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 when it ran or there is no GPU, 1 when graphopt failed on a model."""
    options = _options(arguments)
    console = Console(width=WIDTH)
    reason = _without_gpu()
    peers = [peer for peer in PEERS if options.engines is None or peer.name in (*options.engines, BASELINE)]
    if options.list:
        _list(console, peers, options.models, reason)
        return 0
    if reason:
        console.print(f"skipped: {reason}", markup=False)
        return 0
    present = [peer for peer in peers if not _told_missing(console, peer)]
    result = _header(present, options)
    path = options.output or RESULTS / f"{result['date'][:16].replace(':', '')}-gpu-{_slug(result)}.json"
    for name in options.models:
        for precision in options.precisions:
            with tempfile.TemporaryDirectory(prefix="graphopt-bench-") as scratch:
                row = _row(console, name, precision, present, options, Path(scratch))
            result["models"].append(row)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    _print(console, result["models"], [peer.name for peer in present])
    console.print(f"written: {path}", soft_wrap=True)
    return int(any("graphopt" in row["failed"] for row in result["models"]))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.split("\n")[0])
    known = "; ".join(peer.name for peer in PEERS)
    parser.add_argument(
        "--list", action="store_true", help="print the GPU, the engines and the models; run nothing"
    )
    parser.add_argument("--models", type=_names(","), default=["shared"], help="names or sets, with commas")
    parser.add_argument("--engines", type=_names(";"), default=None, help=f"some of: {known} (all)")
    parser.add_argument("--precisions", type=_names(","), default=["fp32", "fp16"], help="fp32,fp16,bf16")
    parser.add_argument("--inputs", type=int, default=3, help="input sets that take turns (3)")
    parser.add_argument("--budget", type=float, default=20.0, help="seconds of wall clock per model (20)")
    parser.add_argument("--output", type=Path, default=None, help="of the JSON (a dated file in results/)")
    options = parser.parse_args(arguments)
    check_names(parser, options, [peer.name for peer in PEERS], known)
    return options


def _names(separator: str) -> Any:
    return lambda text: [name.strip() for name in text.split(separator) if name.strip()]


def _without_gpu() -> str:
    """Why nothing can be measured here, or an empty string."""
    from graphopt.backends.cuda.device import open_device

    try:
        open_device()
    except GraphoptError as error:
        return error.message
    return ""


def _list(console: Console, peers: Sequence[Peer], models: Sequence[str], reason: str) -> None:
    console.print(f"GPU: {reason or ', '.join(gpu.name for gpu in find_gpus().gpus)}", markup=False)
    for peer in peers:
        missing = "" if reason else peer.missing()
        console.print(f"{peer.name:<26} {f'without: {missing}' if missing else peer.what}", markup=False)
    console.print(f"models: {', '.join(models)}", markup=False)


def _told_missing(console: Console, peer: Peer) -> bool:
    missing = peer.missing()
    if missing:
        console.print(f"without {peer.name}: {missing}", markup=False)
    return bool(missing)


def _header(peers: Sequence[Peer], options: argparse.Namespace) -> dict[str, Any]:
    gpus = find_gpus().gpus
    return {
        "schema": 1,
        "date": dt.datetime.now().astimezone().isoformat(timespec="seconds"),
        "machine": machine(),
        "gpus": [vars(gpu) for gpu in gpus],
        "versions": versions(_DISTRIBUTIONS),
        "tensorrt_rtx": rtx_answer(),
        "budget_seconds": options.budget,
        "inputs": options.inputs,
        "baseline": BASELINE,
        "engines": {peer.name: peer.what for peer in peers},
        "models": [],
    }


def _slug(result: dict[str, Any]) -> str:
    names = result["gpus"][:1] or [{"name": "gpu"}]
    return "-".join(names[0]["name"].lower().split())


def _row(
    console: Console,
    name: str,
    precision: str,
    peers: Sequence[Peer],
    options: argparse.Namespace,
    scratch: Path,
) -> dict[str, Any]:
    """Everything about one model in one precision; what fails is a reason and not an exception."""
    row: dict[str, Any] = {
        "model": f"{name} {precision}",
        "engines": {},
        "events": {},
        "ratios": {},
        "failed": {},
        "noise": None,
    }
    try:
        model = fetch(name)
    except FetchError as error:
        return row | {"failed": {"model": str(error)}}
    constants = frozen(name)
    files = [scratch / f"feeds-{seed}.npz" for seed in range(options.inputs)]
    for seed, file in enumerate(files):
        save_feeds(file, sample(name, seed))
    console.print(f"{row['model']}: compiling", markup=False)
    artifact = _compile(row, model, precision, constants, files[0], scratch)
    # With an input frozen it is another model: the peers get the one in the artifact.
    source = model if not constants or artifact is None else artifact / "model.onnx"
    engines = [
        peer.engine(path, files)
        for peer in peers
        if (path := artifact if peer.of_artifact else source) is not None
    ]
    console.print(f"{row['model']}: measuring {len(engines)} engines", markup=False)
    _measure(row, engines, options)
    return row


def _compile(
    row: dict[str, Any], model: Path, precision: str, constants: Sequence[str], inputs: Path, scratch: Path
) -> Path | None:
    import graphopt
    from graphopt.equality.feedfile import load_feeds

    target = scratch / "model.gopt"
    shapes = {name: list(array.shape) for name, array in load_feeds(inputs).items()}
    try:
        done = graphopt.compile(
            model,
            output=target,
            target="cuda",
            precision=precision,
            shapes=shapes,
            constants=list(constants),
            inputs=inputs,
            measure=False,
        )
    except GraphoptError as error:
        row["failed"]["graphopt"] = str(error)
        return None
    row["equality"] = done.report.equality
    return target


def _measure(row: dict[str, Any], engines: Sequence[Engine], options: argparse.Namespace) -> None:
    for engine in engines:
        try:
            row["events"][engine.name] = event_times_in_process(engine)
        except GraphoptError as error:
            row["failed"][engine.name] = str(error)
    running = [engine for engine in engines if engine.name in row["events"]]
    if not any(engine.name == BASELINE for engine in running):
        return
    try:
        found = compare(
            running,
            baseline=BASELINE,
            budget_seconds=options.budget,
            machine=machine_words(machine()),
            drop_failing=True,
        ).to_json()
    except GraphoptError as error:
        row["failed"][BASELINE] = str(error)
        return
    row["engines"] = {engine["name"]: engine for engine in found["engines"]}
    row["failed"] |= found["failed"]
    row |= {key: found[key] for key in ("control", "ratios", "noise", "conditions")}


def _print(console: Console, rows: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
    if any(row["engines"] for row in rows):
        table.print_rows(console, [row for row in rows if row["engines"]], names, BASELINE)
    for row in rows:
        times = "  ".join(f"{name} {time['median'] / 1e6:.3f}" for name, time in row["events"].items())
        console.print(
            f"{row['model']:<28} ms between events: {times or 'none'}", markup=False, highlight=False
        )
        for name, reason in row["failed"].items():
            console.print(f"  without {name}: {reason}", markup=False)
