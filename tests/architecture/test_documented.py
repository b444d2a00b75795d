"""What a person can call or type is explained in docs/, and what docs/ names exists."""

from __future__ import annotations

import inspect
import re

import click

import graphopt
from graphopt.cli.main import ALL_VERBS
from graphopt.driver.pass_reference import COMMAND, markdown
from graphopt.passes import GROUPS
from tests.architecture.tracked import ROOT

DOCS = {path.name: path.read_text() for path in [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]}
ALL = "\n".join(DOCS.values())


def test_every_public_name_is_documented() -> None:
    for name in graphopt.__all__:
        if name == "__version__":
            continue
        assert inspect.getdoc(getattr(graphopt, name)), f"graphopt.{name} has no docstring"
        assert f"graphopt.{name}" in ALL or name == "CompileResult", (
            f"docs/ says nothing about graphopt.{name}"
        )


def test_every_verb_and_every_option_is_explained() -> None:
    for verb in ALL_VERBS:
        assert f"`graphopt {verb.name}`" in DOCS["start.md"]
        assert verb.help
        for parameter in verb.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"graphopt {verb.name} --{parameter.name} has no help"


def test_every_group_of_passes_is_listed() -> None:
    assert all(f"| `{group}` |" in DOCS["passes.md"] for group in GROUPS)


def test_the_reference_of_the_passes_is_fresh() -> None:
    assert DOCS["pass-reference.md"] == markdown(), f"docs/pass-reference.md is stale; run: {COMMAND}"


def test_links_lead_somewhere() -> None:
    for name, text in DOCS.items():
        folder = ROOT if name == "README.md" else ROOT / "docs"
        for target in re.findall(r"\]\((?!http)([^)#]+)", text):
            assert (folder / target).exists(), f"{name} links to {target}"


def test_commands_in_the_docs_are_commands() -> None:
    verbs = {verb.name for verb in ALL_VERBS}
    for name, text in DOCS.items():
        for verb in re.findall(r"^graphopt ([a-z]+)", text, flags=re.MULTILINE):
            assert verb in verbs, f"{name}: graphopt {verb}"
