"""How the command line prints: JSON documents, aligned tables, and progress on a terminal's stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphopt.cli.failures import json_text

if TYPE_CHECKING:
    from rich.console import Console


def print_json(value: object) -> None:
    """One JSON document on stdout."""
    click.echo(json_text(value))


def note(text: str) -> None:
    """One line for the person, on stderr, so that stdout stays clean."""
    click.echo(text, err=True)


def console(*, stderr: bool = False) -> Console:
    """A rich console on which a closed pipe is what it is for ``click.echo``: a BrokenPipeError."""
    from rich.console import Console

    class PlainConsole(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return PlainConsole(stderr=stderr)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns padded to their widest cell; those whose cells are all numbers are right-aligned."""
    columns = list(zip(header, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    right = [bool(rows) and all(_is_number(cell) for cell in column[1:]) for column in columns]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(cells, widths, right, strict=True)
        )
        return "  ".join(padded).rstrip()

    return "\n".join(map(line, [header, *rows]))


@contextmanager
def no_notices() -> Iterator[None]:
    """Keep the library's warnings to the log from the terminal."""
    import logging

    logger = logging.getLogger("graphopt")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all; raises ArtifactError."""
    from graphopt.artifact.atomic import install, remove, sibling
    from graphopt.artifact.replace import write_error

    scratch = sibling(path)
    try:
        scratch.write_text(text, encoding="utf-8")
        install(scratch, path)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        with suppress(OSError):
            remove(scratch)


def _is_number(cell: str) -> bool:
    digits = cell.removesuffix("%").removesuffix(" ms").removesuffix("x").lstrip("+-").replace(",", "")
    return not cell or digits.replace(".", "", 1).isdigit()


@contextmanager
def progress(quiet: bool) -> Iterator[Callable[[str], None]]:
    """A spinner with the current stage; silent unless stderr is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return

    with console(stderr=True).status("starting") as status:
        yield lambda stage: status.update(stage)
