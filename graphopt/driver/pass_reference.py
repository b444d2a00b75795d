"""What there is to say about the passes: the records behind ``graphopt passes`` and its reference page."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphopt.pipeline.pass_base import Pass
    from graphopt.rewrite.rule import Rule

COMMAND = "graphopt passes --markdown > docs/pass-reference.md"


@dataclass(frozen=True)
class PassRecord:
    """One pass.

    Attributes:
        name: as pipeline strings spell it.
        group: the group, backend or package it belongs to.
        level: ``-O1`` when it runs from there on; empty when no level runs it.
        doc: its docstring; the first line is the summary.
        options: ``(name, type, default)`` of each.
        rules: ``(name, left side, right side)`` of each; the right side is empty when it is computed.
    """

    name: str
    group: str
    level: str
    doc: str
    options: tuple[tuple[str, str, object], ...]
    rules: tuple[tuple[str, str, str], ...]

    @property
    def summary(self) -> str:
        """The docstring's first line."""
        return self.doc.partition("\n")[0]

    def to_json(self) -> dict[str, Any]:
        """The record as plain JSON types."""
        return {**dataclasses.asdict(self), "summary": self.summary}


def pass_records() -> list[PassRecord]:
    """Every pass a pipeline string may name, in the order of the groups."""
    from graphopt.driver.known_passes import known_groups, known_passes

    groups = {cls: group for group, members in known_groups().items() for cls in members}
    levels = _levels()
    return [_record(cls, groups, levels) for cls in known_passes().values()]


def markdown() -> str:
    """The reference page: each of graphopt's own passes with its docstring, options and rules."""
    from graphopt.driver.known_passes import known_groups

    records: dict[str, list[PassRecord]] = {group: [] for group in known_groups()}
    for record in pass_records():
        if record.group in records:
            records[record.group].append(record)
    lines = [
        "# Reference of the passes",
        f"Written by `{COMMAND}`; a test fails when it is stale. [Passes](passes.md) says how to use them.",
    ]
    for group, members in records.items():
        lines += ["", f"## {group}"]
        for record in members:
            lines += list(_section(record))
    return "\n".join(lines) + "\n"


def _section(record: PassRecord) -> Iterator[str]:
    yield from ("", f"### {record.name}")
    yield f"Runs from {record.level} on." if record.level else "Runs when named in `--passes`."
    yield ""
    yield _as_markdown(record.doc)
    if record.options:
        yield from ("", "| option | type | default |", "|---|---|---|")
        yield from (f"| `{name}` | `{kind}` | `{default}` |" for name, kind, default in record.options)
    if record.rules:
        yield from ("", "```")
        for name, before, after in record.rules:
            yield f"{name}:"
            yield f"    {' '.join(before.split())}"
            yield f"    → {' '.join(after.split()) or '(computed)'}"
        yield "```"


def _as_markdown(doc: str) -> str:
    """A docstring as Markdown: the lines that start with Before, After, Needs, … become a list."""
    text = re.sub(
        r"^(Before|After|Needs|Keeps|Skips):\s*", r"- **\1** ", inspect.cleandoc(doc), flags=re.MULTILINE
    )
    return text.replace("``", "`")


def _record(cls: type[Pass], groups: dict[type[Pass], str], levels: dict[type[Pass], str]) -> PassRecord:
    from graphopt.driver.explain import rules_of

    return PassRecord(
        cls.name(),
        groups.get(cls, cls.__module__.split(".")[0]),
        levels.get(cls, ""),
        inspect.getdoc(cls) or "",
        tuple((f.name.replace("_", "-"), str(f.type), _default(f)) for f in dataclasses.fields(cls)),
        tuple(_texts(rule) for rule in rules_of(cls)),
    )


def _texts(rule: Rule) -> tuple[str, str, str]:
    return rule.name, rule.before.strip(), rule.after.strip() if isinstance(rule.after, str) else ""


def _levels() -> dict[type[Pass], str]:
    """The first level that runs each pass."""
    from graphopt.driver.opt import pipeline
    from graphopt.passes.levels import LEVELS
    from graphopt.pipeline.manager import flatten

    found: dict[type[Pass], str] = {}
    for level in range(len(LEVELS)):
        for step in flatten(pipeline(level=level)):
            found.setdefault(type(step), f"-O{level}")
    return found


def _default(field: dataclasses.Field[Any]) -> object:
    if field.default is not dataclasses.MISSING:
        return field.default
    return None if field.default_factory is dataclasses.MISSING else field.default_factory()
