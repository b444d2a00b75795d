import click


@click.command("inspect")
def inspect() -> None:
    """inspect."""
