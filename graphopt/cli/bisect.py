import click


@click.command("bisect")
def bisect() -> None:
    """bisect."""
