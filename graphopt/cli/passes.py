"""``graphopt passes``: which passes there are, what each does, and which level runs it."""

from __future__ import annotations

import dataclasses
import inspect
from typing import TYPE_CHECKING, Any

import click

from graphopt.cli import options as o
from graphopt.cli.output import print_json, table

if TYPE_CHECKING:
    from graphopt.pipeline.pass_base import Pass


@click.command("passes")
@click.argument("name", required=False)
@o.json_option
def passes(name: str | None, as_json: bool) -> None:
    """List the passes, or say everything about one.

    \b
    graphopt passes
    graphopt passes fold-constants
    """
    from graphopt.errors import UsageError
    from graphopt.passes import registry
    from graphopt.passes.levels import LEVELS

    known = registry()
    if name is not None and name not in known:
        raise UsageError(f"there is no pass {name!r}", "`graphopt passes` lists them")
    chosen = known if name is None else {name: known[name]}
    records = [_record(cls) for cls in chosen.values()]
    if as_json:
        print_json({"passes": records, "levels": {f"-O{i}": text for i, text in enumerate(LEVELS)}})
    elif name is not None:
        click.echo(_describe(records[0]))
    else:
        rows = [(record["group"], record["name"], record["levels"], record["summary"]) for record in records]
        click.echo(table(("group", "pass", "runs at", "what it does"), rows))
        click.echo("")
        for index, text in enumerate(LEVELS):
            click.echo(f"-O{index}  {text or '(import only)'}")


def _record(cls: type[Pass]) -> dict[str, Any]:
    from graphopt.passes import GROUPS

    doc = inspect.getdoc(cls) or ""
    group = next((name for name, members in GROUPS.items() if cls in members), cls.__module__.split(".")[0])
    return {
        "name": cls.name(),
        "group": group,
        "levels": _levels(cls),
        "summary": doc.partition("\n")[0],
        "doc": doc,
        "options": [
            {"name": field.name.replace("_", "-"), "type": str(field.type), "default": _default(field)}
            for field in dataclasses.fields(cls)
        ],
    }


def _levels(cls: type[Pass]) -> str:
    """``-O1`` when the pass runs from -O1 on; empty when no level runs it."""
    from graphopt.driver.opt import pipeline
    from graphopt.passes.levels import LEVELS
    from graphopt.pipeline.manager import flatten

    runs = [i for i in range(len(LEVELS)) if any(type(p) is cls for p in flatten(pipeline(level=i)))]
    return f"-O{runs[0]}" if runs else ""


def _default(field: dataclasses.Field[Any]) -> object:
    if field.default is not dataclasses.MISSING:
        return field.default
    return None if field.default_factory is dataclasses.MISSING else field.default_factory()


def _describe(record: dict[str, Any]) -> str:
    lines = [record["name"], "", record["doc"], ""]
    lines += [f"option {one['name']}: {one['type']} = {one['default']}" for one in record["options"]]
    lines.append(f"runs from {record['levels']} on" if record["levels"] else "runs when named in --passes")
    return "\n".join(lines)
