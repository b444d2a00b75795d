"""``python -m benchmarks.roofline``: every kernel of the native core beside the roof over it.

    python -m benchmarks.roofline                      one thread, then as many as there are processors
    python -m benchmarks.roofline --only GEMV --threads 1
    python -m benchmarks.roofline --isa avx2 --no-record

Builds ``graphopt_roofline`` (kernels/bench) with CMake, runs it, prints its table and writes
``results/<date>-<machine>-roofline.json``. A share of 1 means as fast as the arithmetic peak or the copy
bandwidth of the same process allows, whichever takes longer; see the head of kernels/bench/roofline.cpp.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine, machine_words, slug, versions

_ROOT = Path(__file__).parents[1]
_RESULTS = Path(__file__).parent / "results"
_BUILD = _ROOT / "build" / "roofline"
_SEARCH = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))


def build() -> Path:
    """Build the program; its path. Raises SystemExit with the tool's output where that fails."""
    cmake = shutil.which("cmake", path=_SEARCH)
    if cmake is None:
        raise SystemExit("cmake is not installed: pip install cmake ninja")
    generator = ("-G", "Ninja") if shutil.which("ninja", path=_SEARCH) else ()
    options = ("-DGRAPHOPT_BUILD_PYTHON=OFF", "-DGRAPHOPT_BUILD_TESTS=ON")
    _run(cmake, "-S", str(_ROOT), "-B", str(_BUILD), *generator, *options)
    _run(
        cmake, "--build", str(_BUILD), "--target", "graphopt_roofline", "--parallel", str(os.cpu_count() or 1)
    )
    return _BUILD / "kernels" / "bench" / "graphopt_roofline"


def measure(program: Path, threads: int, arguments: list[str]) -> dict[str, Any]:
    """One run of the program as it prints it with ``--json``."""
    found: dict[str, Any] = json.loads(_run(str(program), "--json", "--threads", str(threads), *arguments))
    return found


def show(console: Console, run: dict[str, Any]) -> None:
    """The table of one run. Times in microseconds, rates in Gop/s or GB/s."""
    title = f"{run['isa']}, {run['threads']} threads, shortest of {run['rounds']}"
    table = Table("kernel", "us", "of the roof", "rate", "roof", title=title)
    for column in table.columns[1:]:
        column.justify = "right"
    for case in run["cases"]:
        if "error" in case:
            table.add_row(case["case"], "", case["error"])
            continue
        arithmetic = case["roof"] == "peak"
        rate = case["operations" if arithmetic else "bytes"] / case["seconds"] * 1e-9
        roof = case["peak" if arithmetic else "bandwidth"] * 1e-9
        unit = "Gop/s" if arithmetic else "GB/s"
        table.add_row(
            case["case"],
            f"{case['seconds'] * 1e6:.1f}",
            f"{case['share']:.1%}",
            f"{rate:.1f} {unit}",
            f"{roof:.1f}",
        )
    console.print(table)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.roofline", description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, action="append", help="may be given several times")
    parser.add_argument("--only", help="cases whose name contains this")
    parser.add_argument("--isa", help="instead of the best of this machine")
    parser.add_argument("--rounds", type=int, help="repetitions of each case")
    parser.add_argument("--no-record", action="store_true", help="write no file")
    chosen = parser.parse_args(arguments)
    passed = [
        word
        for name in ("only", "isa", "rounds")
        if (value := getattr(chosen, name)) is not None
        for word in (f"--{name}", str(value))
    ]
    console = Console(width=None if sys.stdout.isatty() else 120)
    here = machine()
    console.print(machine_words(here), f"load {os.getloadavg()[0]:.1f}")
    program = build()
    runs = []
    for threads in chosen.threads or sorted({1, here["cores"]}):
        runs.append(measure(program, threads, passed))
        show(console, runs[-1])
    if chosen.no_record:
        return
    _RESULTS.mkdir(exist_ok=True)
    path = _RESULTS / f"{time.strftime('%Y-%m-%dT%H%M')}-{slug(here)}-roofline.json"
    record = {"date": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "machine": here, "load": os.getloadavg()[0]}
    record |= {"versions": versions(["graphopt"]), "runs": runs}
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    console.print(f"wrote {path}")


def _run(*command: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"PATH": _SEARCH}
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
