"""docs/tensorrt.md names what there is: options, architectures, commands of the extras."""

from __future__ import annotations

import re
import tomllib

import click
import pytest

from graphopt.backends.tensorrt.architectures import builds_for
from graphopt.backends.tensorrt.module import find_library
from graphopt.cli.main import ALL_VERBS
from graphopt.errors import BackendError
from graphopt.targets.named import CUDA_ARCHITECTURES
from tests.architecture.tracked import ROOT

GUIDE = (ROOT / "docs" / "tensorrt.md").read_text()
SECTIONS = {part.partition("\n")[0].strip(): part for part in GUIDE.split("\n## ")}


def options(verb: str) -> set[str]:
    command = next(v for v in ALL_VERBS if v.name == verb)
    return {name for p in command.params if isinstance(p, click.Option) for name in p.opts}


def test_options_in_commands_exist() -> None:
    commands = re.findall(r"^graphopt ([a-z]+) (.*)$", GUIDE, flags=re.MULTILINE)
    assert len(commands) >= 6
    for verb, rest in commands:
        used = set(re.findall(r"(?<!\S)(--?[a-zA-Z][a-zA-Z-]*)", rest.partition("#")[0]))
        assert used <= options(verb), f"graphopt {verb} has no {used - options(verb)}"


def test_the_table_of_options_names_those_of_compile() -> None:
    rows = [line.split("|")[1] for line in SECTIONS["Options, beside trtexec's"].splitlines() if "|" in line]
    named = {name for row in rows if "graphopt " not in row for name in re.findall(r"--[a-z][a-z0-9-]*", row)}
    assert named <= options("compile")
    engine = {"--workspace", "--builder-level", "--timing-cache", "--precision", "--tf32"}
    assert engine | {"--version-compatible", "--hardware-compatible", "--min-shapes"} <= named


def test_every_architecture_has_a_row() -> None:
    rows = SECTIONS["Naming the card"]
    assert set(re.findall(r"`(sm_\d+)`", rows)) == set(CUDA_ARCHITECTURES)


def test_which_are_built_without_a_gpu() -> None:
    try:
        library = find_library("tensorrt_rtx")
    except BackendError as error:
        pytest.skip(f"TensorRT-RTX is not here: {error}")
    lines = [line for line in SECTIONS["Naming the card"].splitlines() if line.startswith("| `sm_")]
    yes = [name for line in lines if "| yes" in line for name in re.findall(r"`(sm_\d+)`", line)]
    assert tuple(yes) == builds_for(library)


def test_extras_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for named in re.findall(r"graphopt\[([a-z,-]+)\]", GUIDE):
        assert set(named.split(",")) <= set(extras)
