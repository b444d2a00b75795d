"""``graphopt doctor``: what is here, what is missing, how to mend it, and how fast this machine can be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from graphopt.cli import options as o
from graphopt.cli.output import print_json, progress, table

if TYPE_CHECKING:
    from graphopt.driver.doctor import DoctorReport
    from graphopt.driver.doctor_nvidia import NvidiaReport
    from graphopt.targets.ceiling_records import Ceilings, Rate


@click.command("doctor")
@click.option("--no-ceilings", is_flag=True, help="Do not measure peaks and bandwidths.")
@click.option("--refresh", is_flag=True, help="Measure them again.")
@o.json_option
def doctor(no_ceilings: bool, refresh: bool, as_json: bool) -> None:
    """Say what this machine can do, what is missing, and the command that mends it.

    Exits with 1 when no backend can run models here.
    """
    from graphopt.driver.doctor import doctor as examine

    with progress(as_json) as tell:
        tell("measuring what this machine can do")
        report = examine(ceilings=not no_ceilings, refresh=refresh)
    if as_json:
        print_json(report.to_json())
    else:
        click.echo("\n".join(_render(report)))
    if not report.can_compile:
        raise click.exceptions.Exit(1)


def _render(report: DoctorReport) -> Iterator[str]:
    target = report.target
    yield f"Python     {report.python}, {report.executable}"
    yield f"system     {report.platform}"
    yield f"target     {target.model_name}, {target.hardware_class}"
    quota = "" if report.cpu_quota is None else f", container quota {report.cpu_quota:g}"
    yield f"threads    {report.threads} ({report.allowed_cpus} CPUs allowed{quota})"
    yield f"native     core {report.native}, built for {', '.join(report.built_isas)}"
    if report.gpus:
        for gpu in report.gpus:
            memory = f", {gpu.memory_bytes / 1e9:.0f} GB" if gpu.memory_bytes else ""
            driver = f", driver {gpu.driver}" if gpu.driver else ""
            yield f"GPU        {gpu.name}, {gpu.architecture}{memory}{driver}"
    else:
        yield f"GPU        none: {report.gpu_reason}"
    yield ""
    yield from _nvidia(report.nvidia)
    yield ""
    for backend in report.backends:
        if backend.available:
            yield f"backend    {backend.name:<14} {backend.version}"
        else:
            fix = f"; fix: {backend.fix}" if backend.fix else ""
            yield f"backend    {backend.name:<14} unavailable: {backend.reason}{fix}"
    yield ""
    yield "packages   " + ", ".join(
        f"{name} {version}" for name, version in report.packages.items() if version
    )
    missing = [name for name, version in report.packages.items() if not version]
    if missing:
        yield "not here   " + ", ".join(missing)
    if report.ceilings is not None:
        yield ""
        yield from _ceilings(report.ceilings)


def _nvidia(found: NvidiaReport) -> Iterator[str]:
    """What ``--target cuda`` can do here, then thing by thing what it needs."""
    names = ", ".join(found.compiles_for)
    yield f"cuda       compiles for: {names or 'nothing, no TensorRT builds engines here'}"
    yield f"           runs here on: {', '.join(found.runs_on) or 'nothing, see below'}"
    for check in found.checks:
        words = [check.version, check.detail] if check.state == "ok" else [f"{check.state}: {check.detail}"]
        text = ", ".join(filter(None, words)) or "here"
        needed = "" if check.state == "ok" else f" (for {check.purpose})"
        yield f"           {check.name:<22} {text}{needed}"
        if check.fix:
            yield f"           {'':<22} fix: {check.fix}"


def _ceilings(found: Ceilings) -> Iterator[str]:
    origin = f"kept in {found.kept_in}" if found.kept_in else f"measured in {found.seconds:.1f} s"
    noisy = "; the machine was busy, these are too low" if found.noisy else ""
    yield f"measured ceilings, median [lowest, highest] ({found.date}, {origin}{noisy})"
    both = sorted({1, found.threads})
    header = ("", *(f"{n} thread{'s' if n > 1 else ''}" for n in both))
    rows = []
    for isa, dtype in dict.fromkeys((peak.isa, peak.dtype) for peak in found.peaks):
        cells = (_rate(found.peak(dtype, isa=isa, threads=n), 1e9, "Gop/s") for n in both)
        rows.append((f"{dtype} multiply-add, {isa}", *cells))
    for level, kernel in dict.fromkeys((b.level, b.kernel) for b in found.bandwidths):
        cells = (_rate(found.bandwidth(level, kernel=kernel, threads=n), 1e9, "GB/s") for n in both)
        rows.append((f"{level} {kernel.replace('stream_', '')}", *cells))
    yield table(header, rows)


def _rate(rate: Rate | None, unit: float, name: str) -> str:
    if rate is None:
        return "-"
    return f"{rate.median / unit:.1f} {name} [{rate.low / unit:.1f}, {rate.high / unit:.1f}]"
