"""``graphopt bisect``: which pass changes the answer, and where."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphopt.cli import options as o
from graphopt.cli.output import note, print_json, progress

if TYPE_CHECKING:
    from graphopt.driver.bisect import BisectReport


@click.command("bisect")
@o.model_argument
@o.passes_option
@o.level_option(2)
@o.disable_option
@o.inputs_option
@o.shape_option
@o.const_option
@o.threads_option
@click.option(
    "--equality",
    type=click.Choice(["default", "relaxed"]),
    default="default",
    show_default=True,
    help="relaxed allows 32 times the noise floor instead of 8.",
)
@click.option(
    "-o", "--output", type=o.PATH, metavar="CASE.zip", help="The reproduction; default: beside the model."
)
@o.json_option
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
def bisect(
    model: Path,
    passes: str | None,
    level: int,
    disabled: tuple[str, ...],
    inputs: Path | None,
    shapes: tuple[str, ...],
    constants: tuple[str, ...],
    threads: int | None,
    equality: str,
    output: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Find the pass that changes a model's answer and the smallest subgraph that shows it.

    Writes a zip that reproduces the difference with nothing but ONNX Runtime. Exits with 3 when
    something is wrong, with 0 when nothing is.

    \b
    graphopt bisect model.onnx
    graphopt bisect model.onnx -p "canonical,my-pass"
    """
    from graphopt.driver.bisect import bisect as search
    from graphopt.errors import EqualityError

    with progress(quiet or as_json) as tell:
        tell("running prefixes of the pipeline")
        report = search(
            model,
            passes=passes,
            level=level,
            disabled=o.split_names(disabled),
            shapes=shapes or None,
            constants=constants or None,
            inputs=inputs,
            equality=equality,
            threads=threads,
            output=output or model.with_name(f"{model.stem}.bisect.zip"),
        )
    if as_json:
        print_json(report.to_json())
    elif not quiet:
        click.echo(_render(report))
    if report.equal:
        return
    if as_json:
        note(f"error: {report.sentence}")
        raise click.exceptions.Exit(3)
    raise EqualityError(report.sentence, f"--disable-pass {report.guilty} goes around it")


def _render(report: BisectReport) -> str:
    lines = [
        f"first {probe.passes} of {report.passes} passes: {'good' if probe.good else 'BAD'}: {probe.sentence}"
        for probe in report.probes
    ]
    if report.equal:
        lines.append(report.sentence)
    if report.value:
        lines.append(
            f"first value that differs: {report.value}; smallest piece: {report.nodes_before} nodes before, "
            f"{report.nodes_after} after, of {report.model_nodes}"
        )
    if report.reproduction:
        lines.append(f"reproduction: {report.reproduction} (unzip it and run the script inside)")
    return "\n".join(lines)
