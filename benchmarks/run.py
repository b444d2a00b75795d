"""``python -m benchmarks.run``: graphopt beside its peers on real models.

Every engine runs each model in a process of its own; blocks of calls are taken in turns and in random
order, processes that are not measured are stopped, and the baseline runs twice so that the noise is
known. The table is printed, and a dated JSON file with every condition lands in benchmarks/results/.
Quiet the machine first: the load average is part of the record.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import table
from benchmarks.arguments import check_names
from benchmarks.claims import claims, print_claims
from benchmarks.compile_cost import compile_in_process
from benchmarks.engines import BASELINE, INSTALL, PEERS, Case, Peer
from benchmarks.machine import machine, machine_words, slug, versions
from benchmarks.roof import roof
from benchmarks.workloads import WORKLOADS, Workload
from benchmarks.zoo.fetch import FetchError
from graphopt.equality.feedfile import save_feeds
from graphopt.errors import GraphoptError
from graphopt.measure.compare import compare
from graphopt.measure.engine import Engine
from graphopt.measure.stats import geometric_mean

RESULTS = Path(__file__).parent / "results"
WIDTH = 150
QUIET_LOAD = 0.5
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns 0, 1 when graphopt was slower or failed, 2 wrong usage, 130 interrupted."""
    options = _options(arguments)
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    peers = _present(console, options.engines)
    if BASELINE not in [peer.name for peer in peers]:
        console.print(f"error: the baseline {BASELINE} is needed; {INSTALL}", markup=False)
        return 2
    threads = options.threads or _available_threads()
    result = _header(peers, threads, options)
    _print_header(console, result)
    path = (
        options.output or RESULTS / f"{result['date'][:16].replace(':', '')}-{slug(result['machine'])}.json"
    )
    names = [peer.name for peer in peers]
    interrupted = False
    try:
        for name in options.models:
            with tempfile.TemporaryDirectory(prefix="graphopt-bench-") as scratch:
                row = _model_row(console, name, peers, threads, options, Path(scratch))
            result["models"].append(row)
            result["means"] = _means(result["models"], names)
            result["claims"] = claims(result["models"])
            _write(path, result)
            _print_row(console, row)
    except KeyboardInterrupt:
        console.print("interrupted: what follows is what was measured until now")
        interrupted = True
    rows = result["models"]
    if not rows:
        return INTERRUPTED
    table.print_rows(console, rows, names, BASELINE)
    table.print_means(console, result.get("means", {}))
    print_claims(console, result.get("claims", {}))
    table.print_shipped(console, rows)
    table.print_costs(console, rows, names)
    table.print_failures(console, rows)
    console.print(f"written: {path}", soft_wrap=True)
    return INTERRUPTED if interrupted else int(any(_is_bad(row) for row in rows))


def program() -> int:
    """``main`` as a program: ended from outside as by Ctrl-C, so that processes and files are cleaned up."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return main()


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run", description="graphopt beside its peers."
    )
    known = ",".join(peer.name for peer in PEERS)
    parser.add_argument(
        "--models", type=_names, default=["default"], help="names or groups, with commas (default)"
    )
    parser.add_argument("--engines", type=_names, default=None, help=f"some of {known} (all)")
    parser.add_argument("--budget", type=float, default=20.0, help="seconds of measuring per model (20)")
    parser.add_argument("--threads", type=int, default=None, help="of every engine (what the machine allows)")
    parser.add_argument(
        "--no-measure", action="store_true", help="measure the artifact of compile --no-measure"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=None, help="of the JSON (a dated file in results/)")
    options = parser.parse_args(arguments)
    check_names(parser, options, [peer.name for peer in PEERS], known)
    return options


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _available_threads() -> int:
    from graphopt.targets.threads import available_threads

    return available_threads()


def _present(console: Console, wanted: Sequence[str] | None) -> list[Peer]:
    """The engines asked for that are installed; the others are named with the command that helps."""
    present = []
    for peer in PEERS:
        if wanted is not None and peer.name not in (*wanted, BASELINE):
            continue
        if missing := peer.missing():
            console.print(f"without {peer.name}: {missing}", markup=False)
        else:
            present.append(peer)
    return present


def _header(peers: Sequence[Peer], threads: int, options: argparse.Namespace) -> dict[str, Any]:
    distributions = [name for peer in peers for name in peer.packages.values()]
    return {
        "schema": 1,
        "date": dt.datetime.now().astimezone().isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(distributions),
        "threads": threads,
        "budget_seconds": options.budget,
        "seed": options.seed,
        "artifact": "compile -O2 --no-measure" if options.no_measure else "compile -O2",
        "baseline": BASELINE,
        "engines": {peer.name: peer.what for peer in peers},
        "load_average": os.getloadavg(),
        "models": [],
    }


def _print_header(console: Console, result: dict[str, Any]) -> None:
    found = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    console.print(f"{machine_words(result['machine'])}, {result['threads']} threads; {result['date']}")
    console.print(found, highlight=False)
    if result["load_average"][0] > QUIET_LOAD:
        console.print(f"[yellow]load average {result['load_average'][0]:.1f}: the machine is not quiet[/]")


def _model_row(
    console: Console,
    name: str,
    peers: Sequence[Peer],
    threads: int,
    options: argparse.Namespace,
    scratch: Path,
) -> dict[str, Any]:
    """Everything about one model; what fails is a reason and not an exception."""
    row: dict[str, Any] = {"model": name, "engines": {}, "ratios": {}, "failed": {}, "noise": None}
    with console.status(name) as status:
        workload = WORKLOADS[name]
        try:
            model = workload.file(scratch)
        except FetchError as error:
            return row | {"failed": {"model": str(error)}}
        file, own = scratch / "feeds.npz", scratch / "artifact_feeds.npz"
        arrays = workload.feeds(options.seed)
        save_feeds(file, arrays)
        save_feeds(own, {key: array for key, array in arrays.items() if key not in workload.constants})
        row |= {"float32": workload.is_float32, "variant": workload.name != workload.model}
        row["roof"] = roof(model, arrays, threads)
        artifact = None
        if any(peer.name == "graphopt" for peer in peers):
            status.update(f"{name}: compiling")
            artifact = _compile(row, workload, model, scratch, threads, measured=not options.no_measure)
        case = Case(name, model, artifact, file, own, threads, scratch)
        engines = []
        for peer in peers:
            status.update(f"{name}: preparing {peer.name}")
            if engine := _prepare(row, peer, case):
                engines.append(engine)
        status.update(f"{name}: measuring {len(engines)} engines")
        _measure(row, engines, threads, options)
    return row


def _compile(
    row: dict[str, Any], workload: Workload, model: Path, scratch: Path, threads: int, *, measured: bool
) -> Path | None:
    """Compile without measuring for the cost, and as users do for the artifact that is timed."""
    quick, full = scratch / "quick.gopt", scratch / "full.gopt"
    compile_ = partial(compile_in_process, model, threads=threads, workload=workload.name)
    try:
        row["compile"] = compile_(quick, measure=False).to_json()
        if not measured:
            return quick
        row["compile_measured"] = compile_(full, measure=True).to_json()
    except GraphoptError as error:
        row["failed"]["graphopt"] = str(error)
        return None
    return full


def _prepare(row: dict[str, Any], peer: Peer, case: Case) -> Engine | None:
    if peer.name in row["failed"]:
        return None
    try:
        return peer.prepare(case)
    except GraphoptError as error:
        row["failed"][peer.name] = str(error)
        return None


def _measure(
    row: dict[str, Any], engines: Sequence[Engine], threads: int, options: argparse.Namespace
) -> None:
    try:
        found = compare(
            engines,
            baseline=BASELINE,
            budget_seconds=options.budget,
            threads=threads,
            machine=machine_words(machine()),
            seed=options.seed,
            drop_failing=True,
        )
    except GraphoptError as error:
        row["failed"][BASELINE] = str(error)
        return
    plain = found.to_json()
    row["engines"] = {engine["name"]: engine for engine in plain["engines"]}
    row["failed"] |= plain["failed"]
    row |= {key: plain[key] for key in ("control", "ratios", "noise", "conditions")}


def _means(rows: Sequence[dict[str, Any]], engines: Sequence[str]) -> dict[str, Any]:
    means = {}
    for name in engines:
        ratios = {row["model"]: row["ratios"][name] for row in rows if name in row["ratios"]}
        if ratios:
            mean = geometric_mean([ratio["median"] for ratio in ratios.values()]).to_json()
            slower = [model for model, ratio in ratios.items() if ratio["verdict"] == "slower"]
            means[name] = mean | {"slower_on": slower}
    return means


def _print_row(console: Console, row: dict[str, Any]) -> None:
    ratios = "  ".join(f"{name} {ratio['median']:.3f}x" for name, ratio in row["ratios"].items())
    base = row["engines"].get(BASELINE)
    time = f"{base['latency_ns']['median'] / 1e6:.3f} ms" if base else "failed"
    console.print(f"{row['model']:<22} {BASELINE} {time}  {ratios}", highlight=False)


def _is_bad(row: dict[str, Any]) -> bool:
    return "graphopt" in row["failed"] or row["ratios"].get("graphopt", {}).get("verdict") == "slower"


def _write(path: Path, result: dict[str, Any]) -> None:
    """Replace the file in one step, so that an interrupted run leaves a whole one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


if __name__ == "__main__":
    sys.exit(program())
