"""What the results say about the claims that graphopt makes for float32 on a CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.engines import BASELINE
from graphopt.measure.stats import geometric_mean

OURS = "graphopt"
PEERS = (BASELINE, "openvino-f32")
"""Engines that give the same answer: a model's better one is what graphopt is measured against."""


def claims(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Per model: speed over the baseline and over the better peer, share of the peak, start, memory.

    Ratios above 1 are in graphopt's favour for speeds, below 1 for start-up and memory. The means are over
    the float32 models as they come; variants of a model do not count twice.
    """
    models = {row["model"]: found for row in rows if (found := _model(row)) is not None}
    counted = [name for name, found in models.items() if found["float32"] and not found["variant"]]
    return {
        "models": models,
        "over_baseline": _mean([models[name]["over_baseline"] for name in counted]),
        "over_better_peer": _mean([models[name]["over_better_peer"] for name in counted]),
        "counted": counted,
    }


def print_claims(console: Console, found: Mapping[str, Any]) -> None:
    """The same as a table."""
    if not found.get("models"):
        return
    table = Table(title="graphopt: speed, share of the FMA peak, start and memory", title_justify="left")
    for heading in ("model", f"over {BASELINE}", "over the better peer", "FMA peak", "start", "memory"):
        table.add_column(heading, justify="left" if heading == "model" else "right")
    for name, row in found["models"].items():
        table.add_row(
            name,
            f"{row['over_baseline']:.3f}",
            f"{row['over_better_peer']:.3f} ({row['better_peer']})",
            f"{row['peak_share']:.0%}" if row["peak_share"] is not None else "—",
            f"{row['start']:.2f}",
            f"{row['memory']:.2f}",
        )
    console.print(table)
    console.print(
        f"start: load and first run over {BASELINE}'s; memory: peak of the process over {BASELINE}'s",
        style="dim",
    )
    for key, what in (("over_baseline", BASELINE), ("over_better_peer", "the better peer per model")):
        if found[key]:
            console.print(
                f"float32 models over {what}: geometric mean {found[key]:.3f} of {len(found['counted'])}"
            )


def _model(row: Mapping[str, Any]) -> dict[str, Any] | None:
    engines = row.get("engines", {})
    if OURS not in engines or BASELINE not in engines:
        return None
    times = {name: engines[name]["latency_ns"]["median"] for name in (OURS, *PEERS) if name in engines}
    speeds = {name: 1.0 if name == BASELINE else row["ratios"][name]["median"] for name in times}
    better = max((name for name in PEERS if name in speeds), key=lambda name: speeds[name])
    roof = row.get("roof") or {}
    share = roof["flops"] / (times[OURS] * 1e-9 * roof["peak"]) if roof.get("flops") else None
    return {
        "float32": bool(row.get("float32")),
        "variant": bool(row.get("variant")),
        "over_baseline": speeds[OURS],
        "over_better_peer": speeds[OURS] / speeds[better],
        "better_peer": better,
        "peak_share": share,
        "start": _start(engines[OURS]) / _start(engines[BASELINE]),
        "memory": engines[OURS]["peak_rss_bytes"] / engines[BASELINE]["peak_rss_bytes"],
    }


def _start(engine: Mapping[str, Any]) -> float:
    """Seconds from an imported library to the first answer."""
    return median(one["load_seconds"] + one["first_run_seconds"] for one in engine["startups"])


def _mean(ratios: Sequence[float]) -> float | None:
    return geometric_mean(list(ratios)).value if len(ratios) > 1 else None
