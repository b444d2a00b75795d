"""``graphopt run``: run an artifact on arrays from a file."""

from __future__ import annotations

from pathlib import Path

import click

from graphopt.cli import options as o
from graphopt.cli.output import print_json, table

_PROFILED = 10
"""Runs a profile is the mean of."""


@click.command("run")
@click.argument("artifact", type=o.PATH, metavar="MODEL.gopt")
@click.option("--inputs", type=o.PATH, metavar="IN.npz", help="Arrays by input name.")
@click.option("--outputs", type=o.PATH, metavar="OUT.npz", help="Where the outputs go, by output name.")
@o.threads_option
@click.option("--print-time", is_flag=True, help="Print how long a run takes.")
@click.option("--profile", is_flag=True, help="Print where the time goes, step by step.")
@click.option("--repeat", type=click.IntRange(min=1), default=1, show_default=True, help="Runs to time.")
@click.option("--fallback", is_flag=True, help="Run on ONNX Runtime where a backend or GPU is missing.")
@click.option("--device", type=click.IntRange(min=0), default=0, show_default=True, help="Number of the GPU.")
@click.option("--cuda-graph", is_flag=True, help="Launch the GPU's work as one recorded graph.")
@click.option("--isa", default="", metavar="NAME", help="Hold graphopt's own kernels to it: avx2, avx512 ...")
@o.json_option
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
def run(
    artifact: Path,
    inputs: Path | None,
    outputs: Path | None,
    threads: int | None,
    print_time: bool,
    profile: bool,
    repeat: int,
    fallback: bool,
    device: int,
    cuda_graph: bool,
    isa: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run an artifact on the arrays of an .npz file.

    \b
    graphopt run model.gopt --inputs in.npz --outputs out.npz --print-time --repeat 100
    """
    from graphopt.driver.run import run as run_artifact

    timed = repeat if print_time or repeat > 1 else 0
    done = run_artifact(
        artifact,
        inputs,
        outputs=outputs,
        threads=threads,
        fallback=fallback,
        repeat=timed,
        device=device,
        cuda_graph=cuda_graph,
        isa=isa,
        profiled=max(repeat, _PROFILED) if profile else 0,
    )
    if as_json:
        print_json(done.to_json())
        return
    if quiet:
        return
    rows = [(name, str(array.dtype), str(list(array.shape))) for name, array in done.outputs.items()]
    click.echo(table(("output", "dtype", "shape"), rows))
    if done.nanoseconds is not None:
        time = done.nanoseconds
        click.echo(
            f"{time.median / 1e6:.3f} ms median (MAD {100 * time.spread:.1f} %, n={time.n}, "
            f"{done.threads} threads); `graphopt bench {artifact}` measures it beside ONNX Runtime"
        )
    if done.steps:
        total = sum(step.seconds for step in done.steps)
        lines = [
            (
                step.name,
                step.operator or step.backend,
                f"{step.seconds * 1e6:.1f}",
                f"{step.seconds / total:.1%}",
            )
            for step in done.steps
        ]
        click.echo(table(("step", "operator", "us", "share"), lines))
