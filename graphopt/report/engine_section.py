"""Engines and precision of a compile for a GPU, for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import RenderableType
from rich.text import Text

from graphopt.report import words
from graphopt.report.record import CompileReport
from graphopt.report.tables import MOST_ROWS, add_row, some, table_of


def engine_section(report: CompileReport) -> Iterator[RenderableType]:
    """A table of the engines, what their builder had to say, and what stays in float32."""
    if report.engines:
        table = table_of("engine", ">nodes", ">layers", ">size", ">scratch", "for", "built by")
        for row in report.engines:
            add_row(
                table,
                f"region {row.get('region', '')}",
                words.count(row.get("nodes")),
                words.count(row.get("layers")),
                words.size(row.get("bytes")),
                words.size(row.get("scratch_bytes")),
                words.printable(", ".join(map(str, row.get("architectures") or ()))),
                words.printable(f"{row.get('module', '')} {row.get('version', '')}".strip()),
            )
        yield table
        for note in dict.fromkeys(str(n) for row in report.engines for n in row.get("notes") or ()):
            yield Text(words.printable(note), style="dim")
    if report.precision is not None:
        kept: Mapping[str, str] = report.precision.get("kept") or {}
        asked = words.printable(report.precision.get("asked", ""))
        done = report.precision.get("converted")
        count = {None: "", 0: ": no node, the casts would cost more"}.get(
            done, f": {words.count(done)} nodes"
        )
        stay = "1 stays" if len(kept) == 1 else f"{len(kept)} stay"
        yield Text(f"in {asked}{count}" + (f"; {stay} in fp32:" if kept else ""))
        reasons: dict[str, list[str]] = {}
        for node, why in kept.items():
            reasons.setdefault(str(why), []).append(node)
        for why, nodes in list(reasons.items())[:MOST_ROWS]:
            yield Text(f"{some(nodes)}: {words.printable(why)}", style="yellow")
        if advice := str(report.precision.get("advice") or ""):
            yield Text(words.printable(advice), style="yellow")
