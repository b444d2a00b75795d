import click


@click.command("compile")
def compile_() -> None:
    """compile."""
