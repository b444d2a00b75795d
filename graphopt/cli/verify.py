"""``graphopt verify``: do two models, or a model and an artifact, compute the same?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphopt.cli import options as o
from graphopt.cli.output import note, print_json, progress, table
from graphopt.errors import UsageError

if TYPE_CHECKING:
    from graphopt.equality.verdict import EqualityReport


@click.command("verify")
@click.argument("reference", type=o.PATH, metavar="ORIGINAL")
@click.argument("candidate", type=o.PATH, metavar="[OTHER]", required=False)
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
@click.option("--seed", type=int, default=0, show_default=True, help="Of derived inputs and of the jitter.")
@o.json_option
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
def verify(
    reference: Path,
    candidate: Path | None,
    inputs: Path | None,
    shapes: tuple[str, ...],
    constants: tuple[str, ...],
    threads: int | None,
    equality: str,
    seed: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Compare two models or artifacts: exact, rounding or semantic.

    Exits with 3 when they differ by more than rounding. An artifact alone is checked to be whole: every
    hash, and the key of every engine; nothing is run, and no GPU is needed.

    \b
    graphopt verify original.onnx optimised.onnx
    graphopt verify model.onnx model.gopt
    graphopt verify model.gopt
    """
    if candidate is None:
        _check(reference, as_json=as_json, quiet=quiet)
        return
    from graphopt.driver.verify import require_equal
    from graphopt.driver.verify import verify as compare

    with progress(quiet or as_json) as tell:
        tell("running both models")
        report = compare(
            reference,
            candidate,
            equality=equality,
            inputs=inputs,
            shapes=shapes or None,
            constants=constants or None,
            threads=threads,
            seed=seed,
        )
    if as_json:
        print_json(report.to_json())
    elif not quiet:
        click.echo(_render(report))
    if as_json and not report.equal:
        note(f"error: {report.sentence()}")
        raise click.exceptions.Exit(3)
    require_equal(report)


def _check(artifact: Path, *, as_json: bool, quiet: bool) -> None:
    """One artifact alone."""
    from dataclasses import asdict

    from graphopt.driver.integrity import check_integrity
    from graphopt.driver.subject import is_artifact

    if artifact.is_file() and not is_artifact(artifact):
        raise UsageError(f"{artifact} is a model: there is nothing to compare it with", "name the other one")
    found = check_integrity(artifact)
    if as_json:
        print_json(asdict(found))
    elif not quiet:
        click.echo(found.sentence())


def _render(report: EqualityReport) -> str:
    lines = []
    if report.outputs:
        rows = [
            (
                output.name,
                str(output.verdict),
                f"{output.max_abs:.3g}",
                f"{output.floor_max:.3g}",
                f"{output.ratio:.2f}",
                "; ".join(output.weak),
            )
            for output in report.outputs
        ]
        lines += [table(("output", "verdict", "max|d|", "floor", "d/floor", "weak check"), rows), ""]
    lines += [f"not checkable, it differs from run to run: {name}" for name in report.not_checkable]
    lines += [f"inputs {label}: {_inputs(feed)}" for label, feed in report.feeds.items()]
    lines += [f"note: {text}" for text in report.notes]
    lines.append(report.sentence())
    return "\n".join(lines)


def _inputs(feed: dict[str, str]) -> str:
    return ", ".join(f"{name} {text}" for name, text in feed.items())
