"""``graphopt compile``: a model in; an artifact, checked equal and measured no slower, out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphopt.cli import engine_options as e
from graphopt.cli import options as o
from graphopt.cli.output import console, no_notices, note, print_json, progress, write_text

if TYPE_CHECKING:
    from graphopt.report.record import CompileReport


@click.command("compile")
@o.model_argument
@o.target_option
@click.option("-o", "--output", type=o.PATH, metavar="MODEL.gopt", help="Default: beside the model.")
@o.level_option(2)
@o.passes_option
@o.disable_option
@o.shape_option
@e.shape_range_options
@o.const_option
@o.inputs_option
@e.precision_option
@o.threads_option
@o.equality_option
@click.option("--backends", metavar="A,B", help="Only these may run regions, most preferred first.")
@click.option("--strict", is_flag=True, help="A node that falls back to another backend is an error.")
@click.option("--no-measure", is_flag=True, help="Trust records and the analytic model.")
@click.option("--measure-each", is_flag=True, help="Also measure what each pass is worth.")
@click.option(
    "--measure-seconds",
    type=click.FloatRange(min=0.1),
    default=4.0,
    show_default=True,
    help="Budget of one comparison.",
)
@click.option(
    "--replay", type=o.PATH, metavar="OLD.gopt", help="Repeat an artifact's decisions without measuring."
)
@click.option(
    "--report", "page", type=o.PATH, metavar="PAGE.html", help="Write the report there too (.html or .json)."
)
@e.engine_options
@o.instrument_options
@o.json_option
@o.noise_options
def compile_(
    model: Path,
    target: str,
    output: Path | None,
    level: int,
    passes: str | None,
    disabled: tuple[str, ...],
    shapes: tuple[str, ...],
    min_shapes: tuple[str, ...],
    opt_shapes: tuple[str, ...],
    max_shapes: tuple[str, ...],
    constants: tuple[str, ...],
    inputs: Path | None,
    precision: str,
    threads: int | None,
    equality: str,
    backends: str | None,
    strict: bool,
    no_measure: bool,
    measure_each: bool,
    measure_seconds: float,
    replay: Path | None,
    page: Path | None,
    workspace: str | None,
    builder_level: int,
    timing_cache: Path | None,
    version_compatible: bool,
    hardware_compatible: str,
    tf32: bool,
    print_before_all: bool,
    print_after_all: bool,
    print_before: tuple[str, ...],
    print_after: tuple[str, ...],
    time_passes: bool,
    verify_each: bool,
    as_json: bool,
    verbose: bool,
    quiet: bool,
) -> None:
    """Compile a model: checked equal to the original, measured, never slower.

    \b
    graphopt compile model.onnx --target cpu -o model.gopt
    graphopt compile model.onnx --shape x:1x3x224x224 --const sr=16000 --inputs in.npz
    graphopt compile model.onnx --target cuda:sm_86,sm_89 --precision fp16
    """
    from graphopt.cli.watch import note_remarks, time_table, watchers
    from graphopt.driver.compile import compile_model

    instruments = watchers(
        print_before_all=print_before_all,
        print_after_all=print_after_all,
        print_before=print_before,
        print_after=print_after,
        verify_each=verify_each,
    )
    engine = e.read_engine_options(
        workspace=workspace,
        builder_level=builder_level,
        timing_cache=timing_cache,
        version_compatible=version_compatible,
        hardware_compatible=hardware_compatible,
        tf32=tf32,
    )
    # Candidates are opened under temporary names; what matters about them is in the report.
    with progress(quiet or as_json) as tell, no_notices():
        done = compile_model(
            model,
            output=output,
            target=target,
            level=level,
            passes=passes,
            disabled=o.split_names(disabled),
            shapes=shapes or None,
            min_shapes=min_shapes or None,
            opt_shapes=opt_shapes or None,
            max_shapes=max_shapes or None,
            constants=constants or None,
            inputs=inputs,
            precision=precision,
            engine=engine,
            threads=threads,
            equality=equality,
            measure=not no_measure,
            measure_each=measure_each,
            measure_seconds=measure_seconds,
            backends=tuple(name.strip() for name in backends.split(",")) if backends else None,
            strict=strict,
            replay=replay,
            instruments=instruments,
            progress=tell,
        )
    if page is not None:
        _write_page(page, done.report)
    if time_passes:
        note(time_table(done.report.effects))
    if verbose:
        note_remarks(done.report.remarks)
    if as_json:
        print_json({"artifact": str(done.path), **done.report.to_json()})
    elif not quiet:
        _print(done.report)


def _print(report: CompileReport) -> None:
    from graphopt.report.terminal import render

    render(report, console())


def _write_page(page: Path, report: CompileReport) -> None:
    from graphopt.report.html import render

    write_text(page, report.to_text() if page.suffix == ".json" else render(report))
