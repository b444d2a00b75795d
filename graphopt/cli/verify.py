import click


@click.command("verify")
def verify() -> None:
    """verify."""
