"""``graphopt bench``: latency percentiles, throughput and memory, beside ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphopt.cli import options as o
from graphopt.cli.output import note, print_json, progress, table

if TYPE_CHECKING:
    from graphopt.driver.bench import BenchReport, EngineReport
    from graphopt.measure.stats import Percentile


@click.command("bench")
@click.argument("source", type=o.PATH, metavar="MODEL.gopt|MODEL.onnx")
@o.inputs_option
@o.threads_option
@click.option(
    "--budget", type=click.FloatRange(min=0.1), default=10.0, show_default=True, help="Seconds to measure."
)
@click.option(
    "--baseline",
    type=o.PATH,
    metavar="MODEL.onnx",
    help="What ONNX Runtime runs beside it; default: the source.",
)
@click.option("--no-baseline", is_flag=True, help="Measure nothing beside it.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of derived inputs and of block order.")
@click.option("--samples", is_flag=True, help="With --json: every single time.")
@o.json_option
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
def bench(
    source: Path,
    inputs: Path | None,
    threads: int | None,
    budget: float,
    baseline: Path | None,
    no_baseline: bool,
    seed: int,
    samples: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure an artifact or a model beside ONNX Runtime, each in its own process, interleaved.

    \b
    graphopt bench model.gopt --inputs in.npz --budget 20
    """
    from graphopt.driver.bench import bench as measure
    from graphopt.errors import UsageError

    if no_baseline and baseline is not None:
        raise UsageError("--no-baseline and --baseline contradict each other", "give one of them")
    with progress(quiet or as_json) as tell:
        report = measure(
            source,
            inputs=inputs,
            threads=threads,
            budget_seconds=budget,
            baseline=baseline or not no_baseline,
            seed=seed,
            progress=lambda rounds, part: tell(f"measuring: {rounds} rounds, {100 * part:.0f} % of the time"),
        )
    if as_json:
        print_json(report.to_json(samples=samples))
    elif not quiet:
        click.echo(_render(report))
    for name, reason in report.failed.items():
        note(f"could not measure {name}: {reason}")


def _render(report: BenchReport) -> str:
    engines = [report.subject, *report.beside]
    latency = table(
        ("engine", "p50 µs", "p90 µs", "p95 µs", "p99 µs", "per second", "peak MB", "calls"),
        [_row(engine) for engine in engines],
    )
    lines = [latency, ""]
    for name, ratio in report.ratios.items():
        lines.append(
            f"{ratio.median:.3f} times as fast as {name} "
            f"({ratio.low:.3f} to {ratio.high:.3f}, noise {100 * ratio.noise:.1f} %, n={ratio.n})"
        )
    found = report.conditions
    lines.append(f"inputs: {', '.join(f'{name} {text}' for name, text in report.feeds.items())}")
    lines.append(
        f"{found.machine}, {found.threads} threads, {found.rounds} rounds in {found.seconds:.1f} s, "
        f"load {found.load_before[0]:.1f} to {found.load_after[0]:.1f}, {found.date}"
    )
    lines.append(", ".join(f"{name} {version}" for name, version in report.versions.items()))
    return "\n".join(lines)


def _row(engine: EngineReport) -> tuple[str, ...]:
    return (
        engine.name,
        *(_interval(found) for found in engine.latency_us),
        f"{engine.throughput.value:.1f}",
        f"{engine.peak_rss_bytes / 1e6:.0f}",
        str(engine.calls),
    )


def _interval(found: Percentile) -> str:
    digits = 0 if found.value >= 100 else 1
    if found.low is None or found.high is None:
        return f"{found.value:.{digits}f}"
    return f"{found.value:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"
