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
    help="An operator, pass, group or rule: show the nearest miss node by node. "
    "Of an artifact or for a target: an operator or part of a node's name.",
)
@click.option(
    "--target", metavar="TARGET", help="cuda:sm_86, …: say what would not be in an engine, and why."
)
@o.level_option(2)
@o.shape_option
@o.const_option
@o.json_option
def explain(
    model: Path,
    why_not: str,
    target: str | None,
    level: int,
    shapes: tuple[str, ...],
    constants: tuple[str, ...],
    as_json: bool,
) -> None:
    """Say what was recognised and rewritten, and why not more.

    \b
    graphopt explain model.onnx
    graphopt explain model.onnx --why-not LayerNormalization
    graphopt explain model.onnx --target cuda:sm_86 --shape x:1x3x224x224
    graphopt explain model.gopt --why-not /decoder/NonZero
    """
    from graphopt.driver.subject import is_artifact

    if target is not None or is_artifact(model):
        _placement(model, why_not, target, level, shapes, constants, as_json)
        return
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


def _placement(
    model: Path,
    why_not: str,
    target: str | None,
    level: int,
    shapes: tuple[str, ...],
    constants: tuple[str, ...],
    as_json: bool,
) -> None:
    from graphopt.driver.explain_placement import explain_artifact, explain_target
    from graphopt.report.words import printable, share

    if target is None:
        found = explain_artifact(model, why_not=why_not)
    else:
        found = explain_target(
            model, target, why_not=why_not, level=level, shapes=shapes, constants=constants
        )
    if as_json:
        print_json(found.to_json())
        return
    rows = [(name, share(part)) for name, part in found.shares.items()]
    click.echo(table(("backend", "share of FLOPs"), rows))
    for group in found.elsewhere:
        where = "stay in fp32" if group.where == "fp32" else f"run on {group.where}"
        names = "\n  ".join(printable(name) for name in group.sources)
        click.echo(f"\n{len(group.nodes)} nodes {where}: {printable(group.reason)}\n  {names}")
    if not found.elsewhere:
        click.echo("\nnothing fell back")


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
