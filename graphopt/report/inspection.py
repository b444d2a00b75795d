"""InspectReport: what is in a model, as data and as terminal tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from graphopt.report import words
from graphopt.report.inspection_engines import EngineRow, Need, render_engines

Json = dict[str, Any]


@dataclass(frozen=True)
class NodeRow:
    """One node.

    Attributes:
        name: of the node, ``op`` its operator (``domain::Op`` outside ONNX's own domain).
        output: type and shape of its first output.
        flops: operations of one inference, None when unknown.
        weights: bytes of constants it reads, ``read`` of activations, ``written`` of results; None unknown.
        live: bytes of activations alive while it runs; None inside subgraphs.
        scope: the subgraph it is in, empty for the main graph.
    """

    name: str
    op: str
    output: str
    flops: int | None
    weights: int | None
    read: int | None
    written: int | None
    live: int | None
    scope: str = ""

    @property
    def intensity(self) -> float | None:
        """Operations per byte moved, None when unknown or nothing is moved."""
        moved = None if self.weights is None else self.weights + (self.read or 0) + (self.written or 0)
        return None if self.flops is None or not moved else self.flops / moved


@dataclass(frozen=True)
class InspectReport:
    """What is in a model or an artifact.

    Attributes:
        path: of the model, empty for one in memory.
        kind: ``model`` or ``artifact``.
        fingerprint: structural, see ``ir.fingerprint``.
        producer: who wrote the file.
        ir_version: of the file.
        opsets: domain → version.
        metadata: the model's own properties.
        inputs: ``name: type[dims]`` each, as declared; ``outputs`` likewise.
        nodes: in the whole model; ``functions`` of its own.
        operators: operator → count.
        parameters: elements of floating-point weights.
        weight_bytes: of every constant; ``weight_bytes_by_dtype`` the same by element type.
        dims: symbolic dim → extent the figures below hold for; ``assumed`` those nobody gave.
        flops: of one inference, a multiply-add is two; ``uncounted`` operator → nodes left out.
        bytes_moved: every operand read once, every result written once; ``bytes_unknown`` nodes left out.
        peak_activation_bytes: the most alive at once in node order, a lower bound when
            ``activations_unknown`` values have no known size; ``peak_node`` is where.
        rows: every node in order.
        artifact: what the manifest of an artifact says: writer, target, regions, verdict, files.
        engines: of an artifact; ``needs`` what a host must have to run them.
    """

    path: str
    kind: str
    fingerprint: str
    producer: str
    ir_version: int
    opsets: Mapping[str, int]
    metadata: Mapping[str, str]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: int
    functions: tuple[str, ...]
    operators: Mapping[str, int]
    parameters: int
    weight_bytes: int
    weight_bytes_by_dtype: Mapping[str, int]
    dims: Mapping[str, int]
    assumed: tuple[str, ...]
    flops: int
    uncounted: Mapping[str, int]
    bytes_moved: int
    bytes_unknown: int
    peak_activation_bytes: int
    activations_unknown: int
    peak_node: str
    rows: tuple[NodeRow, ...] = ()
    artifact: Json = field(default_factory=dict)
    engines: tuple[EngineRow, ...] = ()
    needs: tuple[Need, ...] = ()

    @property
    def intensity(self) -> float | None:
        """Operations per byte moved: below the machine's balance, memory decides the speed."""
        return self.flops / self.bytes_moved if self.bytes_moved else None

    def top(self, count: int = 10) -> list[NodeRow]:
        """The nodes with the most operations."""
        ranked = sorted((row for row in self.rows if row.flops), key=lambda row: -(row.flops or 0))
        return ranked[:count]

    def to_json(self) -> Json:
        """The record as plain JSON types."""
        return {**asdict(self), "intensity": self.intensity}


def render(report: InspectReport, console: Console, *, top: int = 10, every_node: bool = False) -> None:
    """Print the report.

    Args:
        report: of one model.
        console: where to.
        top: how many of the dearest nodes are shown.
        every_node: show the table of all nodes instead.
    """
    console.print(Text(words.printable(report.path) or "model in memory", style="bold"))
    for part in _facts(report):
        console.print(Padding(part, (0, 0, 0, 2), expand=False))
    for part in render_engines(report.engines, report.needs):
        console.print(Padding(part, (0, 0, 0, 2), expand=False))
    console.print(Text("\nOperators", style="bold"))
    console.print(Padding(_operators(report.operators), (0, 0, 0, 2), expand=False))
    rows: Sequence[NodeRow] = report.rows if every_node else report.top(top)
    if rows:
        title = "Nodes" if every_node else f"The {len(rows)} nodes with the most arithmetic"
        console.print(Text(f"\n{title}", style="bold"))
        console.print(Padding(_nodes(rows, report.flops), (0, 0, 0, 2), expand=False))


def _facts(report: InspectReport) -> Iterator[RenderableType]:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _fact_rows(report):
        table.add_row(Text(name), Text(words.printable(value)))
    yield table


def _fact_rows(report: InspectReport) -> Iterator[tuple[str, str]]:
    for title, values in (("inputs", report.inputs), ("outputs", report.outputs)):
        for index, text in enumerate(values):
            yield title if index == 0 else "", text
    yield "opset", ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in report.opsets.items())
    if report.producer:
        yield "producer", report.producer
    for key, value in report.artifact.items():
        yield key.replace("_", " "), str(value)
    functions = f", {len(report.functions)} functions" if report.functions else ""
    yield "nodes", f"{words.count(report.nodes)}{functions}"
    by_dtype = ", ".join(f"{k} {words.size(v)}" for k, v in report.weight_bytes_by_dtype.items())
    yield "weights", f"{words.size(report.weight_bytes)} ({by_dtype or 'none'})"
    yield "parameters", words.scaled(report.parameters)
    if report.dims:
        dims = ", ".join(f"{name}={value}" for name, value in report.dims.items())
        assumed = " (assumed; say --shape for others)" if report.assumed else ""
        yield "for dims", dims + assumed
    left_out = ", ".join(f"{n} {op}" for op, n in report.uncounted.items())
    yield (
        "arithmetic",
        f"{words.scaled(report.flops, 'FLOP')}" + (f", without {left_out}" if left_out else ""),
    )
    unknown = f", without {report.bytes_unknown} nodes of unknown size" if report.bytes_unknown else ""
    yield "bytes moved", f"{words.size(report.bytes_moved)}{unknown}"
    if report.intensity is not None:
        yield "intensity", f"{report.intensity:.3g} FLOP per byte"
    at = f" at {report.peak_node}" if report.peak_node else ""
    peak = words.size(report.peak_activation_bytes)
    bound = f"at least {peak}, {report.activations_unknown} values of unknown size"
    yield "activations", f"{bound if report.activations_unknown else f'{peak} at most'}{at}"
    yield "fingerprint", report.fingerprint[:16]


def _operators(operators: Mapping[str, int]) -> RenderableType:
    return Text(", ".join(f"{words.printable(op)} {words.count(n)}" for op, n in operators.items()))


def _nodes(rows: Sequence[NodeRow], total: int) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("operator", "name", "output"):
        table.add_column(name, overflow="ellipsis", no_wrap=True, max_width=44)
    for name in ("FLOPs", "share", "weights", "read", "written", "FLOP/B"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        share = f"{100 * row.flops / total:.1f} %" if row.flops and total else ""
        cells = (
            words.printable(row.op),
            words.printable(row.name),
            words.printable(row.output),
            words.scaled(row.flops),
            share,
            words.size(row.weights),
            words.size(row.read),
            words.size(row.written),
            "" if row.intensity is None else f"{row.intensity:.3g}",
        )
        # Text, not str: rich reads markup in a str, and [64,3,7,7] or a hostile name looks like it.
        table.add_row(*map(Text, cells))
    return table
