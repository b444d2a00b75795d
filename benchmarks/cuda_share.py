"""``make cuda-share``: how much of each model's arithmetic runs inside TensorRT engines.

    python -m benchmarks.cuda_share                                    the 14 models, fp32 and fp16
    python -m benchmarks.cuda_share --models bert_minilm_l3,light --precision fp16
    python -m benchmarks.cuda_share --target cuda:sm_120 --json

Nothing runs on a GPU and none is needed: engines are built for the named architectures, and what they are
built from is judged against the model on the CPU. Shapes are those of the zoo's feeds. The share is of
floating-point operations of one inference (a multiply-add is two), as the report of a compile counts them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from benchmarks.workloads import frozen, sample
from benchmarks.zoo.catalog import ENTRIES
from benchmarks.zoo.fetch import FetchError, fetch_all

if TYPE_CHECKING:
    from graphopt.driver.compile import CompileResult

ARCHITECTURES = ("sm_86", "sm_89", "sm_120")
TARGET = f"cuda:{','.join(ARCHITECTURES)}"
PRECISIONS = ("fp32", "fp16")
ENGINE = "tensorrt"
LEAST_SHARE = 0.95
"""Of the FLOPs of a model, how much must be inside engines."""


@dataclass(frozen=True)
class Share:
    """Where the arithmetic of one compiled model runs.

    Attributes:
        flops: backend → operations of one inference.
        nodes: backend → nodes of the optimised model.
        engines: how many engines there are.
        refused: node that is not in an engine → why.
        kept: what stays in float32 although a lower precision was asked for.
        verdict: of the check against the model.
        seconds: the compile took.
    """

    flops: Mapping[str, int]
    nodes: Mapping[str, int]
    engines: int
    refused: Mapping[str, str] = field(default_factory=dict)
    verdict: str = ""
    seconds: float = 0.0

    @property
    def in_engines(self) -> float:
        """Fraction of the FLOPs, between 0 and 1; 1 where there is no arithmetic at all."""
        return self.flops.get(ENGINE, 0) / total if (total := sum(self.flops.values())) else 1.0


def is_float(name: str) -> bool:
    """Whether a zoo model has float weights only."""
    return ENTRIES[name].precision == "fp32"


def compile_zoo(
    name: str, source: Path, output: Path, *, target: str = TARGET, **options: Any
) -> CompileResult:
    """Compile a zoo model at the shapes of its feeds, unless ``options`` give others.

    Args:
        name: of the model.
        source: its file.
        output: the artifact.
        target: as a person types it; one plan per region serves all its architectures.
        **options: of ``graphopt.compile``.
    """
    import graphopt

    values = sample(name)
    defaults: dict[str, Any] = {"inputs": values, "measure": False, "constants": frozen(name)}
    if not options.keys() & {"shapes", "opt_shapes"}:
        defaults["shapes"] = {key: array.shape for key, array in values.items()}
    return graphopt.compile(source, output=output, target=target, **defaults | options)


def share_of(result: CompileResult) -> Share:
    """The placement of a compile, as its report tells it."""
    report = result.report
    engine_rows = [row for row in report.placement if row["backend"] == ENGINE]
    refused = {
        node: reason
        for row in report.placement
        if row["backend"] != ENGINE
        for reason, nodes in row["fell_back"].items()
        for node in nodes
    }
    return Share(
        {row["backend"]: row["flops"] or 0 for row in report.placement},
        {row["backend"]: row["nodes"] for row in report.placement},
        sum(row["regions"] for row in engine_rows),
        refused,
        "not checked" if report.equality is None else report.equality["sentence"],
        sum(report.seconds.values()),
    )


def _measure(name: str, source: Path, target: str, precision: str) -> Share | str:
    """The share, or the one line in which the compile ended."""
    from graphopt.errors import GraphoptError

    with tempfile.TemporaryDirectory() as folder:
        try:
            return share_of(
                compile_zoo(name, source, Path(folder) / "m.gopt", target=target, precision=precision)
            )
        except GraphoptError as error:
            return error.message


def _table(rows: Mapping[tuple[str, str], Share | str], target: str) -> Table:
    table = Table(title=f"FLOPs inside engines, {target}", title_justify="left")
    for heading in ("model", "precision"):
        table.add_column(heading)
    for heading in ("share", "engines", "nodes in them", "nodes elsewhere", "compile s"):
        table.add_column(heading, justify="right")
    table.add_column("checked")
    table.add_column("refused", overflow="fold")
    for (name, precision), row in rows.items():
        if isinstance(row, str):
            table.add_row(name, precision, "none", "", "", "", "", "", row)
            continue
        elsewhere = sum(row.nodes.values()) - row.nodes.get(ENGINE, 0)
        counts = (row.engines, row.nodes.get(ENGINE, 0), elsewhere, f"{row.seconds:.0f}")
        why = "; ".join(sorted(set(row.refused.values())))
        table.add_row(name, precision, f"{row.in_engines:.2%}", *map(str, counts), row.verdict, why)
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 1 when a float model has less than 95 % of its FLOPs in engines."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cuda_share", description=__doc__)
    parser.add_argument("--models", default="shared", help="names or sets, separated by commas")
    parser.add_argument("--precision", default=",".join(PRECISIONS), help="fp32, fp16, bf16, several")
    parser.add_argument("--target", default=TARGET)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    try:
        paths = fetch_all(options.models.split(","), say=lambda line: print(line, file=sys.stderr))
    except FetchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    rows: dict[tuple[str, str], Share | str] = {}
    for name, path in paths.items():
        for precision in options.precision.split(","):
            started = time.perf_counter()
            rows[name, precision] = _measure(name, path, options.target, precision)
            spent, row = time.perf_counter() - started, rows[name, precision]
            found = row if isinstance(row, str) else f"{row.in_engines:.2%}"
            print(f"{name} {precision}: {found} ({spent:.0f} s)", file=sys.stderr, flush=True)
    if options.json:
        plain = {
            f"{name} {precision}": {"error": row}
            if isinstance(row, str)
            else {**asdict(row), "share": row.in_engines}
            for (name, precision), row in rows.items()
        }
        print(json.dumps(plain, indent=1))
    else:
        Console(width=None if sys.stdout.isatty() else 200).print(_table(rows, options.target))
    low = [
        name
        for (name, _), row in rows.items()
        if is_float(name) and (isinstance(row, str) or row.in_engines < LEAST_SHARE)
    ]
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())
