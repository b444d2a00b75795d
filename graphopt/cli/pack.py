"""``graphopt pack``: an artifact folder as one file."""

from __future__ import annotations

from pathlib import Path

import click

from graphopt.cli import options as o
from graphopt.cli.output import print_json


@click.command("pack")
@click.argument("artifact", type=o.PATH, metavar="MODEL.gopt")
@click.option(
    "-o", "--output", type=o.PATH, required=True, metavar="OUT.gopt", help="The single file to write."
)
@o.json_option
def pack(artifact: Path, output: Path, as_json: bool) -> None:
    """Turn an artifact folder into one file that `graphopt run` opens just the same."""
    from graphopt.artifact.pack import pack as pack_artifact

    pack_artifact(artifact, output)
    size = output.stat().st_size
    if as_json:
        print_json({"output": str(output), "bytes": size})
    else:
        click.echo(f"{output}: {size:,} bytes")
