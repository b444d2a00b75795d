import click


@click.command("bench")
def bench() -> None:
    """bench."""
