"""``graphopt passes``: which passes there are, what each does, and which level runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from graphopt.cli import options as o
from graphopt.cli.output import print_json, table

if TYPE_CHECKING:
    from graphopt.driver.pass_reference import PassRecord


@click.command("passes")
@click.argument("name", required=False)
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the reference page of all passes.")
@o.json_option
def passes(name: str | None, as_markdown: bool, as_json: bool) -> None:
    """List the passes, or say everything about one.

    \b
    graphopt passes
    graphopt passes fold-constants
    graphopt passes --markdown
    """
    from graphopt.driver.pass_reference import markdown, pass_records
    from graphopt.errors import UsageError
    from graphopt.passes.levels import LEVELS

    if as_markdown:
        click.echo(markdown(), nl=False)
        return
    records = {record.name: record for record in pass_records()}
    if name is not None and name not in records:
        raise UsageError(f"there is no pass {name!r}", "`graphopt passes` lists them")
    chosen = list(records.values()) if name is None else [records[name]]
    if as_json:
        levels = {f"-O{i}": text for i, text in enumerate(LEVELS)}
        print_json({"passes": [record.to_json() for record in chosen], "levels": levels})
    elif name is not None:
        click.echo(_describe(chosen[0]))
    else:
        rows = [(record.group, record.name, record.level, record.summary) for record in chosen]
        click.echo(table(("group", "pass", "runs at", "what it does"), rows))
        click.echo("")
        for index, text in enumerate(LEVELS):
            click.echo(f"-O{index}  {text or '(import only)'}")


def _describe(record: PassRecord) -> str:
    lines = [record.name, "", record.doc, ""]
    lines += [f"option {name}: {kind} = {default}" for name, kind, default in record.options]
    for name, before, after in record.rules:
        lines += [
            f"rule {name}",
            *_indented(before),
            f"  → {'; '.join(_indented(after)).strip() or '(computed)'}",
        ]
    lines.append(f"runs from {record.level} on" if record.level else "runs when named in --passes")
    return "\n".join(lines)


def _indented(text: str) -> list[str]:
    return [f"  {line.strip()}" for line in text.splitlines() if line.strip()]
