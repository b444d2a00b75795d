"""``graphopt explain``: what the passes did to a model, and why they did not do more."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphopt.cli import options as o
from graphopt.cli.output import print_json, table

if TYPE_CHECKING:
    from graphopt.driver.explain import Explanation
    from graphopt.rewrite.trace import NearMiss

_MOST_REASONS = 15
_MOST_RULES = 3


@click.command("explain")
@o.model_argument
@click.option(
    "--why-not",
    default="",
    metavar="PATTERN",
    help="An operator, pass, group or rule: show the nearest miss node by node.",
)
@o.level_option(2)
@o.shape_option
@o.const_option
@o.json_option
def explain(
    model: Path,
    why_not: str,
    level: int,
    shapes: tuple[str, ...],
    constants: tuple[str, ...],
    as_json: bool,
) -> None:
    """Say what was recognised and rewritten, and why not more.

    \b
    graphopt explain model.onnx
    graphopt explain model.onnx --why-not LayerNormalization
    """
    from graphopt.driver.explain import explain as look

    found = look(model, why_not=why_not, level=level, shapes=shapes, constants=constants)
    if as_json:
        print_json(found.to_json())
        return
    click.echo(_applied(found))
    for name in found.asked:
        for near in found.near[name][:_MOST_RULES]:
            click.echo(f"\n{_near(name, near)}")
    click.echo(f"\n{_missed(found)}")


def _applied(found: Explanation) -> str:
    rows = [
        (
            name,
            ", ".join(f"{rule} x{count}" if rule else "changed the model" for rule, count in rules.items()),
        )
        for name, rules in found.applied.items()
    ]
    if rows:
        return table(("pass", "what it did"), rows)
    return f"{', '.join(found.asked)}: nothing was done" if found.asked else "no pass changed anything"


def _near(name: str, near: NearMiss) -> str:
    """The pattern beside the graph: a tick, a cross, or a dot where matching did not get."""
    rows = [("✓" if s.holds else "✗" if s.reason else "·", s.expected, s.found, s.reason) for s in near.steps]
    title = f"{name}, rule {near.rule}: nearest at {near.node}, {near.score} of {near.parts} parts are there"
    steps = table(("", "the rule wants", "the graph has", "why not"), rows)
    return f"{title}\n{steps}\nstopped by: {near.reason}"


def _missed(found: Explanation) -> str:
    if not found.missed:
        return "no near misses"
    rows = [
        (
            str(len(m.nodes)),
            m.pass_name if m.rule in ("", m.pass_name) else f"{m.pass_name}/{m.rule}",
            m.reason,
        )
        for m in found.missed[:_MOST_REASONS]
    ]
    rest = len(found.missed) - len(rows)
    more = f"\nand {rest} more kinds (--json shows all)" if rest > 0 else ""
    return "near misses\n" + table(("nodes", "pass", "why not"), rows) + more
