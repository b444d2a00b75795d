"""``graphopt inspect``: what is in a model or an artifact, per node and in total."""

from __future__ import annotations

from pathlib import Path

import click

from graphopt.cli import options as o
from graphopt.cli.output import console, print_json


@click.command("inspect")
@click.argument("source", type=o.PATH, metavar="MODEL.onnx|MODEL.gopt")
@o.shape_option
@click.option("--nodes", is_flag=True, help="Show every node, not only the dearest.")
@click.option("--top", type=click.IntRange(min=0), default=10, show_default=True, help="How many of those.")
@click.option("--text", is_flag=True, help="Print the graph as text instead.")
@o.json_option
def inspect(source: Path, shapes: tuple[str, ...], nodes: bool, top: int, text: bool, as_json: bool) -> None:
    """Show operators, weights, FLOPs, bytes moved and peak activations of a model or artifact.

    \b
    graphopt inspect model.onnx --shape x:1x3x224x224
    """
    if text:
        click.echo(_text(source))
        return
    from graphopt.driver.inspect import inspect as look

    report = look(source, shapes=shapes)
    if as_json:
        print_json(report.to_json())
        return

    from graphopt.report.inspection import render

    render(report, console(), top=top, every_node=nodes)


def _text(source: Path) -> str:
    from graphopt.artifact.manifest import MODEL_NAME
    from graphopt.ir.load import load_model
    from graphopt.ir.text import print_model

    return print_model(load_model(source / MODEL_NAME if source.is_dir() else source))
