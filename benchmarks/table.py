"""Results as tables in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

REASON_CHARACTERS = 400
_MARKS = {"faster": ("▲", "green"), "slower": ("▼", "red"), "same": ("=", "dim")}


def print_rows(
    console: Console, rows: Sequence[Mapping[str, Any]], engines: Sequence[str], base: str
) -> None:
    """One line per model: the baseline's time, then how many times faster each other engine is."""
    others = [name for name in engines if name != base]
    table = Table(
        title=f"times faster than {base} (median of paired rounds, 95 % interval)", title_justify="left"
    )
    table.add_column("model")
    table.add_column(f"{base} ms", justify="right")
    table.add_column("A/A noise", justify="right")
    for name in others:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row["model"], _time(row, base), _noise(row), *(_ratio(row["ratios"].get(name)) for name in others)
        )
    console.print(table)
    console.print("▲ faster and ▼ slower beyond the noise, = neither; — see below", style="dim")


def print_means(console: Console, means: Mapping[str, Mapping[str, Any]]) -> None:
    """The geometric mean of each engine over the models it ran, with an interval over models."""
    for name, mean in means.items():
        console.print(
            f"geometric mean  {name:<14} {mean['value']:.3f}x  [{mean['low']:.3f}-{mean['high']:.3f}]"
            f"  over {mean['n']} models; slower on {', '.join(mean['slower_on']) or 'none'}"
        )


def print_shipped(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """The models for which graphopt shipped the input, and every pass it had to drop."""
    compiles = {row["model"]: row.get("compile_measured") or row.get("compile") for row in rows}
    done = {model: compile_ for model, compile_ in compiles.items() if compile_ is not None}
    if not done:
        return
    unchanged = [model for model, compile_ in done.items() if compile_["shipped"] == "input"]
    console.print(f"shipped unchanged: {', '.join(unchanged) or 'none'} of {len(done)}")
    drops = [
        f"{model}: {name} ({_short(reason)})"
        for model, compile_ in done.items()
        for name, reason in compile_["dropped"].items()
    ]
    console.print("passes dropped: " + ("; ".join(drops) or "none"), markup=False)


def print_costs(console: Console, rows: Sequence[Mapping[str, Any]], engines: Sequence[str]) -> None:
    """What compiling cost, and the memory each engine held."""
    table = Table(
        title="compile -O2 --no-measure in a fresh process; peak memory of each engine's process, MB",
        title_justify="left",
    )
    for heading in ("model", "compile s", "process s", "peak MB", "allowed MB"):
        table.add_column(heading, justify="left" if heading == "model" else "right")
    for name in engines:
        table.add_column(name, justify="right")
    for row in rows:
        memory = (_megabytes(row["engines"].get(name, {}).get("peak_rss_bytes")) for name in engines)
        table.add_row(row["model"], *_cost(row.get("compile")), *memory)
    console.print(table)


def print_failures(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """Every engine that could not run a model, with its own reason (whole in the JSON file)."""
    for row in rows:
        for name, reason in row["failed"].items():
            console.print(
                f"— {row['model']}, {name}: {_short(reason)}", highlight=False, markup=False, soft_wrap=True
            )


def _time(row: Mapping[str, Any], name: str) -> str:
    engine = row["engines"].get(name)
    if engine is None:
        return "—"
    latency = engine["latency_ns"]
    return f"{latency['median'] / 1e6:.3f} ±{latency['spread']:.1%}"


def _noise(row: Mapping[str, Any]) -> str:
    return f"±{row['noise']:.1%}" if row["noise"] is not None else "—"


def _ratio(ratio: Mapping[str, Any] | None) -> str:
    if ratio is None:
        return "—"
    mark, style = _MARKS[ratio["verdict"]]
    return f"[{style}]{mark} {ratio['median']:.3f}[/] [dim]{ratio['low']:.2f}-{ratio['high']:.2f}[/]"


def _cost(cost: Mapping[str, Any] | None) -> tuple[str, str, str, str]:
    if cost is None:
        return ("—", "—", "—", "—")
    peak = _megabytes(cost["peak_rss_bytes"])
    if cost["peak_rss_bytes"] > cost["allowed_bytes"]:
        peak = f"[red]{peak}[/]"
    return (
        f"{cost['compile_seconds']:.2f}",
        f"{cost['process_seconds']:.2f}",
        peak,
        _megabytes(cost["allowed_bytes"]),
    )


def _short(reason: str) -> str:
    return reason if len(reason) <= REASON_CHARACTERS else f"{reason[:REASON_CHARACTERS]} ..."


def _megabytes(size: int | None) -> str:
    return "—" if size is None else f"{size / 1e6:.0f}"
