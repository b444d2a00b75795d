"""``make node-counts``: nodes after -O2 beside what onnxslim and onnxsim leave, on the 14 models.

    python -m benchmarks.node_counts                       the table; rivals as recorded
    python -m benchmarks.node_counts --record              run the rivals again, each in a process of its own
    python -m benchmarks.node_counts --models silero_vad

Counted are the nodes of the graph and of its subgraphs, without Constant: a constant costs nothing, whether
it is written as a node or not. A call of a named operator is one node, like a contrib operator; the column
"spelled out" has every body in its place instead. A composite counts as what it is composed of.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from benchmarks.zoo.fetch import FetchError, fetch_all

if TYPE_CHECKING:
    import onnx

RIVALS = ("onnxslim", "onnxsim")
RECORD = Path(__file__).with_name("node_counts.json")
LIMIT_SECONDS = 900

REASONS: dict[str, str] = {}
"""Model → why graphopt leaves more nodes than a rival: fewer were slower. Empty is the aim."""


@dataclass(frozen=True)
class RivalCounts:
    """What the rivals leave of one model.

    Attributes:
        input: nodes of the model as it came.
        counts: rival → nodes; a rival that fails is not in it.
        failures: rival → the last line it said.
    """

    input: int
    counts: dict[str, int]
    failures: dict[str, str]

    @property
    def lowest(self) -> int:
        """The fewest nodes any rival leaves; those of the input when none runs."""
        return min(self.counts.values(), default=self.input)


@dataclass(frozen=True)
class Counts:
    """Nodes of one optimised model.

    Attributes:
        nodes: with a call of a named operator as one.
        spelled_out: with every body in the place of its call.
    """

    nodes: int
    spelled_out: int


def count_nodes(model: onnx.ModelProto) -> Counts:
    """Nodes of the graph and its subgraphs without Constant, bodies as one and bodies in full."""
    bodies = {(f.domain, f.name, f.overload): f.node for f in model.functions}

    def walk(nodes: Sequence[onnx.NodeProto], into_named: bool) -> Iterator[int]:
        for node in nodes:
            body = bodies.get((node.domain, node.op_type, node.overload))
            if body is not None and (into_named or node.op_type.startswith("Composite_")):
                yield from walk(body, into_named)
            else:
                yield node.op_type != "Constant"
            for attribute in node.attribute:
                yield from walk(attribute.g.node, into_named)

    return Counts(sum(walk(model.graph.node, False)), sum(walk(model.graph.node, True)))


def optimised_counts(path: Path) -> Counts:
    """Nodes of a model after -O2."""
    import onnx_ir as ir

    from graphopt.api import optimize

    return count_nodes(ir.to_proto(optimize(path)))


def recorded() -> tuple[dict[str, str], dict[str, RivalCounts]]:
    """Versions of the rivals, and their counts per model, as last recorded."""
    data = json.loads(RECORD.read_text())
    return data["versions"], {name: RivalCounts(**row) for name, row in data["models"].items()}


def run_rivals(path: Path) -> RivalCounts:
    """Run every rival on one model."""
    import onnx

    counts: dict[str, int] = {}
    failures: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for tool in RIVALS:
            target = Path(folder) / f"{tool}.onnx"
            command = [sys.executable, "-m", "benchmarks.simplify", tool, str(path), str(target)]
            try:
                done = subprocess.run(
                    command, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
                )
            except subprocess.TimeoutExpired:
                failures[tool] = f"did not finish in {LIMIT_SECONDS} s"
                continue
            if done.returncode:
                failures[tool] = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1][
                    :200
                ]
            else:
                counts[tool] = count_nodes(onnx.load(target)).nodes
    return RivalCounts(count_nodes(onnx.load(path)).nodes, counts, failures)


def _record(paths: Mapping[str, Path]) -> None:
    known = recorded()[1] if RECORD.exists() else {}
    models = known | {name: run_rivals(path) for name, path in paths.items()}
    versions = {tool: importlib.metadata.version(tool) for tool in RIVALS}
    data = {"versions": versions, "models": {name: asdict(models[name]) for name in sorted(models)}}
    RECORD.write_text(json.dumps(data, indent=1) + "\n")


def _print(console: Console, paths: Mapping[str, Path]) -> bool:
    """One line per model; whether graphopt is nowhere above the lower of the rivals without a reason."""
    versions, rivals = recorded()
    table = Table(title="nodes, without Constant", title_justify="left")
    table.add_column("model")
    for heading in ("input", *(f"{tool} {versions[tool]}" for tool in RIVALS), "graphopt", "spelled out"):
        table.add_column(heading, justify="right")
    table.add_column("reason")
    fine = True
    for name, path in paths.items():
        row, ours = rivals[name], optimised_counts(path)
        above = ours.nodes > row.lowest
        fine = fine and (not above or name in REASONS)
        theirs = [str(row.counts.get(tool, "fails")) for tool in RIVALS]
        reason = REASONS.get(name, "ABOVE, without a reason") if above else ""
        table.add_row(name, str(row.input), *theirs, str(ours.nodes), str(ours.spelled_out), reason)
    console.print(table)
    return fine


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when graphopt is above nowhere without a reason, 1 when it is."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.node_counts", description=__doc__)
    parser.add_argument("--models", default="shared", help="names or sets, separated by commas")
    parser.add_argument("--record", action="store_true", help="run onnxslim and onnxsim again")
    options = parser.parse_args(arguments)
    try:
        paths = fetch_all(options.models.split(","), say=lambda line: print(line, file=sys.stderr))
    except FetchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.record:
        _record(paths)
    return 0 if _print(Console(), paths) else 1


if __name__ == "__main__":
    sys.exit(main())
